"""A search space as data: genes, what they decode to, and the operations that samplers need.

An architecture is encoded as one row of choice indices, one column a gene. Rows are canonical when every gene
without effect has index 0; `encode` gives canonical rows, and equal networks have equal rows.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metanet.cost import price
from metanet.errors import MetanetError, unknown
from metanet.search_spaces import counting, drawing
from metanet.search_spaces.constraints import Constraints, parse_constraints
from metanet.spec import HEAD_OPS, OPS, ArchSpec, StageSpec

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import BaseTrial

    from metanet.search_spaces.costs import CostTable

Indices = NDArray[np.int64]
STAGE_GENES = ("op", "depth", "width", "expansion", "kernel", "se")
NETWORK_GENES = ("resolution", "stem_width", "head_width")


@dataclass(frozen=True)
class Gene:
    """A named choice."""

    name: str
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class StageChoices:
    """What one stage may be: the choices of each gene; the stride is fixed."""

    depth: tuple[int, ...]
    width: tuple[int, ...]
    expansion: tuple[float, ...]
    op: tuple[str, ...] = OPS
    kernel: tuple[int, ...] = (3, 5)
    se: tuple[bool, ...] = (True, False)
    stride: int = 1


@dataclass(frozen=True)
class Space:
    """A set of architectures. Raises MetanetError where one of them could not be built."""

    name: str
    stages: tuple[StageChoices, ...]
    stem_width: tuple[int, ...]
    head_width: tuple[int, ...]
    resolution: tuple[int, ...]
    head_dim: int

    def __post_init__(self) -> None:
        for gene in self.genes:
            if not gene.choices or len(set(gene.choices)) < len(gene.choices):
                raise MetanetError(f"the choices of {gene.name} must be distinct and at least one, got {gene.choices}")
        before = self.stem_width
        for i, stage in enumerate(self.stages):
            for op in stage.op:
                for width in (*before, *stage.width) if op in HEAD_OPS else ():
                    if width % self.head_dim:
                        raise MetanetError(
                            f"stage {i} may attend, so the widths before and in it must be multiples of the head size, "
                            f"got width={width} and head_dim={self.head_dim}"
                        )
            before = stage.width
        first = ArchSpec(tuple(self.stage_spec(s, {}) for s in self.stages), self.stem_width[0])
        assert len(first.stages) == len(self.stages)  # every other rule is checked by the spec itself

    def stage_spec(self, stage: StageChoices, picked: Mapping[str, Any]) -> StageSpec:
        """A stage with the picked genes; the others take their first choice."""
        values = {gene: picked.get(gene, getattr(stage, gene)[0]) for gene in STAGE_GENES}
        return StageSpec(**values, stride=stage.stride, head_dim=self.head_dim)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """All genes, network-wide ones first; those with one choice are constants."""
        network = [Gene(name, getattr(self, name)) for name in NETWORK_GENES]
        stages = [Gene(f"stage{i}.{g}", getattr(s, g)) for i, s in enumerate(self.stages) for g in STAGE_GENES]
        return (*network, *stages)

    @cached_property
    def column(self) -> Mapping[str, int]:
        """Column of each gene in an encoded row."""
        return {gene.name: i for i, gene in enumerate(self.genes)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides which architectures are in the space."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @cached_property
    def size(self) -> int:
        """The exact number of distinct architectures."""
        return counting.size(self)

    @cached_property
    def table(self) -> "CostTable":
        """Costs of arrays of encoded architectures."""
        from metanet.search_spaces.costs import CostTable

        return CostTable(self)

    def decode(self, row: Sequence[int] | Indices) -> ArchSpec:
        """The architecture that a row of choice indices means."""
        values = [gene.choices[int(i)] for gene, i in zip(self.genes, row, strict=True)]
        count, at = len(STAGE_GENES), len(NETWORK_GENES)
        network = dict(zip(NETWORK_GENES, values[:at], strict=True))
        stages = []
        for stage in self.stages:
            stages.append(self.stage_spec(stage, dict(zip(STAGE_GENES, values[at : at + count], strict=True))))
            at += count
        return ArchSpec(tuple(stages), **network)

    def encode(self, spec: ArchSpec) -> Indices:
        """The canonical row of an architecture. Raises MetanetError, naming the gene, where it is outside the space."""
        if len(spec.stages) != len(self.stages):
            raise MetanetError(f"space {self.name} has {len(self.stages)} stages, the architecture {len(spec.stages)}")
        row = np.zeros(len(self.genes), dtype=np.int64)
        picked: dict[str, Any] = {name: getattr(spec, name) for name in NETWORK_GENES}
        before = spec.stem_width
        for i, (stage, choices) in enumerate(zip(spec.stages, self.stages, strict=True)):
            constant = self.stage_spec(choices, {"op": stage.op} if stage.op in choices.op else {})
            for name in ("stride", "head_dim", "window", "grid", "down"):
                if stage.op == constant.op and (got := getattr(stage, name)) != (has := getattr(constant, name)):
                    raise MetanetError(
                        f"stage {i} is outside space {self.name}: it has {name}={has!r} there, got {got!r}"
                    )
            inert = counting.inert_genes(stage, before)
            picked |= {f"stage{i}.{gene}": getattr(stage, gene) for gene in STAGE_GENES if gene not in inert}
            before = stage.width
        for name, value in picked.items():
            gene = self.genes[self.column[name]]
            if value not in gene.choices:
                raise MetanetError(f"{name}={value!r} is outside space {self.name}, which has {gene.choices}")
            row[self.column[name]] = gene.choices.index(value)
        return row

    def canonical(self, rows: Indices) -> Indices:
        """Rows (n, genes) with every gene without effect set to index 0."""
        return counting.canonical(self, rows)

    def contains(self, spec: ArchSpec) -> bool:
        """Whether an architecture is in the space."""
        try:
            self.encode(spec)
        except MetanetError:
            return False
        return True

    def price(self, spec: ArchSpec) -> dict[str, int]:
        """The costs that constraints may name, at the architecture's own resolution, without classifier."""
        cost = price(spec)
        return {"macs": cost.macs, "params": cost.params, "activations": cost.activations}

    def feasible(self, spec: ArchSpec, constraints: Constraints = None) -> bool:
        """Whether an architecture satisfies all constraints."""
        rules = parse_constraints(constraints)
        return not rules or all(rule.holds(self.price(spec)) for rule in rules)

    def sample(self, n: int, constraints: Constraints = None, *, seed: int | Sequence[int]) -> list[ArchSpec]:
        """`n` architectures that satisfy the constraints, each gene uniform before the constraints are applied.

        The same seed draws the same. Raises MetanetError where nothing can satisfy them or nothing was found.
        """
        return drawing.sample(self, n, parse_constraints(constraints), np.random.default_rng(seed))

    def mutate(self, spec: ArchSpec, rng: np.random.Generator, constraints: Constraints = None) -> ArchSpec:
        """A feasible architecture that differs in one effective gene, in more only where one does not suffice."""
        return drawing.mutate(self, spec, rng, parse_constraints(constraints))

    def crossover(
        self, a: ArchSpec, b: ArchSpec, rng: np.random.Generator, constraints: Constraints = None
    ) -> ArchSpec:
        """A feasible mix: each gene from one of the parents by a fair coin; a parent where no mix is feasible."""
        return drawing.crossover(self, a, b, rng, parse_constraints(constraints))

    def freeze(self, **choices: Any) -> "Space":
        """The subspace with some genes fixed, as `freeze(resolution=28)` or `freeze(**{"stage0.op": "mbconv"})`."""
        space = self
        for name, value in choices.items():
            if name not in self.column:
                raise unknown("gene", name, self.column)
            if value not in self.genes[self.column[name]].choices:
                raise MetanetError(
                    f"{name}={value!r} is outside space {self.name}, which has {self.genes[self.column[name]].choices}"
                )
            stage, _, gene = name.rpartition(".")
            if stage:
                i = int(stage.removeprefix("stage"))
                fixed: dict[str, Any] = {gene: (value,)}
                stages = (*space.stages[:i], replace(space.stages[i], **fixed), *space.stages[i + 1 :])
                space = replace(space, stages=stages)
            else:
                changed: dict[str, Any] = {name: (value,)}
                space = replace(space, **changed)
        return space

    def distributions(self) -> "dict[str, CategoricalDistribution]":
        """Optuna's distributions of all genes that have a choice."""
        from optuna.distributions import CategoricalDistribution

        return {gene.name: CategoricalDistribution(gene.choices) for gene in self.genes if len(gene.choices) > 1}

    def suggest(self, trial: "BaseTrial") -> ArchSpec:
        """The canonical architecture that an Optuna trial suggests: every gene is always asked for (flat mode)."""
        picked = {gene.name: gene.choices[0] for gene in self.genes}
        picked |= {name: trial.suggest_categorical(name, d.choices) for name, d in self.distributions().items()}
        return self.decode([gene.choices.index(picked[gene.name]) for gene in self.genes])
