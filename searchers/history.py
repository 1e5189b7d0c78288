"""What a study remembers: the names of its records and how they are read back."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from metanet.errors import MetanetError
from metanet.searchers.space import S, SearchSpace

# On a trial, beside Optuna's own parameters (what a sampler suggested):
ABANDONED = "abandoned"  # why the trial is to be disregarded: its slot is run again
SLOT = "slot"  # number of earlier trials that were not abandoned
SPEC = "spec"  # id of the architecture that was evaluated
GENES = "genes"  # its choices, by position
COSTS = "costs"  # its price
REPAIRED = "repaired"  # genes changed to make the suggestion feasible
ANSWERED_BY = "answered_by"  # number of the earlier trial whose result this is
METRICS = "metrics"  # everything the evaluator returned
SECONDS = "seconds"  # wall time of the evaluation
REASON = "reason"  # why the evaluation failed
WORKER = "worker"  # who will tell the result, where several processes search in one store
# On the study:
OPTIONS = "search"  # what the study belongs to; a search with other options is refused
STOPPED = "stopped"  # why there is nothing more to propose

Genome = tuple[int, ...]


class Exhausted(MetanetError):
    """No architecture could be found that was not proposed before."""


def live(study: optuna.Study) -> list[FrozenTrial]:
    """All trials but the abandoned ones, oldest first. Not to be modified."""
    return [trial for trial in study.get_trials(deepcopy=False) if ABANDONED not in trial.user_attrs]


def slot_of(study: optuna.Study, number: int) -> int:
    """Which place a trial has in an undisturbed run; unlike its number it does not change when a run is interrupted."""
    return sum(trial.number < number for trial in live(study))


def genome(space: SearchSpace[S], spec: S) -> Genome:
    """The canonical choices of an architecture, as a key."""
    return tuple(int(i) for i in space.encode(spec))


def genome_of(space: SearchSpace[Any], trial: FrozenTrial) -> Genome | None:
    """The canonical choices of a trial's architecture; None for a trial that has none (yet).

    A trial that was not made by `search` (`study.optimize`, `study.enqueue_trial`) is read by its parameters.
    """
    if GENES in trial.user_attrs:
        return tuple(trial.user_attrs[GENES])
    genes = space.distributions()
    # Without genes that have a choice, a trial that has just been asked for looks as if all were there.
    if any(name not in trial.params for name in genes) or not (genes or trial.state.is_finished()):
        return None
    indices = [gene.choices.index(trial.params.get(gene.name, gene.choices[0])) for gene in space.genes]
    return genome(space, space.decode(indices))


def proposed(space: SearchSpace[Any], study: optuna.Study) -> dict[Genome, FrozenTrial]:
    """The first trial of every architecture that was or is evaluated, and not answered."""
    first: dict[Genome, FrozenTrial] = {}
    for trial in live(study):
        key = genome_of(space, trial)
        if key is not None and ANSWERED_BY not in trial.user_attrs:
            first.setdefault(key, trial)
    return first


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """The trials with values, oldest first."""
    return [trial for trial in live(study) if trial.state is TrialState.COMPLETE]


def objectives_of(study: optuna.Study) -> Mapping[str, str]:
    """The names and directions that the study was made with."""
    objectives: Mapping[str, str] = study.user_attrs[OPTIONS]["objectives"]
    return objectives
