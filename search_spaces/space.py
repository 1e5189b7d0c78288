"""A search space as data: genes, what they decode to, and the operations that samplers need.

An architecture is encoded as one row of choice indices, one column a gene. Rows are canonical when every gene
without effect has index 0; `encode` gives canonical rows, and equal networks have equal rows.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metanet.cost import price
from metanet.errors import MetanetError
from metanet.search_spaces import encoding
from metanet.search_spaces.choices import (
    STAGE_GENES,
    Indices,
    Mask,
    StageChoices,
    StageOptions,
)
from metanet.search_spaces.constraints import Constraints, parse_constraints
from metanet.search_spaces.encoding import NETWORK_GENES
from metanet.search_spaces.latency.table import LatencyTable, latency_of
from metanet.spec import ArchSpec, StageSpec

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import BaseTrial

    from metanet.search_spaces.costs import CostTable
    from metanet.search_spaces.feasible.counting import Count
    from metanet.search_spaces.feasible.nearest import Found
    from metanet.search_spaces.feasible.sampler import FeasibleSampler, Weights
    from metanet.search_spaces.union import Union

UNSEEN = ("latency", "about")  # fields that do not decide which architectures are in a space
Stage = StageChoices | tuple[StageChoices, ...]


@dataclass(frozen=True)
class Gene:
    """A named choice."""

    name: str
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class Space:
    """A set of architectures: every one that its choices make and that can be built.

    stages   for each stage its choices, or several alternative sets of choices, whose union the stage is
    latency  what its networks' latency is predicted by, where it may be asked for (`timed`)
    about    what it is, in a line, for people

    A width that a head size does not divide excludes the architectures that would attend there, and no others.
    """

    name: str
    stages: tuple[Stage, ...]
    stem_width: tuple[int, ...]
    head_width: tuple[int, ...] = (1280,)
    resolution: tuple[int, ...] = (224,)
    latency: LatencyTable | None = None
    about: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in NETWORK_GENES:
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise MetanetError(f"the choices of {name} must be distinct and at least one, got {values}")
        ArchSpec((StageSpec("mbconv", 1, 8, 1),), self.stem_width[0], self.head_width[0], self.resolution[0])
        for i, options in enumerate(self.options):
            for name, values in options.choices.items():  # the spec's own rules
                for value in values:
                    width = value if name == "head_dim" and isinstance(value, int) and value > 0 else 8
                    plain = {"op": "mbconv", "depth": 1, "width": width, "expansion": 1}
                    down = {"down": "global"} if name == "head_dim" else {}
                    StageSpec(**{**plain, **down, "head_dim": 8, name: value}, stride=options.constants["stride"])
            if not options.buildable():
                widths, heads = options.choices["width"], options.choices["head_dim"]
                raise MetanetError(
                    f"no stage {i} of space {self.name} can be built: no width is a multiple of a head size, got "
                    f"widths {widths} after {options.before} and head sizes {heads}"
                )

    @cached_property
    def options(self) -> tuple[StageOptions, ...]:
        """The distinct options of each stage."""
        before, found = self.stem_width, []
        for i, stage in enumerate(self.stages):
            alternatives = stage if isinstance(stage, tuple) else (stage,)
            found.append(StageOptions(alternatives, before, f"stage{i}"))
            before = found[-1].choices["width"]
        return tuple(found)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """All genes, network-wide ones first; those with one choice are constants."""
        network = [Gene(name, getattr(self, name)) for name in NETWORK_GENES]
        stages = [Gene(f"stage{i}.{g}", o.choices[g]) for i, o in enumerate(self.options) for g in STAGE_GENES]
        return (*network, *stages)

    @cached_property
    def column(self) -> Mapping[str, int]:
        """Column of each gene in an encoded row."""
        return {gene.name: i for i, gene in enumerate(self.genes)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides which architectures are in the space, and of what predicts latency."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in UNSEEN}
        if self.latency is not None:
            values["latency"] = self.latency.fingerprint
        return hashlib.sha256(json.dumps(values, sort_keys=True, default=asdict).encode()).hexdigest()

    @cached_property
    def size(self) -> int:
        """The exact number of distinct architectures: a sum over the chain of widths."""
        ways = [1] * len(self.stem_width)
        for options in self.options:
            counts = options.valid.sum(axis=2).tolist()  # Python's integers do not overflow
            ways = [sum(n * row[j] for n, row in zip(ways, counts, strict=True)) for j in range(len(counts[0]))]
        return sum(ways) * len(self.resolution) * len(self.head_width)

    @cached_property
    def table(self) -> "CostTable":
        """Costs of arrays of encoded architectures."""
        from metanet.search_spaces.costs import CostTable

        return CostTable(self)

    def option_ids(self, rows: Indices) -> list[NDArray[np.int32]]:
        """(n,) for each stage: the option of each row, canonical or not; -1 for genes that no alternative allows."""
        return encoding.option_ids(self, rows)

    def canonical(self, rows: Indices) -> Indices:
        """Rows (n, genes) with every gene without effect set to index 0."""
        return encoding.canonical(self, rows)

    def valid(self, rows: Indices) -> Mask:
        """(n,) which rows can be built and are in the space."""
        return np.asarray(self.faults(rows) == 0)

    def faults(self, rows: Indices) -> Indices:
        """(n,) the number of stages of each row that cannot be built or are outside the space."""
        return encoding.faults(self, rows)

    def decode(self, row: Sequence[int] | Indices) -> ArchSpec:
        """The architecture that a row of choice indices means; choices that make none are repaired (`repair`)."""
        from metanet.search_spaces import variation

        rows = np.asarray(row, dtype=np.int64)[None]
        if self.faults(rows)[0]:
            rows = variation.repair(self, rows[0], self.sampler())[None]
        return self.specs(rows)[0]

    def specs(self, rows: Indices) -> list[ArchSpec]:
        """The architectures of many valid rows: as `decode`, without checking each of them again."""
        return encoding.specs(self, rows)

    def encode(self, spec: ArchSpec) -> Indices:
        """The canonical row of an architecture. Raises MetanetError, naming the gene, where it is outside the space."""
        return encoding.encode(self, spec)

    def contains(self, spec: ArchSpec) -> bool:
        """Whether an architecture is in the space."""
        try:
            self.encode(spec)
        except MetanetError:
            return False
        return True

    def price(self, spec: ArchSpec) -> dict[str, int]:
        """The costs that constraints may name, at the architecture's own resolution, without classifier; latency in
        nanoseconds, where the space has a table."""
        cost = price(spec)
        found = {"macs": cost.macs, "params": cost.params, "activations": cost.activations, "memory": cost.memory()}
        return found if self.latency is None else {**found, "latency": self.latency.nanoseconds(spec)}

    def feasible(self, spec: ArchSpec, constraints: Constraints = None) -> bool:
        """Whether an architecture satisfies all constraints."""
        rules = parse_constraints(constraints)
        if any(rule.metric == "latency" for rule in rules):
            latency_of(self)
        return not rules or all(rule.holds(self.price(spec)) for rule in rules)

    def sampler(self, constraints: Constraints = None, weights: "Weights | None" = None) -> "FeasibleSampler":
        """What draws from the architectures that satisfy the constraints, uniformly or by weights of their genes."""
        from metanet.search_spaces.feasible.sampler import FeasibleSampler

        rules = parse_constraints(constraints)
        key = rules, tuple((gene, tuple(of.items())) for gene, of in (weights or {}).items())
        known: dict[Any, FeasibleSampler] = self.__dict__.setdefault("_samplers", {})
        if key not in known:
            if len(known) >= 4:  # the tables of a sampler can take a hundred megabytes
                known.pop(next(iter(known)))
            known[key] = FeasibleSampler(self, rules, weights)
        return known[key]

    def sample(
        self,
        n: int,
        constraints: Constraints = None,
        *,
        seed: int | Sequence[int],
        weights: "Weights | None" = None,
    ) -> list[ArchSpec]:
        """`n` architectures, uniform over all that satisfy the constraints, with replacement.

        weights   of genes, such as {"op": {"self_attention": 4.0}, "stage0.depth": {1: 0.5}}: an architecture is drawn
                  in proportion to the product of the weights of its values, 1 for those that are not named

        The same seed draws the same. Raises MetanetError where nothing satisfies the constraints.
        """
        if n < 0:
            raise MetanetError(f"the number of architectures to draw must be 0 or more, got {n}")
        return self.specs(self.sampler(constraints, weights).draw(n, np.random.default_rng(seed)))

    def count(self, constraints: Constraints = None) -> "Count":
        """How many architectures satisfy the constraints: exact where they can be enumerated, otherwise between
        certified brackets and with an estimate (`metanet.search_spaces.feasible.counting`)."""
        from metanet.search_spaces.feasible import counting

        return counting.count(self, parse_constraints(constraints))

    def nearest(self, constraints: Constraints = None, **wish: float) -> "Found":
        """The feasible architecture nearest to wished costs, as `nearest(macs=3.17e9, params=31.7e6)`.

        Nearest is the least largest relative deviation. In small spaces it is proven, in large ones a witness of it
        (`metanet.search_spaces.feasible.nearest`). Raises MetanetError where nothing satisfies the constraints.
        """
        from metanet.search_spaces.feasible import nearest

        return nearest.nearest(self, wish, parse_constraints(constraints))

    def cheapest(self, metric: str, constraints: Constraints = None) -> "Found":
        """The feasible architecture with the least of a metric."""
        from metanet.search_spaces.feasible import nearest

        return nearest.extreme(self, metric, parse_constraints(constraints), 1)

    def dearest(self, metric: str, constraints: Constraints = None) -> "Found":
        """The feasible architecture with the most of a metric: under `macs <= 600M` the largest under this cap."""
        from metanet.search_spaces.feasible import nearest

        return nearest.extreme(self, metric, parse_constraints(constraints), -1)

    def mutate(self, spec: ArchSpec, rng: np.random.Generator, constraints: Constraints = None) -> ArchSpec:
        """A feasible architecture that differs in one effective gene, in more only where one does not suffice."""
        from metanet.search_spaces import variation

        return self.specs(variation.mutate(self, self.encode(spec), self.sampler(constraints), rng)[None])[0]

    def crossover(
        self, a: ArchSpec, b: ArchSpec, rng: np.random.Generator, constraints: Constraints = None
    ) -> ArchSpec:
        """A feasible mix of the genes of two architectures; `a` where no other mix is feasible."""
        from metanet.search_spaces import variation

        row = variation.crossover(self, self.encode(a), self.encode(b), self.sampler(constraints), rng)
        return self.specs(row[None])[0]

    def repair(self, row: Sequence[int] | Indices, constraints: Constraints = None) -> ArchSpec:
        """A feasible architecture near the choices of a row; theirs where it is feasible."""
        from metanet.search_spaces import variation

        found = variation.repair(self, np.asarray(row, dtype=np.int64), self.sampler(constraints))
        return self.specs(found[None])[0]

    def freeze(self, **choices: Any) -> "Space":
        """The subspace with some genes fixed, as `freeze(resolution=28)` or `freeze(**{"stage0.op": "mbconv"})`."""
        return self.where(**{name: (value,) for name, value in choices.items()})

    def where(self, **choices: Iterable[Any]) -> "Space":
        """The subspace with fewer choices: of one stage's gene ("stage0.op"), or of a gene in every stage ("op")."""
        from metanet.search_spaces.narrowing import narrowed

        space = self
        for name, values in choices.items():
            space = narrowed(space, name, tuple(values))
        return space

    def timed(self, table: LatencyTable) -> "Space":
        """The same space with latency as one more cost, by a measured table (`LatencyTable.load`)."""
        return replace(self, latency=table)

    def __or__(self, other: "Space | Union") -> "Union":
        """The union with another space: every architecture of both, each once."""
        from metanet.search_spaces.union import united

        return united(self, other)

    def shared(self, gene: str) -> "Union":
        """The architectures in which a gene has one value in all stages that have it, as `shared("kernel")`."""
        from metanet.search_spaces.union import tied

        return tied(self, gene)

    def distributions(self) -> "dict[str, CategoricalDistribution]":
        """Optuna's distributions of all genes that have a choice."""
        from optuna.distributions import CategoricalDistribution

        return {gene.name: CategoricalDistribution(gene.choices) for gene in self.genes if len(gene.choices) > 1}

    def suggest(self, trial: "BaseTrial") -> ArchSpec:
        """The canonical architecture that an Optuna trial suggests: every gene is always asked for (flat mode)."""
        picked = {gene.name: gene.choices[0] for gene in self.genes}
        picked |= {name: trial.suggest_categorical(name, d.choices) for name, d in self.distributions().items()}
        return self.decode([gene.choices.index(picked[gene.name]) for gene in self.genes])
