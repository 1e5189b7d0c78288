"""The parts of a stage, priced at every width and resolution.

A stage costs its downsampling module, its first block, which depends on the width before it, and further equal blocks.
The blocks' own `cost` fills the tables: it prices all widths and resolutions in one call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from metanet.blocks import BLOCKS, DOWN_MODULES, Tally
from metanet.search_spaces.choices import Indices, StageOptions
from metanet.spec import HEAD_OPS, StageSpec

Table = NDArray[np.int64]
COUNTED = ("macs", "params", "activations")
PRICED = (*COUNTED, "peak")
BLOCK_GENES = ("op", "kernel", "se", "head_dim", "expansion")


class StageParts:
    """The distinct blocks and modules of a stage, priced at every width and resolution.

    first, rest   metric -> (resolutions, widths before, widths, blocks), (resolutions, widths, blocks)
    downs         metric -> (resolutions, widths before, widths, modules)
    """

    def __init__(self, options: StageOptions, sides: Table) -> None:
        self.options, choices = options, options.choices
        before, width = array(options.before), array(choices["width"])
        self.shape = tuple(len(choices[gene]) for gene in BLOCK_GENES)
        heads = np.isin(choices["op"], HEAD_OPS)[options.genes["op"]]
        genes = {**options.genes, "head_dim": np.where(heads, options.genes["head_dim"], 0)}
        self.block = _ravel([genes[gene] for gene in BLOCK_GENES], self.shape)  # (options,) which block it repeats
        none = np.array([choice is None for choice in choices["down"]])[options.genes["down"]]
        modules = len(choices["down"]), len(choices["head_dim"])
        self.down = np.where(none, -1, _ravel([options.genes["down"], options.genes["head_dim"]], modules))
        self.depth = np.array(choices["depth"])[options.genes["depth"]]
        grid = (len(sides), len(before), len(width))
        self.first = {m: np.zeros((*grid, int(np.prod(self.shape))), np.int64) for m in PRICED}
        self.rest = {m: np.zeros((grid[0], grid[2], int(np.prod(self.shape))), np.int64) for m in PRICED}
        self.downs = {m: np.zeros((*grid, int(np.prod(modules))), np.int64) for m in PRICED}
        self._price_blocks(sides, before, width)
        for i, j in product(*map(range, modules)):
            if down := choices["down"][i]:
                stage = self._stage({"down": down, "head_dim": choices["head_dim"][j]}, np.tile(width, len(before)))
                tally = _tally(DOWN_MODULES[down].cost, sides, np.repeat(before, len(width)), stage)
                for m in PRICED:
                    values = np.broadcast_to(getattr(tally, m), (grid[0], grid[1] * grid[2]))
                    self.downs[m][..., i * modules[1] + j] = values.reshape(grid)

    def _price_blocks(self, sides: Table, before: Table, width: Table) -> None:
        """Fills `first` and `rest`: one call prices all widths and expansions that take the same branches."""
        choices, stride = self.options.choices, self.options.constants["stride"]
        inner = -(-sides // stride)
        expansion = np.array(choices["expansion"])
        i, j, e = (index.reshape(-1) for index in np.indices((len(before), len(width), len(expansion))))
        for kind in {code // len(expansion) for code in self.block.tolist()}:
            picked = np.unravel_index(kind, self.shape[:-1])
            genes = {gene: choices[gene][k] for gene, k in zip(BLOCK_GENES, picked, strict=False)}
            price, codes = BLOCKS[genes["op"]].cost, kind * len(expansion) + np.arange(len(expansion))
            for at in _alike(width[j], width[j], expansion[e], i == 0):
                tally = _tally(price, inner, width[j[at]], self._stage(genes, width[j[at]], expansion[e[at]]))
                for m in PRICED:
                    self.rest[m][:, j[at], codes[e[at]]] = getattr(tally, m)
            for at in _alike(before[i], width[j], expansion[e]):
                stage = self._stage(genes, width[j[at]], expansion[e[at]])
                tally = _tally(price, sides, before[i[at]], stage, stride=stride)
                for m in PRICED:
                    self.first[m][:, i[at], j[at], codes[e[at]]] = getattr(tally, m)

    def _stage(self, genes: dict[str, Any], width: Any, expansion: Any = 1) -> StageSpec:
        defaults = {"op": "mbconv", "kernel": 3, "se": False, "head_dim": 1, "down": None}
        fields: dict[str, Any] = {**defaults, **self.options.constants, **genes}
        return cast(StageSpec, _Stage(width=width, expansion=expansion, **fields))

    def table(self, metric: str) -> Table:
        """(resolutions, widths before, widths, options)."""
        first, rest, downs, plain = self.first[metric], self.rest[metric], self.downs[metric], self.down < 0
        table = np.empty((*first.shape[:3], len(self.block)), dtype=np.int64)
        for r, w in product(range(first.shape[0]), range(first.shape[1])):
            more = rest[r][:, self.block]
            start = np.where(plain, first[r, w][:, self.block], downs[r, w][:, np.maximum(self.down, 0)])
            if metric == "peak":
                table[r, w] = np.maximum(start, np.where(self.depth > plain, more, 0))
            else:
                table[r, w] = start + (self.depth - plain) * more
        return table


def _ravel(index: list[Indices], shape: tuple[int, ...]) -> Indices:
    return np.asarray(np.ravel_multi_index(tuple(index), shape), dtype=np.int64)


def _alike(w_in: Table, w_out: Table, expansion: Any, kept: Any = True) -> list[Indices]:
    """Places whose blocks take the same branches: equal widths or not, a hidden width like the input's or not."""
    hidden = np.maximum(1, (w_in * expansion).astype(np.int64))
    classes = 2 * (w_in == w_out) + (hidden == w_in)
    groups = (np.flatnonzero((classes == c) & kept) for c in range(4))
    return [group for group in groups if len(group)]


def _tally(price: Callable[..., None], sides: Table, *args: Any, **options: Any) -> Tally:
    tally = Tally(cast(int, sides[:, None]), cast(int, sides[:, None]))
    price(tally, *args, **options)
    return tally


def array(values: tuple[int, ...]) -> Any:
    """Choices as an array."""
    return np.array(values, dtype=np.int64)


@dataclass(frozen=True)
class _Stage:
    """The fields of a StageSpec that a block's cost reads, with arrays of widths and expansions; they are checked."""

    op: str
    width: Any
    expansion: Any
    stride: int
    kernel: int
    se: bool
    head_dim: int
    window: int
    grid: int
    down: str | None
