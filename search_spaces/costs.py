"""Costs of arrays of encoded architectures: exact integer tables, summed over stages.

A stage costs its downsampling module, its first block, which depends on the width before it, and further equal blocks.
The blocks' own `cost` fills the tables: it prices all widths and resolutions in one call.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from metanet.blocks import BLOCKS, DOWN_MODULES, Tally
from metanet.search_spaces.choices import Indices, Mask, StageOptions
from metanet.search_spaces.constraints import Constraint
from metanet.search_spaces.latency.part_tables import PartTables, part_tables
from metanet.search_spaces.latency.table import latency_of
from metanet.spec import HEAD_OPS, StageSpec

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

Table = NDArray[np.int64]
COUNTED = ("macs", "params", "activations")
PRICED = (*COUNTED, "peak")
SUMMED = (*COUNTED, "latency")
PAIR = ("macs", "params")
BLOCK = 16_384  # rows that are priced at a time: what they need fits the caches
BLOCK_GENES = ("op", "kernel", "se", "head_dim", "expansion")


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


class CostTable:
    """Costs for a space; its tables are made when they are first asked for."""

    def __init__(self, space: "Space") -> None:
        self.space = space
        self._parts: list[_Parts] = []
        sides = np.array(space.resolution, dtype=np.int64)
        stem = Tally(cast(int, sides[:, None]), cast(int, sides[:, None]))
        stem.conv(3, _array(space.stem_width)[None], 3, stride=2)
        stem.norm(_array(space.stem_width)[None])
        sides = -(-sides // 2)
        for options in space.options:
            self._parts.append(_Parts(options, sides))
            sides = -(-sides // options.constants["stride"])
        widths, heads = _array(space.options[-1].choices["width"]), _array(space.head_width)
        head = Tally(cast(int, sides[:, None, None]), cast(int, sides[:, None, None]))
        head.conv(widths[None, :, None], heads[None, None, :], 1)
        head.norm(heads[None, None, :])
        shapes = (len(sides), len(space.stem_width)), (len(sides), len(widths), len(heads))
        self._ends = (stem, shapes[0]), (head, shapes[1])
        self._stages: dict[str, list[Table]] = {}
        self._widths = ("stem_width", *(f"stage{i}.width" for i in range(len(space.options))))

    @cached_property
    def _latency(self) -> PartTables:
        """Nanoseconds. Raises MetanetError where the space has no latency table, or one that lacks a part."""
        return part_tables(self.space, latency_of(self.space).of)

    def stem(self, metric: str) -> Table:
        """(resolutions, stem widths)."""
        if metric == "latency":
            return self._latency.stem
        tally, shape = self._ends[0]
        return np.broadcast_to(np.asarray(getattr(tally, metric)), shape)

    def head(self, metric: str) -> Table:
        """(resolutions, last widths, head widths)."""
        if metric == "latency":
            return self._latency.head
        tally, shape = self._ends[1]
        return np.broadcast_to(np.asarray(getattr(tally, metric)), shape)

    def stages(self, metric: str) -> list[Table]:
        """For each stage (resolutions, widths before, widths, options)."""
        if metric == "latency":
            return self._latency.stages
        if metric not in self._stages:
            self._stages[metric] = [parts.table(metric) for parts in self._parts]
        return self._stages[metric]

    def __call__(self, rows: Indices, metrics: tuple[str, ...] = COUNTED) -> dict[str, Table]:
        """Costs of rows of choice indices (n, genes): metric -> (n,), equal to `metanet.cost` to the integer.

        metrics   of "macs", "params", "activations", "memory" (bytes: batch 1, 4 a number), "latency" (nanoseconds,
                  by the space's own table)
        """
        at, blocks = self.space.column, []
        for start in range(0, max(1, len(rows)), BLOCK):
            part = rows[start : start + BLOCK]
            widths = [part[:, at[name]] for name in self._widths]
            options = self.space.option_ids(part)
            ends = part[:, at["resolution"]], part[:, at["head_width"]]
            blocks.append(self.of_options(ends[0], widths, options, ends[1], metrics))
        return {metric: np.concatenate([block[metric] for block in blocks]) for metric in metrics}

    def of_options(
        self,
        resolution: Indices,
        widths: list[Indices],
        options: Sequence[NDArray[np.integer[Any]]],
        head: Indices,
        metrics: tuple[str, ...] = COUNTED,
    ) -> dict[str, Table]:
        """The same from option indices: widths of the stem and of each stage, an option for each stage; each (n,)."""
        places = self._places(resolution, widths, options, head)

        def collected(metric: str, join: Callable[..., Table]) -> Table:
            total, *more = (table.take(place) for table, place in zip(self._flat(metric), places, strict=True))
            for costs in more:
                join(total, costs, out=total)
            return total

        found: dict[str, Table] = {}
        if "macs" in metrics and "params" in metrics:  # side by side, one access of memory serves both
            total, *more = (pairs.take(place).view(np.int64) for pairs, place in zip(self._pairs, places, strict=True))
            for costs in more:
                total += costs
            found = {metric: np.ascontiguousarray(total[k::2]) for k, metric in enumerate(PAIR)}
        for metric in metrics:
            if metric in found:
                continue
            if metric == "memory":
                params = found["params"] if "params" in found else collected("params", np.add)
                found[metric] = 4 * (params + collected("peak", np.maximum))
            else:
                found[metric] = collected(metric, np.add)
        return {metric: found[metric] for metric in metrics}

    def satisfies(self, rows: Indices, rules: Sequence[Constraint]) -> Mask:
        """(n,) which rows satisfy every rule."""
        ok = np.ones(len(rows), dtype=bool)
        if rules and len(rows):
            costs = self(rows, tuple(dict.fromkeys(rule.metric for rule in rules)))
            for rule in rules:
                ok &= (costs[rule.metric] >= rule.low) & (costs[rule.metric] <= rule.high)
        return ok

    def _places(
        self,
        resolution: Indices,
        widths: list[Indices],
        options: Sequence[NDArray[np.integer[Any]]],
        head: Indices,
    ) -> list[Indices]:
        """Where stem, stages and head stand in their flat tables, each (n,)."""
        several = len(self.space.resolution) > 1

        def place(before: Indices | int, count: int, *rest: tuple[Any, int]) -> Indices:
            found = resolution * count + before if several else before
            for index, size in rest:
                found = found * size + index
            return np.asarray(found)

        places = [place(widths[0], len(self.space.stem_width))]
        for one, before, width, option in zip(self.space.options, widths, widths[1:], options, strict=False):
            _, wide, deep = one.valid.shape
            places.append(place(before, len(one.before), (width, wide), (option, deep)))
        last = len(self.space.options[-1].choices["width"])
        return [*places, place(widths[-1], last, (head, len(self.space.head_width)))]

    def _flat(self, metric: str) -> list[Table]:
        """The tables of stem, stages and head, flat."""
        return [table.reshape(-1) for table in (self.stem(metric), *self.stages(metric), self.head(metric))]

    @cached_property
    def _pairs(self) -> list[NDArray[np.complex128]]:
        """MACs and parameters side by side, flat: two integers in the bits of one complex number, which numpy takes as
        a
        whole."""
        both = zip(*(self._flat(metric) for metric in PAIR), strict=True)
        return [np.stack(tables, axis=-1).reshape(-1).view(np.complex128) for tables in both]

    def extremes(self, metric: str) -> tuple[int, int]:
        """The least and the greatest value of an additive metric in the space."""
        return self._best(metric, np.min, 2**62), self._best(metric, np.max, -(2**62))

    def _best(self, metric: str, pick: Callable[..., Any], never: int) -> int:
        best = np.array(self.stem(metric))  # (resolution, width so far)
        for table, options in zip(self.stages(metric), self.space.options, strict=True):
            stage = pick(np.where(options.valid, table, never), axis=-1)  # (resolution, before, width)
            with np.errstate(over="ignore"):
                chain = np.clip(best[:, :, None] + stage, -(2**62), 2**62)
            best = pick(chain, axis=1)
        return int(pick(best[:, :, None] + self.head(metric)))


def _array(values: tuple[int, ...]) -> Any:
    return np.array(values, dtype=np.int64)


class _Parts:
    """The distinct blocks and modules of a stage, priced at every width and resolution.

    first, rest   metric -> (resolutions, widths before, widths, blocks), (resolutions, widths, blocks)
    downs         metric -> (resolutions, widths before, widths, modules)
    """

    def __init__(self, options: StageOptions, sides: Table) -> None:
        self.options, choices = options, options.choices
        before, width = _array(options.before), _array(choices["width"])
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
