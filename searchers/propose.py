"""From a sampler's suggestion to an architecture that is worth evaluating."""

from dataclasses import dataclass
from typing import Any, Generic

import optuna
from optuna.trial import FrozenTrial, TrialState

from metanet.searchers.history import (
    ABANDONED,
    ANSWERED_BY,
    COSTS,
    GENES,
    REPAIRED,
    SLOT,
    SPEC,
    Exhausted,
    Genome,
    genome,
    proposed,
    slot_of,
)
from metanet.searchers.space import S, SearchSpace
from metanet.searchers.stores import Store

POOL = 128  # feasible architectures among which an infeasible suggestion finds its nearest


@dataclass(frozen=True)
class Proposal(Generic[S]):
    """A running trial, its feasible architecture and the finished trial that holds its result already, if one does."""

    trial: optuna.Trial
    spec: S
    answer: FrozenTrial | None


def propose(store: Store, space: SearchSpace[S], constraints: str | None, seed: int) -> Proposal[S] | None:
    """Asks the study's sampler and records what will be evaluated, within a claim of the store.

    A native sampler's suggestion is taken as it is. Another sampler's may be infeasible, then the nearest of a pool of
    feasible ones takes its place; or known, then the study answers. None where all that it could be is being
    evaluated: the trial is given up, and its slot is due when one of them has ended. So it is where a native sampler
    raises Exhausted, which passes.
    """
    study = store.study
    trial = study.ask()
    store.mine(trial)
    slot = slot_of(study, trial.number)
    known = proposed(space, study)
    try:
        spec = space.suggest(trial)  # Optuna asks a sampler when the first gene is asked for, or before
    except Exhausted as end:
        _give_up(study, trial, str(end))
        raise
    key = genome(space, spec)
    if not space.feasible(spec, constraints) or _running(known, key):
        pool = space.sample(POOL, constraints, seed=[seed, slot])
        spec, changed = _nearest(space, key, pool, known)
        key = genome(space, spec)
        if _running(known, key):
            _give_up(study, trial, "all that it could be was being evaluated")
            return None
        trial.set_user_attr(REPAIRED, changed)
    answer = known.get(key)
    if answer is not None:
        trial.set_user_attr(ANSWERED_BY, answer.number)
    costs = {name: int(cost) for name, cost in space.price(spec).items()}
    for name, value in ((SLOT, slot), (SPEC, spec.id), (GENES, key), (COSTS, costs)):
        trial.set_user_attr(name, value)
    return Proposal(trial, spec, answer)


def _give_up(study: optuna.Study, trial: optuna.Trial, why: str) -> None:
    trial.set_user_attr(ABANDONED, why)
    study.tell(trial, state=TrialState.FAIL)


def _nearest(space: SearchSpace[S], wanted: Genome, pool: list[S], known: dict[Genome, FrozenTrial]) -> tuple[S, int]:
    """The new architecture with the fewest changed genes, and their number; a known one only where none is new."""

    def rank(key: Genome) -> tuple[bool, bool, int]:
        return _running(known, key), key in known, sum(a != b for a, b in zip(wanted, key, strict=True))

    ranked: list[tuple[tuple[bool, bool, int], Any]] = [(rank(genome(space, spec)), spec) for spec in pool]
    (*_, changed), spec = min(ranked, key=lambda item: item[0])
    return spec, changed


def _running(known: dict[Genome, FrozenTrial], key: Genome) -> bool:
    return key in known and known[key].state is TrialState.RUNNING
