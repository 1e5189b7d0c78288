"""Costs of arrays of encoded architectures: exact integer tables, summed over stages."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from metanet.blocks import Tally
from metanet.search_spaces.choices import Indices, Mask
from metanet.search_spaces.constraints import Constraint
from metanet.search_spaces.cost_parts import COUNTED, StageParts, Table, array
from metanet.search_spaces.latency.part_tables import PartTables, part_tables
from metanet.search_spaces.latency.table import latency_of

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

SUMMED = (*COUNTED, "latency")
PAIR = ("macs", "params")
BLOCK = 16_384  # rows that are priced at a time: what they need fits the caches


class CostTable:
    """Costs for a space; its tables are made when they are first asked for."""

    def __init__(self, space: "Space") -> None:
        self.space = space
        self._parts: list[StageParts] = []
        sides = np.array(space.resolution, dtype=np.int64)
        stem = Tally(cast(int, sides[:, None]), cast(int, sides[:, None]))
        stem.conv(3, array(space.stem_width)[None], 3, stride=2)
        stem.norm(array(space.stem_width)[None])
        sides = -(-sides // 2)
        for options in space.options:
            self._parts.append(StageParts(options, sides))
            sides = -(-sides // options.constants["stride"])
        widths, heads = array(space.options[-1].choices["width"]), array(space.head_width)
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
        a whole."""
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
