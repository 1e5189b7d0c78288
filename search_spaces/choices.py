"""What one stage of a space may be: the values of its genes, and the distinct options that they make.

A stage's width links it to its neighbours and stands by itself; all its other genes together are an *option*. Options
are canonical: genes without effect have index 0, so that distinct options are distinct stages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metanet.errors import MetanetError
from metanet.spec import ATTENDING_DOWNS, HEAD_OPS, OPS, TOKEN_OPS, StageSpec

OPTION_GENES = ("op", "depth", "expansion", "kernel", "se", "head_dim", "down")
STAGE_GENES = ("op", "depth", "width", *OPTION_GENES[2:])
CONSTANTS = ("stride", "window", "grid")

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class StageChoices:
    """The choices of each gene of a stage; stride, window and grid are constants (their meaning: `StageSpec`)."""

    depth: tuple[int, ...]
    width: tuple[int, ...]
    expansion: tuple[float, ...]
    op: tuple[str, ...] = OPS
    kernel: tuple[int, ...] = (3, 5)
    se: tuple[bool, ...] = (True, False)
    head_dim: tuple[int, ...] = (32,)
    down: tuple[str | None, ...] = (None,)
    stride: int = 1
    window: int = 7
    grid: int = 7


def merged(alternatives: Sequence[StageChoices], where: str) -> dict[str, tuple[Any, ...]]:
    """The choices of each gene over all alternatives of a stage, numbers in ascending order.

    Raises MetanetError for repeated or missing choices, and where the alternatives differ in a constant.
    """
    for name in CONSTANTS:
        if len(found := {getattr(one, name) for one in alternatives}) > 1:
            raise MetanetError(f"the alternatives of {where} must have one {name}, got {sorted(found)}")
    choices: dict[str, tuple[Any, ...]] = {}
    for gene in STAGE_GENES:
        for one in alternatives:
            values = getattr(one, gene)
            if not values or len(set(values)) < len(values):
                raise MetanetError(f"the choices of {where}.{gene} must be distinct and at least one, got {values}")
        together = dict.fromkeys(value for one in alternatives for value in getattr(one, gene))
        numeric = gene in ("depth", "width", "expansion", "kernel", "head_dim")
        choices[gene] = tuple(sorted(together)) if numeric and len(alternatives) > 1 else tuple(together)
    return choices


@dataclass(frozen=True, eq=False)
class StageOptions:
    """The distinct options of a stage, and which of them may stand between which widths.

    alternatives   the sets of choices whose union the stage is
    before         the widths in front of the stage
    """

    alternatives: tuple[StageChoices, ...]
    before: tuple[int, ...]
    where: str

    @cached_property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """The choices of each gene, over all alternatives."""
        return merged(self.alternatives, self.where)

    @property
    def constants(self) -> dict[str, int]:
        """Stride, window and grid."""
        return {name: getattr(self.alternatives[0], name) for name in CONSTANTS}

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of choices of each option gene."""
        return tuple(len(self.choices[gene]) for gene in OPTION_GENES)

    @cached_property
    def _grid(self) -> dict[str, Indices]:
        """Indices of each option gene for every code, effective or not."""
        grid = np.unravel_index(np.arange(int(np.prod(self.shape))), self.shape)
        return {gene: index.astype(np.int64) for gene, index in zip(OPTION_GENES, grid, strict=True)}

    def _is(self, gene: str, values: Sequence[Any]) -> Mask:
        """For every code, whether a gene has one of these values."""
        return np.array([choice in values for choice in self.choices[gene]])[self._grid[gene]]

    @cached_property
    def _canonical(self) -> tuple[Indices, Mask]:
        """For every code the code without its ineffective genes, and whether it is a single transformer block without a
        module in front, whose expansion has no effect where the block is reduced."""
        token = self._is("op", TOKEN_OPS)
        heads = self._is("op", HEAD_OPS) | self._is("down", ATTENDING_DOWNS)
        index = dict(self._grid)
        for gene, ineffective in (("kernel", token), ("se", token), ("head_dim", ~heads)):
            index[gene] = np.where(ineffective, 0, index[gene])
        single = token & self._is("depth", (1,)) & self._is("down", (None,))
        return self._code(index), single

    def _code(self, index: Mapping[str, Indices]) -> Indices:
        return np.asarray(np.ravel_multi_index(tuple(index[gene] for gene in OPTION_GENES), self.shape), dtype=np.int64)

    def _allowed(self, one: StageChoices) -> Mask:
        """Which codes the choices of one alternative make, whatever their width."""
        masks = [self._is(gene, getattr(one, gene)) for gene in OPTION_GENES]
        return np.asarray(np.logical_and.reduce(masks), dtype=np.bool_)

    @cached_property
    def codes(self) -> Indices:
        """(options,) the canonical code of each option, ascending."""
        canonical, single = self._canonical
        allowed = np.logical_or.reduce([self._allowed(one) for one in self.alternatives])
        shortened = self._code({**self._grid, "expansion": np.zeros_like(canonical)})[canonical[allowed & single]]
        return np.unique(np.concatenate([canonical[allowed], shortened]))

    @cached_property
    def genes(self) -> dict[str, Indices]:
        """Index of each option gene, (options,)."""
        return {gene: index[self.codes] for gene, index in self._grid.items()}

    @cached_property
    def option_of(self) -> NDArray[np.int32]:
        """(codes,) the option of every code, -1 where no alternative allows it."""
        of = np.full(int(np.prod(self.shape)), -1, dtype=np.int32)
        of[self.codes] = np.arange(len(self.codes), dtype=np.int32)
        return of[self._canonical[0]]

    @cached_property
    def single(self) -> Mask:
        """(options,) whether the option is one transformer block without a module in front."""
        return self._canonical[1][self.codes]

    @cached_property
    def shortened(self) -> NDArray[np.int32]:
        """(options,) the option with the first expansion: what a single block is where it is reduced."""
        index = {**self.genes, "expansion": np.zeros_like(self.codes)}
        found = self.option_of[self._code(index)]
        return np.where(self.single, found, np.arange(len(self.codes), dtype=np.int32))

    @cached_property
    def _values(self) -> dict[str, NDArray[np.object_]]:
        """`choices` as arrays of objects, whole numbers as int: what stands in a `StageSpec`."""
        found = {gene: np.empty(len(values), dtype=object) for gene, values in self.choices.items()}
        for gene, values in self.choices.items():
            found[gene][:] = [int(v) if isinstance(v, float) and v == int(v) else v for v in values]
        return found

    @cached_property
    def reduced(self) -> Mask:
        """(widths before, widths): `reduces`."""
        return np.array([[self.reduces(a, b) for b in self.choices["width"]] for a in self.before])

    def reduces(self, w_in: int, width: int) -> bool:
        """Whether a first block without a module in front changes width or stride."""
        return self.constants["stride"] != 1 or w_in != width

    def made_by(self, one: StageChoices) -> Mask:
        """(options,) which options the choices of one alternative make, whatever their width."""
        return np.isin(self.codes, self._canonical[0][self._allowed(one)])

    @cached_property
    def valid(self) -> Mask:
        """(widths before, widths, options): which stages can be built and are in the space, each once."""
        heads = np.array([self.choices["head_dim"][i] for i in self.genes["head_dim"]])
        op, down = self._is("op", HEAD_OPS)[self.codes], self._is("down", ATTENDING_DOWNS)[self.codes]
        in_front = self._is("down", (None,))[self.codes]
        valid = np.zeros((len(self.before), len(self.choices["width"]), len(self.codes)), dtype=bool)
        base = [self.made_by(one) for one in self.alternatives]
        for i, w_in in enumerate(self.before):
            for j, width in enumerate(self.choices["width"]):
                reduced = self.reduces(w_in, width)
                for one, allowed in zip(self.alternatives, base, strict=True):
                    if width not in one.width:
                        continue
                    if reduced:
                        ends = np.zeros_like(allowed)
                        ends[self.shortened[allowed & self.single]] = True
                        allowed = (allowed & ~self.single) | ends
                    valid[i, j] |= allowed
                valid[i, j] &= ~(op | down) | (width % heads == 0)
                valid[i, j] &= ~(op & in_front) | (w_in % heads == 0)
        return valid

    def effective(self, gene: str) -> Mask:
        """(widths before, widths, options): where a gene other than the width has an effect on the network."""
        if gene == "expansion":
            return np.asarray(~(self.reduced[:, :, None] & self.single))
        own = ~self.idle[gene] if gene in self.idle else np.ones(len(self.codes), dtype=bool)
        return np.broadcast_to(own, self.valid.shape)

    def weight(self, factors: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
        """(widths before, widths, options): the product of the factors of a stage's genes that have an effect.

        factors   gene -> a factor for each of its choices
        """
        together = np.ones(self.valid.shape)
        for gene, values in factors.items():
            factor = np.asarray(values, dtype=np.float64)
            if gene == "width":
                together *= factor[None, :, None]
            else:
                together *= np.where(self.effective(gene), factor[self.genes[gene]], 1.0)
        return together

    def buildable(self) -> bool:
        """Whether any stage can be built; quicker than `valid`, which tells all of them apart."""
        return any(
            (op not in HEAD_OPS and down not in ATTENDING_DOWNS)
            or (width % head == 0 and (op not in HEAD_OPS or down is not None or w_in % head == 0))
            for one in self.alternatives
            for op, down, head, width, w_in in product(one.op, one.down, one.head_dim, one.width, self.before)
        )

    def spec(self, picked: Mapping[str, Any]) -> StageSpec:
        """A stage with the picked values; the other genes take their first choice."""
        values: dict[str, Any] = {gene: picked.get(gene, self.choices[gene][0]) for gene in STAGE_GENES}
        return StageSpec(**values | self.constants)

    def specs(self, before: Indices, width: Indices, option: NDArray[np.integer[Any]]) -> list[StageSpec]:
        """(n,) stages of indices of the width before, of the width and of the option, which may stand together."""
        columns = {gene: self._values[gene][self.genes[gene][option]] for gene in OPTION_GENES}
        columns["width"] = self._values["width"][width]
        columns["expansion"][self.single[option] & self.reduced[before, width]] = 1  # it has no MLP
        columns |= {name: np.full(len(option), value, dtype=object) for name, value in self.constants.items()}
        for name, idle in self.idle.items():
            columns[name][idle[option]] = None
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [StageSpec.of_checked(zip(columns, row, strict=True)) for row in rows]

    @cached_property
    def idle(self) -> dict[str, Mask]:
        """For each field of a stage that an option may lack, (options,) whether it does."""
        token = self._is("op", TOKEN_OPS)
        idle = {"kernel": token, "se": token}
        idle["head_dim"] = ~(self._is("op", HEAD_OPS) | self._is("down", ATTENDING_DOWNS))
        idle |= {"window": ~self._is("op", ("window_attention",)), "grid": ~self._is("op", ("token_mlp",))}
        return {name: mask[self.codes] for name, mask in idle.items()}
