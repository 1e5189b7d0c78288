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
from metanet.errors import MetanetError, unknown
from metanet.search_spaces.choices import (
    CONSTANTS,
    OPTION_GENES,
    STAGE_GENES,
    Indices,
    Mask,
    StageChoices,
    StageOptions,
)
from metanet.search_spaces.constraints import Constraints, parse_constraints
from metanet.search_spaces.latency import LatencyTable, latency_of
from metanet.spec import ArchSpec, StageSpec

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import BaseTrial

    from metanet.search_spaces.costs import CostTable
    from metanet.search_spaces.counting import Count
    from metanet.search_spaces.feasible import FeasibleSampler, Weights
    from metanet.search_spaces.nearest import Found
    from metanet.search_spaces.union import Union

NETWORK_GENES = ("resolution", "stem_width", "head_width")
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
        found = []
        for i, options in enumerate(self.options):
            at = self.column[f"stage{i}.op"]
            # the width stands between depth and expansion in a row, and is no part of an option
            columns = [rows[:, at + STAGE_GENES.index(gene)] for gene in OPTION_GENES]
            code = columns[0]
            for size, column in zip(options.shape[1:], columns[1:], strict=True):
                code = code * size + column
            option = options.option_of[code]
            if options.single.any():
                w_in, width = self._widths(rows, i)
                option = np.where(options.reduced[w_in, width], options.shortened[option], option)
            found.append(option)
        return found

    def _widths(self, rows: Indices, stage: int) -> tuple[Indices, Indices]:
        """(n,) indices of the width before a stage and of its own."""
        before = "stem_width" if stage == 0 else f"stage{stage - 1}.width"
        return rows[:, self.column[before]], rows[:, self.column[f"stage{stage}.width"]]

    def canonical(self, rows: Indices) -> Indices:
        """Rows (n, genes) with every gene without effect set to index 0."""
        rows = np.array(rows, dtype=np.int64)
        for i, (options, option) in enumerate(zip(self.options, self.option_ids(rows), strict=True)):
            for gene in OPTION_GENES:
                rows[:, self.column[f"stage{i}.{gene}"]] = options.genes[gene][option]
        return rows

    def valid(self, rows: Indices) -> Mask:
        """(n,) which rows can be built and are in the space."""
        return np.asarray(self.faults(rows) == 0)

    def faults(self, rows: Indices) -> Indices:
        """(n,) the number of stages of each row that cannot be built or are outside the space."""
        count = np.zeros(len(rows), dtype=np.int64)
        for i, (options, option) in enumerate(zip(self.options, self.option_ids(rows), strict=True)):
            w_in, width = self._widths(rows, i)
            count += ~((option >= 0) & options.valid[w_in, width, option])
        return count

    def decode(self, row: Sequence[int] | Indices) -> ArchSpec:
        """The architecture that a row of choice indices means; choices that make none are repaired (`repair`)."""
        from metanet.search_spaces import variation

        rows = np.asarray(row, dtype=np.int64)[None]
        if self.faults(rows)[0]:
            rows = variation.repair(self, rows[0], self.sampler())[None]
        return self.specs(rows)[0]

    def specs(self, rows: Indices) -> list[ArchSpec]:
        """The architectures of many valid rows: as `decode`, without checking each of them again."""
        stages = []
        for i, (options, option) in enumerate(zip(self.options, self.option_ids(rows), strict=True)):
            before, width = self._widths(rows, i)
            _, wide, deep = options.valid.shape
            codes, at = np.unique((before * wide + width) * deep + option, return_inverse=True)
            known = options.specs(*np.unravel_index(codes, options.valid.shape))  # equal stages are one object
            stages.append([known[k] for k in at.tolist()])
        network = [[getattr(self, name)[k] for k in rows[:, self.column[name]].tolist()] for name in NETWORK_GENES]
        return [
            ArchSpec.of_checked(parts, **dict(zip(NETWORK_GENES, own, strict=True)))
            for parts, own in zip(zip(*stages, strict=True), zip(*network, strict=True), strict=True)
        ]

    def encode(self, spec: ArchSpec) -> Indices:
        """The canonical row of an architecture. Raises MetanetError, naming the gene, where it is outside the space."""
        if len(spec.stages) != len(self.options):
            raise MetanetError(f"space {self.name} has {len(self.options)} stages, the architecture {len(spec.stages)}")
        picked: dict[str, Any] = {name: getattr(spec, name) for name in NETWORK_GENES}
        for i, (stage, options) in enumerate(zip(spec.stages, self.options, strict=True)):
            for name in CONSTANTS:
                has, got = options.constants[name], getattr(stage, name)
                if got is not None and got != has:
                    raise MetanetError(f"stage {i} is outside space {self.name}: it has {name}={has} there, got {got}")
            single = stage.mixes_tokens and stage.depth == 1 and not stage.down
            before = spec.stages[i - 1].width if i else spec.stem_width
            for gene in STAGE_GENES:
                value = getattr(stage, gene)
                inert = (value is None and gene != "down") or (
                    gene == "expansion" and single and options.reduces(before, stage.width)
                )
                if not inert:
                    picked[f"stage{i}.{gene}"] = value
        row = np.zeros(len(self.genes), dtype=np.int64)
        for name, value in picked.items():
            choices = self.genes[self.column[name]].choices
            if value not in choices:
                raise MetanetError(f"{name}={value!r} is outside space {self.name}, which has {choices}")
            row[self.column[name]] = choices.index(value)
        if not self.valid(row[None])[0]:
            raise MetanetError(f"{spec.id} is outside space {self.name}: no alternative allows its stages together")
        return row

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
        from metanet.search_spaces.feasible import FeasibleSampler

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
        certified brackets and with an estimate (`metanet.search_spaces.counting`)."""
        from metanet.search_spaces import counting

        return counting.count(self, parse_constraints(constraints))

    def nearest(self, constraints: Constraints = None, **wish: float) -> "Found":
        """The feasible architecture nearest to wished costs, as `nearest(macs=3.17e9, params=31.7e6)`.

        Nearest is the least largest relative deviation. In small spaces it is proven, in large ones a witness of it
        (`metanet.search_spaces.nearest`). Raises MetanetError where nothing satisfies the constraints.
        """
        from metanet.search_spaces import nearest

        return nearest.nearest(self, wish, parse_constraints(constraints))

    def cheapest(self, metric: str, constraints: Constraints = None) -> "Found":
        """The feasible architecture with the least of a metric."""
        from metanet.search_spaces import nearest

        return nearest.extreme(self, metric, parse_constraints(constraints), 1)

    def dearest(self, metric: str, constraints: Constraints = None) -> "Found":
        """The feasible architecture with the most of a metric: under `macs <= 600M` the largest under this cap."""
        from metanet.search_spaces import nearest

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
        space = self
        for name, values in choices.items():
            space = _narrowed(space, name, tuple(values))
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
        from metanet.search_spaces.union import Union

        if gene not in STAGE_GENES:
            raise unknown("gene of a stage", gene, STAGE_GENES)
        values = [set(options.choices[gene]) for options in self.options]
        every = [value for value in self.options[0].choices[gene] if all(value in own for own in values)]
        if len(every) < 2:
            raise MetanetError(
                f"all stages of {self.name} have {len(every)} values of {gene} in common: two are needed"
            )
        parts = (replace(self.where(**{gene: (value,)}), name=f"{self.name} {gene}={value}") for value in every)
        return Union(f"{self.name} of one {gene}", tuple(parts))

    def distributions(self) -> "dict[str, CategoricalDistribution]":
        """Optuna's distributions of all genes that have a choice."""
        from optuna.distributions import CategoricalDistribution

        return {gene.name: CategoricalDistribution(gene.choices) for gene in self.genes if len(gene.choices) > 1}

    def suggest(self, trial: "BaseTrial") -> ArchSpec:
        """The canonical architecture that an Optuna trial suggests: every gene is always asked for (flat mode)."""
        picked = {gene.name: gene.choices[0] for gene in self.genes}
        picked |= {name: trial.suggest_categorical(name, d.choices) for name, d in self.distributions().items()}
        return self.decode([gene.choices.index(picked[gene.name]) for gene in self.genes])


