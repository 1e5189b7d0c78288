"""Local search: White, Nolen, Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021,
arXiv 2005.02960."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import optuna

from metanet.searchers.history import Genome, genome_of, live
from metanet.searchers.samplers.native import NativeSampler, check_counts
from metanet.searchers.samplers.told import neighbours, told
from metanet.searchers.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class LocalSearch(NativeSampler):
    """Evaluates the neighbours of the best architecture of a climb, in random order, and moves to the first that is
    better; when none is left, a new climb begins elsewhere. One objective.

    first   how many random architectures a climb begins with; it starts at the best of them
    """

    one_objective: ClassVar[bool] = True

    first: int = 5
    _near: dict[Genome, list[Genome]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_counts(self, "first")

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """What is left of the neighbourhood, then random architectures."""
        left = self._left(space, study)
        order = np.random.default_rng([self.seed, slot]).permutation(len(left))
        return chain((space.decode(left[i]) for i in order), self.draws(space, slot))

    def _left(self, space: SearchSpace[Any], study: optuna.Study) -> list[Genome]:
        """The neighbours of the climb's best that nobody evaluated; none where a climb begins.

        The study's trials are gone through from the first on, so that nothing but their results decides.
        """
        history = told(space, study)
        values = dict(zip(map(tuple, history.rows.tolist()), history.values[:, 0].tolist(), strict=True))
        known: set[Genome] = set()
        size, center, best, left = 0, None, -np.inf, dict[Genome, None]()
        for trial in live(study):
            key = genome_of(space, trial)
            if key is None:
                continue
            if size >= self.first and not left:
                size, center, best = 0, None, -np.inf
            known.add(key)
            left.pop(key, None)
            size += 1
            value = values.get(key)
            if value is not None and (center is None or value > best):
                center, best = key, value
                left = dict.fromkeys(near for near in self._around(space, key) if near not in known)
        return list(left) if size >= self.first else []

    def _around(self, space: SearchSpace[Any], key: Genome) -> list[Genome]:
        if key not in self._near:
            self._near[key] = neighbours(space, key, self.constraints)
        return self._near[key]
