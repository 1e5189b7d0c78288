"""Regularised evolution: Real, Aggarwal, Huang, Le, "Regularized Evolution for Image Classifier Architecture Search",
AAAI 2019, arXiv 1802.01548."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import optuna

from metanet.errors import MetanetError
from metanet.searchers.samplers.native import NativeSampler, check_counts
from metanet.searchers.samplers.told import Floats, Rows, told
from metanet.searchers.space import SearchSpace

MUTANTS = 100  # tried before a slot falls back on a random architecture


@dataclass(frozen=True, kw_only=True)
class AgingEvolution(NativeSampler):
    """Mutates the winner of a tournament among the youngest; the old die, however good (algorithm 1). One objective.

    population   how many of the last architectures told are alive (P)
    tournament   how many of them, drawn with replacement, compete to be the parent (S)
    first        how many random ones come first: fewer than `population`, and children fill it up. The paper's first
                 population is all random, which is a small part of its 20,000 trials, and a large one of 100
    """

    one_objective: ClassVar[bool] = True

    population: int = 25
    tournament: int = 5
    first: int = 10

    def __post_init__(self) -> None:
        check_counts(self, "population", "tournament", "first")

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """Mutants of tournament winners once the first random ones are there, random architectures after them."""
        history = told(space, study)
        alive, fitness = history.rows[-self.population :], history.values[-self.population :, 0]
        if len(alive) < min(self.first, self.population):
            return self.draws(space, slot)
        return chain(self._mutants(space, alive, fitness, slot), self.draws(space, slot))

    def _mutants(self, space: SearchSpace[Any], alive: Rows, fitness: Floats, slot: int) -> Iterator[Any]:
        rng = np.random.default_rng([self.seed, slot])
        for _ in range(MUTANTS):
            sample = rng.integers(len(alive), size=self.tournament)
            parent = alive[sample[np.argmax(fitness[sample])]]
            with suppress(MetanetError):  # a lonely parent, without a feasible neighbour
                yield space.mutate(space.decode(parent), rng, self.constraints)