def _narrowed(space: Space, name: str, values: tuple[Any, ...]) -> Space:
    """The subspace where a gene has only some of its choices."""
    every = name in STAGE_GENES
    if not every and name not in space.column:
        raise unknown("gene", name, [*STAGE_GENES, *space.column])
    if name in NETWORK_GENES:
        return replace(space, **{name: _kept(space, name, getattr(space, name), values)})  # type: ignore[arg-type]
    gene = name.rpartition(".")[2]
    picked = range(len(space.stages)) if every else [int(name.partition(".")[0].removeprefix("stage"))]
    stages: list[Stage] = list(space.stages)
    for i in picked:
        _kept(space, f"stage{i}.{gene}", space.options[i].choices[gene], values)
        narrowed = []
        for one in space.options[i].alternatives:
            if kept := tuple(v for v in getattr(one, gene) if v in values):
                narrowed.append(replace(one, **{gene: kept}))  # type: ignore[arg-type]
        stages[i] = narrowed[0] if len(narrowed) == 1 else tuple(narrowed)
    return replace(space, stages=tuple(stages))


def _kept(space: Space, name: str, has: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    kept = tuple(value for value in has if value in values)
    if not kept or (len(values) == 1 and not kept):
        shown = values[0] if len(values) == 1 else values
        raise MetanetError(f"{name}={shown!r} is outside space {space.name}, which has {has}")
    return kept
