"""Any Optuna sampler as one that keeps the constraints and never proposes an architecture twice."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, BruteForceSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from metanet.errors import MetanetError
from metanet.searchers.history import Genome, genome, live
from metanet.searchers.samplers.native import NativeSampler
from metanet.searchers.samplers.told import neighbours
from metanet.searchers.space import SearchSpace

ASKED = 4  # times that the sampler is asked for something new
POOL = 128  # random architectures among which the nearest is looked for


@dataclass(frozen=True, kw_only=True)
class RepeatFree(NativeSampler):
    """Asks an Optuna sampler up to four times for something new and feasible; after that takes the nearest architecture
    to its last suggestion that is.

    `search(space, score, sampler=RepeatFree(sampler=optuna.samplers.GPSampler(seed=0)))`. What is random is the
    sampler's own affair: unlike that of other native samplers it is no function of seed and slot.
    """

    sampler: BaseSampler = field(default_factory=TPESampler)

    def __post_init__(self) -> None:
        if isinstance(self.sampler, BruteForceSampler):
            raise MetanetError("BruteForceSampler repeats nothing by itself: give it to `search` without RepeatFree")

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """What the sampler suggests, then the neighbours of its last suggestion, then others, nearest first."""
        trial = live(study)[slot]
        for _ in range(ASKED):
            wanted = self._suggested(space, study, trial)
            if space.feasible(wanted, self.constraints):
                yield wanted
        key = genome(space, wanted)
        rng = np.random.default_rng([self.seed, slot])
        near = neighbours(space, key, self.constraints)
        yield from (space.decode(near[i]) for i in rng.permutation(len(near)))
        pool = space.sample(POOL, self.constraints, seed=[self.seed, slot])
        yield from sorted(pool, key=lambda spec: _distance(key, genome(space, spec)))
        yield from self.draws(space, slot)

    def _suggested(self, space: SearchSpace[Any], study: optuna.Study, trial: FrozenTrial) -> Any:
        together = self.sampler.infer_relative_search_space(study, trial)
        picked = self.sampler.sample_relative(study, trial, together)
        for name, distribution in space.distributions().items():
            if name not in picked:
                picked[name] = self.sampler.sample_independent(study, trial, name, distribution)
        return space.decode([gene.choices.index(picked.get(gene.name, gene.choices[0])) for gene in space.genes])

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Told to the sampler within."""
        self.sampler.before_trial(study, trial)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Told to the sampler within."""
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Told to the sampler within."""
        self.sampler.reseed_rng()

    def __str__(self) -> str:
        return f"RepeatFree({self.sampler})"


def _distance(a: Genome, b: Genome) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))
