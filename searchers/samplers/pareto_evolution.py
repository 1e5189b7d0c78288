"""NSGA-II: Deb, Pratap, Agarwal, Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE
Transactions on Evolutionary Computation 6(2), 2002."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import optuna

from metanet.errors import MetanetError
from metanet.searchers.result import non_dominated
from metanet.searchers.samplers.aging_evolution import MUTANTS
from metanet.searchers.samplers.native import NativeSampler, check_counts
from metanet.searchers.samplers.told import Floats, told
from metanet.searchers.space import SearchSpace

MUTATED = 0.5  # share of children that are changed once more after they were mixed


@dataclass(frozen=True, kw_only=True)
class ParetoEvolution(NativeSampler):
    """Mixes and mutates the winners of tournaments among the best of all that was told: first those that no other one
    beats, and of equal ones those in the least crowded places. For any number of objectives.

    One child at a time (no generations), since results arrive one at a time: the parents are the best `population` of
    all trials.

    population   how many architectures are parents
    first        how many random ones come first
    """

    population: int = 20
    first: int = 10

    def __post_init__(self) -> None:
        check_counts(self, "population", "first")

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """Children of tournament winners once the first random architectures were told."""
        history = told(space, study)
        if len(history.rows) < self.first:
            return self.draws(space, slot)
        parents = history.rows[best_first(history.values, self.population)]
        return chain(self._children(space, [space.decode(row) for row in parents], slot), self.draws(space, slot))

    def _children(self, space: SearchSpace[Any], parents: list[Any], slot: int) -> Iterator[Any]:
        rng = np.random.default_rng([self.seed, slot])
        for _ in range(MUTANTS):
            # Parents stand best first, so the lowest of two places wins the tournament.
            a, b = (parents[rng.integers(len(parents), size=2).min()] for _ in range(2))
            with suppress(MetanetError):  # a lonely parent, without a feasible neighbour
                child = a if a == b else space.crossover(a, b, rng, self.constraints)
                if child in (a, b) or rng.random() < MUTATED:
                    child = space.mutate(child, rng, self.constraints)
                yield child


def best_first(values: Floats, most: int | None = None) -> list[int]:
    """The order of points (n, objectives), more is better: by front, within a front by crowding distance; of the first
    `most` alone where that is given."""
    most = len(values) if most is None else min(most, len(values))
    order: list[int] = []
    left = np.arange(len(values))
    while len(order) < most:
        front = left[non_dominated(-values[left])]
        order += front[np.argsort(-crowding(values[front]), kind="stable")].tolist()
        left = np.setdiff1d(left, front)
    return order[:most]


def crowding(values: Floats) -> Floats:
    """(n,) the crowding distance of the points (n, objectives) of a front: infinite at its ends (section III-B)."""
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        distance[order[[0, -1]]] = np.inf
        if ranked[-1] > ranked[0]:
            distance[order[1:-1]] += (ranked[2:] - ranked[:-2]) / (ranked[-1] - ranked[0])
    return distance
