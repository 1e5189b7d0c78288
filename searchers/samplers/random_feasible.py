"""Random search without repeats: the control of every other sampler."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import optuna

from metanet.searchers.samplers.native import NativeSampler
from metanet.searchers.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class RandomFeasible(NativeSampler):
    """Draws from the feasible architectures, blind to all results; for any number of objectives."""

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """Random architectures."""
        return self.draws(space, slot)
