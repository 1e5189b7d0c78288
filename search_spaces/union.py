"""Several spaces as one: every architecture that is in any of them, each once.

A union is a nested space: its first gene says which part an architecture comes from, and only that part's genes have an
effect. Parts may overlap and may have different numbers of stages. A gene that is shared by all stages is a union, too
(`Space.shared`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from metanet.errors import MetanetError, unknown
from metanet.search_spaces.choices import STAGE_GENES, Indices
from metanet.search_spaces.constraints import Constraints, parse_constraints
from metanet.search_spaces.feasible.counting import Count
from metanet.search_spaces.overlap import common
from metanet.search_spaces.space import Gene, Space
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import BaseTrial

    from metanet.search_spaces.feasible.nearest import Found
    from metanet.search_spaces.feasible.sampler import FeasibleSampler

JUMP = 0.1  # share of mutations that are fresh draws, which alone lead from one part into another
TRIES, MOST = 4_096, 1_000_000
SHARE = 500  # draws that tell how much of a part is new


@dataclass(frozen=True)
class Union:
    """The architectures of all parts; what `metanet.searchers.search` needs of a space, and counts and ends of costs.

    parts   their names tell them apart
    """

    name: str
    parts: tuple[Space, ...]

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if len(names) < 2 or len(set(names)) < len(names):
            raise MetanetError(f"a union needs two or more spaces of different names, got {names}")

    def __or__(self, other: "Space | Union") -> "Union":
        """This union and another space or union."""
        return united(self, other)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Which part, then the genes of each, as "NAME/stage0.op"."""
        own = [Gene(f"{part.name}/{gene.name}", gene.choices) for part in self.parts for gene in part.genes]
        return (Gene("part", tuple(part.name for part in self.parts)), *own)

    @cached_property
    def _slices(self) -> list[slice]:
        """Where each part's genes stand in a row."""
        ends = np.cumsum([1, *(len(part.genes) for part in self.parts)]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides which architectures are in the union, and how they are encoded."""
        text = json.dumps([[part.name, part.fingerprint] for part in self.parts])
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def size(self) -> int:
        """The exact number of distinct architectures, by inclusion and exclusion."""
        total, met = 0, [frozenset([i]) for i in range(len(self.parts))]
        for n in range(1, len(self.parts) + 1):
            counts = {group: common([self.parts[i] for i in sorted(group)]) for group in met}
            total += (-1) ** (n + 1) * sum(counts.values())
            meeting = {group for group, count in counts.items() if count}
            wider = {a | b for a, b in combinations(meeting, 2) if len(a | b) == n + 1}
            met = [group for group in wider if all(group - {i} in meeting for i in group)]
        return total

    def encode(self, spec: ArchSpec) -> Indices:
        """The row of the first part that has the architecture. Raises MetanetError where none has."""
        row = np.zeros(len(self.genes), dtype=np.int64)
        for i, part in enumerate(self.parts):
            if part.contains(spec):
                row[0], row[self._slices[i]] = i, part.encode(spec)
                return row
        raise MetanetError(f"{spec.id} is outside of every part of {self.name}: {[part.name for part in self.parts]}")

    def decode(self, row: Sequence[int] | Indices, /) -> ArchSpec:
        """The architecture that a row means: the genes of the part that it names."""
        part = int(row[0])
        return self.parts[part].decode(np.asarray(row)[self._slices[part]])

    def contains(self, spec: ArchSpec) -> bool:
        """Whether any part has the architecture."""
        return any(part.contains(spec) for part in self.parts)

    def _home(self, spec: ArchSpec) -> Space:
        return self.parts[int(self.encode(spec)[0])]

    def price(self, spec: ArchSpec) -> Mapping[str, int]:
        """The costs that constraints may name."""
        return self._home(spec).price(spec)

    def feasible(self, spec: ArchSpec, constraints: Constraints = None) -> bool:
        """Whether an architecture satisfies all constraints."""
        return self._home(spec).feasible(spec, constraints)

    def _samplers(self, constraints: Constraints) -> "list[tuple[int, FeasibleSampler]]":
        """A sampler for each part that has feasible architectures. Raises the first part's error where none has."""
        found, errors = [], []
        for i, part in enumerate(self.parts):
            try:
                found.append((i, part.sampler(constraints)))
            except MetanetError as error:
                errors.append(error)
        if not found:
            raise errors[0]
        return found

    def sample(self, n: int, constraints: Constraints = None, *, seed: int | Sequence[int]) -> list[ArchSpec]:
        """`n` architectures, uniform over all of the union that satisfy the constraints, with replacement.

        Parts are tried in proportion to the bounds of their counts; what an earlier part has, too, is left to it.
        Raises MetanetError where nothing satisfies the constraints.
        """
        if n < 0:
            raise MetanetError(f"the number of architectures to draw must be 0 or more, got {n}")
        rng, samplers = np.random.default_rng(seed), self._samplers(parse_constraints(constraints))
        bounds = np.array([sampler.contexts.weights.sum() for _, sampler in samplers])
        found: list[ArchSpec] = []
        tried = 0
        while len(found) < n:
            if tried >= MOST and not found:
                raise MetanetError(f"no architecture of {self.name} was found in {tried:,} tries: widen a rule")
            tries = rng.multinomial(min(TRIES, 4 * n + 64), bounds / bounds.sum())
            drawn = [
                spec
                for (i, sampler), count in zip(samplers, tries.tolist(), strict=True)
                if count  # a part with few architectures beside one with many may get no try
                for spec in self.parts[i].specs(sampler.attempt(count, rng))
                if not any(part.contains(spec) for part in self.parts[:i])
            ]
            found += [drawn[k] for k in rng.permutation(len(drawn))]
            tried += int(tries.sum())
        return found[:n]

    def mutate(self, spec: ArchSpec, rng: np.random.Generator, constraints: Constraints = None) -> ArchSpec:
        """A feasible architecture that differs in one effective gene of a part that has it, or a fresh draw."""
        if rng.random() >= JUMP:
            homes = [part for part in self.parts if part.contains(spec)]
            try:
                return homes[rng.integers(len(homes))].mutate(spec, rng, constraints)
            except MetanetError:  # the only feasible one of its part
                pass
        for drawn in self.sample(256, constraints, seed=[int(k) for k in rng.integers(2**31, size=4)]):
            if drawn != spec:
                return drawn
        raise MetanetError(f"{self.name} holds a single architecture here: there is nothing to mutate into")

    def crossover(
        self, a: ArchSpec, b: ArchSpec, rng: np.random.Generator, constraints: Constraints = None
    ) -> ArchSpec:
        """A feasible mix of two architectures of one part; `a` where no part has both."""
        homes = [part for part in self.parts if part.contains(a) and part.contains(b)]
        return homes[rng.integers(len(homes))].crossover(a, b, rng, constraints) if homes else a

    def count(self, constraints: Constraints = None) -> Count:
        """How many architectures satisfy the constraints; bracketed where parts overlap."""
        if not (rules := parse_constraints(constraints)):
            return Count(self.size, self.size, float(self.size))
        counts = [part.count(rules) for part in self.parts]
        apart = self.size == sum(part.size for part in self.parts)
        low = sum(one.low for one in counts) if apart else max(one.low for one in counts)
        high = min(self.size, sum(one.high for one in counts))
        total = sum(one.estimate for one in counts)
        error = float(np.sqrt(sum(one.error**2 for one in counts)))
        if apart or not total:
            return Count(low, high, total, error)
        new = [self._new(i, rules) if one.estimate else 0.0 for i, one in enumerate(counts)]
        estimate = sum(one.estimate * share for one, share in zip(counts, new, strict=True))
        spread = [one.estimate**2 * share * (1 - share) / SHARE for one, share in zip(counts, new, strict=True)]
        return Count(low, high, float(np.clip(estimate, low, high)), float(np.sqrt(error**2 + sum(spread))))

    def _new(self, i: int, constraints: Constraints) -> float:
        """The share of a part's feasible architectures that no earlier part has, from SHARE draws."""
        specs = self.parts[i].sample(SHARE, constraints, seed=i)
        return float(np.mean([not any(part.contains(spec) for part in self.parts[:i]) for spec in specs]))

    def nearest(self, constraints: Constraints = None, **wish: float) -> "Found":
        """The feasible architecture nearest to wished costs, over all parts; see `Space.nearest`."""
        return min(
            (self.parts[i].nearest(constraints, **wish) for i, _ in self._samplers(parse_constraints(constraints))),
            key=lambda found: found.deviation,
        )

    def distributions(self) -> "dict[str, CategoricalDistribution]":
        """Optuna's distributions of all genes that have a choice, those of every part."""
        from optuna.distributions import CategoricalDistribution

        return {gene.name: CategoricalDistribution(gene.choices) for gene in self.genes if len(gene.choices) > 1}

    def suggest(self, trial: "BaseTrial") -> ArchSpec:
        """The architecture that an Optuna trial suggests: every gene of every part is always asked for (flat mode)."""
        picked: dict[str, Any] = {gene.name: gene.choices[0] for gene in self.genes}
        picked |= {name: trial.suggest_categorical(name, d.choices) for name, d in self.distributions().items()}
        return self.decode([gene.choices.index(picked[gene.name]) for gene in self.genes])


def united(*spaces: "Space | Union") -> Union:
    """The union of spaces; unions among them are taken apart."""
    parts = [part for space in spaces for part in (space.parts if isinstance(space, Union) else (space,))]
    return Union(" | ".join(space.name for space in spaces), tuple(dict.fromkeys(parts)))


def tied(space: Space, gene: str) -> Union:
    """The architectures of a space in which a gene has one value in all stages that have it; see `Space.shared`."""
    if gene not in STAGE_GENES:
        raise unknown("gene of a stage", gene, STAGE_GENES)
    values = [set(options.choices[gene]) for options in space.options]
    every = [value for value in space.options[0].choices[gene] if all(value in own for own in values)]
    if len(every) < 2:
        raise MetanetError(f"all stages of {space.name} have {len(every)} values of {gene} in common: two are needed")
    parts = (replace(space.where(**{gene: (value,)}), name=f"{space.name} {gene}={value}") for value in every)
    return Union(f"{space.name} of one {gene}", tuple(parts))
