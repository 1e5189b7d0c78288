"""What native samplers share: they are Optuna samplers whose proposals are feasible, canonical and never repeated."""

import abc
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from metanet.errors import MetanetError, check_whole
from metanet.searchers.history import Exhausted, genome, proposed, slot_of
from metanet.searchers.space import SearchSpace

DRAWS = (1, 8, 64, 512, 4096)  # architectures drawn at once, until one of them is new


@dataclass(frozen=True, kw_only=True)
class NativeSampler(BaseSampler, abc.ABC):
    """A sampler that proposes whole architectures. A subclass says only which ones, best first: `candidates`.

    Everything random is a function of (seed, slot) and the results told so far, so that an interrupted study goes on
    as if nothing had happened. `search` binds a sampler to its own space, constraints and seed; alone it is used as
    any other: `optuna.create_study(sampler=RandomFeasible(space=space, seed=0))` with `space.suggest(trial)`.
    """

    one_objective: ClassVar[bool] = False

    space: SearchSpace[Any] | None = None
    constraints: str | None = None
    seed: int = 0

    @abc.abstractmethod
    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """Feasible architectures for a slot in order of preference, repeats included, and finitely many."""

    def bound(self, space: SearchSpace[Any], constraints: str | None, seed: int) -> "NativeSampler":
        """The same sampler for this space.

        Raises MetanetError where it was made for another space, other constraints or another seed.
        """
        for name, own, given in (("constraints", self.constraints, constraints), ("seed", self.seed or seed, seed)):
            if own is not None and own != given:
                raise MetanetError(
                    f"{type(self).__name__} was made with {name}={own!r}, the search has {name}={given!r}: give "
                    f"`{name}` to `search` alone"
                )
        if self.space is not None and self.space.fingerprint != space.fingerprint:
            raise MetanetError(
                f"{type(self).__name__} was made for the space {self.space.name!r}, the search is of another one, "
                f"{space.name!r}: leave `space` out of the sampler"
            )
        return replace(self, space=space, constraints=constraints, seed=seed)

    def check_objectives(self, count: int) -> None:
        """Raises MetanetError where the sampler cannot climb so many objectives."""
        if self.one_objective and count > 1:
            raise MetanetError(
                f"{type(self).__name__} climbs one objective, got {count}: take the sampler 'pareto', 'predictor' or "
                "'random', or one of Optuna's"
            )

    def draws(self, space: SearchSpace[Any], slot: int) -> Iterator[Any]:
        """Independent feasible architectures, in batches that grow."""
        return chain.from_iterable(
            space.sample(n, self.constraints, seed=[self.seed, slot, batch])
            for batch, n in enumerate(DRAWS, start=1)  # [seed, slot] and [seed, slot, 0] are one stream: from 1 on
        )

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every gene of the space."""
        return dict(self._space(study).distributions())

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The genes of the first candidate that is new. Raises Exhausted where none is."""
        space = self._space(study)
        known = proposed(space, study)
        tries = 0
        for tries, spec in enumerate(self.candidates(space, study, slot_of(study, trial.number)), start=1):  # noqa: B007
            key = genome(space, spec)
            if key not in known:
                picked = {gene.name: gene.choices[i] for gene, i in zip(space.genes, key, strict=True)}
                return {name: picked[name] for name in search_space if name in picked}
        raise Exhausted(
            f"{type(self).__name__} found no new architecture of {space.name!r} in {tries} tries after {len(known)} "
            "trials: all feasible ones, or nearly all, were proposed; loosen the constraints to search on"
        )

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is no gene is drawn at random."""
        self._space(study)
        entropy = [self.seed, slot_of(study, trial.number), *param_name.encode()]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        return RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)

    def __str__(self) -> str:
        own = [f for f in fields(self) if f not in fields(NativeSampler) and f.repr]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in own)})"

    def _space(self, study: optuna.Study) -> SearchSpace[Any]:
        self.check_objectives(len(study.directions))
        if self.space is None:
            name = type(self).__name__
            raise MetanetError(f"{name} has no space: make it as {name}(space=space), or hand it to `search`")
        return self.space


def check_counts(sampler: NativeSampler, *names: str) -> None:
    """Raises MetanetError where an option that counts something is no whole number of at least 1."""
    for name in names:
        check_whole(name, getattr(sampler, name), 1, type(sampler).__name__)
