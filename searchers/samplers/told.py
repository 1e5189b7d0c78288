"""What a sampler may know of a study and of a space, as arrays: rows of choices and their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metanet.errors import MetanetError
from metanet.search_spaces.space import Space
from metanet.search_spaces.union import Union
from metanet.search_spaces.variation import feasible_neighbours
from metanet.searchers.history import ANSWERED_BY, Genome, genome, genome_of, live
from metanet.searchers.space import SearchSpace
from metanet.searchers.table import ChoiceTable

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """The architectures of a study, oldest first, each once.

    rows     (n, genes) of those with a result
    values   (n, objectives) their results, more is better; the mean where one was evaluated several times; of
             those that were pruned, what their last look lets expect of a full one
    failed   (m, genes) those whose evaluation failed
    running  (k, genes) those that are being evaluated
    """

    rows: Rows
    values: Floats
    failed: Rows
    running: Rows


def signs(study: optuna.Study) -> Floats:
    """(objectives,) what to multiply values by so that more is better."""
    return np.array([1.0 if direction is StudyDirection.MAXIMIZE else -1.0 for direction in study.directions])


def told(space: SearchSpace[Any], study: optuna.Study) -> Told:
    """What the study knows so far; infinite values count as the best or the worst finite ones."""
    results: dict[Genome, list[Sequence[float]]] = {}
    failed: dict[Genome, None] = {}
    running: dict[Genome, None] = {}
    trials = live(study)
    gains = _gains(trials)
    for trial in trials:
        key = genome_of(space, trial)
        if key is None:
            continue
        if trial.state is TrialState.COMPLETE and trial.values is not None:
            results.setdefault(key, []).append(trial.values)
        elif trial.state is TrialState.PRUNED and trial.last_step is not None:
            step = trial.last_step
            results.setdefault(key, []).append([trial.intermediate_values[step] + gains.get(step, 0.0)])
        else:
            (running if trial.state is TrialState.RUNNING else failed)[key] = None
    genes = len(space.genes)
    once = [values[0] if len(values) == 1 else np.mean(values, axis=0) for values in results.values()]
    means = np.array(once, float).reshape(-1, len(study.directions))
    return Told(
        as_rows(results, genes),
        np.column_stack([_finite(column) for column in means.T]) * signs(study),
        as_rows([key for key in failed if key not in results], genes),
        as_rows([key for key in running if key not in results], genes),
    )


def _gains(trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """By step, how much more the trials that passed it had in the end, on average."""
    found: dict[int, list[float]] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE and ANSWERED_BY not in trial.user_attrs:
            for step, value in trial.intermediate_values.items():
                found.setdefault(step, []).append(trial.values[0] - value)
    return {step: float(np.mean(values)) for step, values in found.items()}


def _finite(values: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    return np.clip(values, finite.min(), finite.max()) if len(finite) else np.zeros(len(values))


def as_rows(keys: Any, genes: int) -> Rows:
    """(n, genes) of genomes; of none, too."""
    return np.array(list(keys), np.int64).reshape(-1, genes)


def neighbours(space: SearchSpace[Any], key: Genome, constraints: str | None) -> list[Genome]:
    """The feasible architectures that differ from one in a single gene, each once and in a fixed order."""
    if isinstance(space, ChoiceTable):
        rows: Any = space.neighbours(key, constraints)
    elif isinstance(space, Space):
        rows = feasible_neighbours(space, np.array(key, np.int64), space.sampler(constraints))
    elif isinstance(space, Union):
        spec = space.decode(key)
        homes = [part for part in space.parts if part.contains(spec)]
        near = [feasible_neighbours(part, part.encode(spec), part.sampler(constraints)) for part in homes]
        rows = [space.encode(one) for part, found in zip(homes, near, strict=True) for one in part.specs(found)]
    else:
        rows = _tried(space, key, constraints)
    return [row for row in dict.fromkeys(map(tuple, np.asarray(rows).tolist())) if row != key]


def drawn(space: SearchSpace[Any], n: int, constraints: str | None, seed: Sequence[int]) -> list[Genome]:
    """Random feasible architectures, each once: those of `space.sample`."""
    if isinstance(space, Space):  # without building what is only judged
        rows: Any = space.sampler(constraints).draw(n, np.random.default_rng(seed)).tolist()
    elif isinstance(space, ChoiceTable):
        rows = space.draw(n, constraints, np.random.default_rng(seed)).tolist()
    else:
        rows = [genome(space, spec) for spec in space.sample(n, constraints, seed=seed)]
    return list(dict.fromkeys(map(tuple, rows)))


def costs_of(space: SearchSpace[Any], rows: Rows, metric: str) -> Rows:
    """(n,) one cost of architectures (n, genes). Raises MetanetError where the space has no such cost."""
    prices = [space.price(space.decode(row)) for row in rows[:1]]
    if any(metric not in price for price in prices):
        raise MetanetError(f"the space {space.name!r} has no {metric} to aim at: take another `cost`")
    if isinstance(space, ChoiceTable):
        return space.priced(rows)[metric]
    if isinstance(space, Space):
        return space.table(rows, (metric,))[metric]
    return np.array([*(price[metric] for price in prices), *(space.price(space.decode(r))[metric] for r in rows[1:])])


def _tried(space: SearchSpace[Any], key: Genome, constraints: str | None) -> list[Genome]:
    found = []
    for column, gene in enumerate(space.genes):
        for choice in range(len(gene.choices)):
            if choice != key[column]:
                spec = space.decode([*key[:column], choice, *key[column + 1 :]])
                if space.feasible(spec, constraints):
                    found.append(genome(space, spec))
    return found
