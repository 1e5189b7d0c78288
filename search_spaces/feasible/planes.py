"""Chains under two budgets at once: the bounds of `chains`, over bins of two costs.

bound[i][state, r, s] and ahead (the largest of the four neighbouring bins) are as there. Options between two states
that fall into one bin of both costs are one cell. A draw picks a cell for a block of bins under the largest number of
ways ahead from the block, and accepts it with the share of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, ifft, irfft, next_fast_len, rfft  # type: ignore[import-untyped]

from metanet.search_spaces.feasible.chains import search

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BLOCK = 8  # bins a side of a block, a power of two
NOISE = 1e-13
ROUNDS, STRAGGLERS = 24, 64  # of rejection inside of a block; tries left over that are not worth a round


@dataclass(frozen=True)
class PlaneLayer:
    """The options between the states before and behind: two costs and the weight of each, (before, behind, options)."""

    costs: tuple[Indices, Indices]
    weight: Floats


@dataclass(frozen=True)
class _Cells:
    """The cells of a layer, those of each state before one after the other."""

    start: Indices  # (before + 1,) the first cell of each state
    behind: Indices  # (cells,) state behind
    a: Indices  # (cells,) bin of the first cost
    b: Indices  # (cells,) bin of the second cost
    mass: Floats  # (cells,) weight of its options
    first: Indices  # (cells + 1,) where its options start in `order`
    order: Indices  # (kept options,) places in the layer


class Plane:
    """Paths from one state through `layers` whose two costs lie in [low, high] each; both highs are finite.

    bins      a side of the plane
    boolean   tells only whether there may be any path: `weight` is 0 or 1. Weights can be 0 by rounding, where paths
              are very few beside those of other bins; these sums are small whole numbers, and rounding cannot hide one
    """

    def __init__(
        self,
        layers: Sequence[PlaneLayer],
        low: tuple[float, float],
        high: tuple[int, int],
        bins: int,
        *,
        boolean: bool = False,
    ) -> None:
        self.layers, self.low, self.high, self.boolean = layers, low, high, boolean
        self.unit = tuple(-(-(h + 1) // bins) for h in high)
        self.bins = tuple(h // u + 1 for h, u in zip(high, self.unit, strict=True))
        self.cells = [self._celled(layer) for layer in layers]
        bound = np.zeros((layers[-1].weight.shape[1], *self.bins))
        spare = [int(h - max(least, 0)) // u + 1 for h, least, u in zip(high, low, self.unit, strict=True)]
        bound[:, : spare[0], : spare[1]] = 1.0
        self.bound = [bound]  # for each layer and behind the last: (states, bins, bins)
        self.ahead: list[Floats] = []  # behind each layer, flat over (states, bins, bins) with BLOCK zeros around
        self.tops: list[Floats] = []  # the same, the largest over the block of bins up to each
        for layer, cells in zip(reversed(layers), reversed(self.cells), strict=True):
            ahead = bound
            for axis, (cost, unit) in enumerate(zip(layer.costs, self.unit, strict=True), start=1):
                if (cost % unit).any():  # costs that are whole bins lose no fraction
                    ahead = np.maximum(ahead, _shifted(ahead, axis))
            padded = np.pad(ahead, ((0, 0), (2 * BLOCK - 1, BLOCK), (2 * BLOCK - 1, BLOCK)))
            self.tops.insert(0, _largest(_largest(padded, 1), 2).reshape(-1))
            self.ahead.insert(0, padded[:, BLOCK - 1 :, BLOCK - 1 :].reshape(-1))
            bound = self._step(cells, ahead)
            self.bound.insert(0, bound)
        self.rows = [_Rows() for _ in layers]

    @property
    def weight(self) -> float:
        """Upper bound on the weight of all paths."""
        return float(self.bound[0][0, -1, -1])

    def _celled(self, layer: PlaneLayer) -> _Cells:
        before, behind, count = layer.weight.shape
        a, b = (cost // unit for cost, unit in zip(layer.costs, self.unit, strict=True))
        kept = np.flatnonzero((layer.weight > 0) & (a < self.bins[0]) & (b < self.bins[1]))
        pair = kept // count
        levels, level = np.unique(layer.weight.reshape(-1)[kept], return_inverse=True)
        code = (pair * self.bins[0] + a.reshape(-1)[kept]) * self.bins[1] + b.reshape(-1)[kept]
        code = code * len(levels) + level  # options of one cell have one weight
        order = np.argsort(code, kind="stable")
        codes, first = np.unique(code[order], return_index=True)
        codes = codes // max(1, len(levels))
        weight = layer.weight.reshape(-1)[kept[order]]
        mass = np.add.reduceat(weight, first) if len(first) else np.zeros(0)
        mass = np.ones_like(mass) if self.boolean else mass
        pairs, rest = np.divmod(codes, self.bins[0] * self.bins[1])
        start = np.searchsorted(pairs // behind, np.arange(before + 1))
        ends = np.append(first, len(kept))
        return _Cells(start, pairs % behind, rest // self.bins[1], rest % self.bins[1], mass, ends, kept[order])

    def _step(self, cells: _Cells, ahead: Floats) -> Floats:
        """(before, bins, bins) weight of the ways on: a convolution of cells with what lies ahead, by FFT.

        Its rounding errors are 1e-16 of the largest entry; what is below NOISE of it counts as no way at all.
        """
        states, behind = len(cells.start) - 1, len(ahead)
        shape = [next_fast_len(2 * bins - 1, real=True) for bins in self.bins]
        onward = _transformed(ahead, shape)
        bound = np.empty((states, *self.bins))
        for p in range(states):
            part = slice(cells.start[p], cells.start[p + 1])
            mass = np.zeros((behind, *self.bins))
            np.add.at(mass, (cells.behind[part], cells.a[part], cells.b[part]), cells.mass[part])
            total = np.zeros_like(onward[0])
            for j in np.unique(cells.behind[part]).tolist():
                total += _transformed(mass[j], shape) * onward[j]
            bound[p] = irfft(ifft(total, axis=0)[: self.bins[0]], shape[1])[:, : self.bins[1]]
        if self.boolean:
            return (bound > 0.5).astype(float)
        bound[bound < NOISE * bound.max()] = 0.0
        return bound

    def draw(self, n: int, rng: np.random.Generator) -> tuple[list[Indices], list[Indices]]:
        """The paths that are left of `n` tries: the state behind each layer, and the option in each."""
        state = np.zeros(n, dtype=np.int64)
        left = [np.full(n, high) for high in self.high]
        found: list[Indices] = []
        for i, layer in enumerate(self.layers):
            place, behind, ahead = self._pick(
                i, state, [rest // u for rest, u in zip(left, self.unit, strict=True)], rng
            )
            left = [rest - cost.reshape(-1).take(place) for rest, cost in zip(left, layer.costs, strict=True)]
            bins = [np.maximum(rest, 0) // u for rest, u in zip(left, self.unit, strict=True)]
            reached = (behind * self.bins[0] + bins[0]) * self.bins[1] + bins[1]
            kept = self.bound[i + 1].reshape(-1).take(reached) > rng.random(len(place)) * ahead
            for rest, high, low in zip(left, self.high, self.low, strict=True):
                kept &= rest >= 0
                if i + 1 == len(self.layers):
                    kept &= rest <= high - low
            found = [part[kept] for part in (*found, behind, place % layer.weight.shape[2])]
            state, left = behind[kept], [rest[kept] for rest in left]
        return found[0::2], found[1::2]

    def _pick(
        self, i: int, state: Indices, rest: list[Indices], rng: np.random.Generator
    ) -> tuple[Indices, Indices, Floats]:
        """The option's place in the layer, the state behind it and the ways ahead, in proportion to these ways."""
        cells, ahead, tops = self.cells[i], self.ahead[i], self.tops[i]
        wide = self.bins[1] + 2 * BLOCK
        plane = (self.bins[0] + 2 * BLOCK) * wide
        offset = cells.behind * plane - cells.a * wide - cells.b  # (cells,) from a bin to the one ahead
        here = (BLOCK + rest[0]) * wide + BLOCK + rest[1]
        corner = (BLOCK + (rest[0] | (BLOCK - 1))) * wide + BLOCK + (rest[1] | (BLOCK - 1))
        self._make_rows(i, np.unique(state * plane + corner), offset)
        sums = self.rows[i].sums
        begin = self.rows[i].begin(state * plane + corner)
        base = cells.start.take(state)
        length = cells.start.take(state + 1) - base
        whole = sums.take(begin + length - 1)
        cell, ways = np.empty(len(state), dtype=np.int64), np.empty(len(state))
        missing = np.arange(len(state))
        for _ in range(ROUNDS):
            if len(missing) <= STRAGGLERS:
                break
            goal = rng.random(len(missing)) * whole.take(missing)
            tried = base.take(missing) + search(sums, begin.take(missing), length.take(missing), goal)
            step = offset.take(tried)
            got = ahead.take(here.take(missing) + step)
            ok = rng.random(len(missing)) * tops.take(corner.take(missing) + step) < got
            done = missing[ok]
            cell[done], ways[done] = tried[ok], got[ok]
            missing = missing[~ok]
        self._enumerate(i, missing, state, rest, here, cell, ways, rng)
        first = cells.first.take(cell)
        place = first + (rng.random(len(cell)) * (cells.first.take(cell + 1) - first)).astype(np.int64)
        return cells.order.take(place), cells.behind.take(cell), ways

    def _enumerate(
        self,
        i: int,
        missing: Indices,
        state: Indices,
        rest: list[Indices],
        here: Indices,
        cell: Indices,
        ways: Floats,
        rng: np.random.Generator,
    ) -> None:
        """Picks for tries whose blocks accept so rarely that all cells within their bins are looked at sooner."""
        cells, ahead = self.cells[i], self.ahead[i]
        wide = self.bins[1] + 2 * BLOCK
        plane = (self.bins[0] + 2 * BLOCK) * wide
        keys = state[missing] * plane + here[missing]
        order = missing[np.argsort(keys, kind="stable")]
        for alike in np.split(order, np.flatnonzero(np.diff(np.sort(keys))) + 1) if len(order) else ():
            k = alike[0]
            part = slice(cells.start[state[k]], cells.start[state[k] + 1])
            fits = (cells.a[part] <= rest[0][k]) & (cells.b[part] <= rest[1][k])
            offset = cells.behind[part] * plane - cells.a[part] * wide - cells.b[part]
            onward = np.where(fits, ahead.take(np.where(fits, here[k] + offset, 0)), 0.0)
            reach = np.cumsum(onward * cells.mass[part])
            at = np.searchsorted(reach, rng.random(len(alike)) * reach[-1], side="right")
            at = np.minimum(at, len(reach) - 1)
            # where rounding alone promised a way, it ends here
            cell[alike], ways[alike] = part.start + at, np.where(onward[at] > 0, onward[at], np.inf)

    def _make_rows(self, i: int, keys: Indices, offset: Indices) -> None:
        """Running sums over the cells of a state, weighted by the most ways ahead from a block, for new blocks."""
        cells, rows = self.cells[i], self.rows[i]
        wide = self.bins[1] + 2 * BLOCK
        plane = (self.bins[0] + 2 * BLOCK) * wide
        new = []
        for key in keys[~np.isin(keys, rows.keys)].tolist():
            state, corner = divmod(key, plane)
            part = slice(cells.start[state], cells.start[state + 1])
            fits = (cells.a[part] < corner // wide - BLOCK + 1) & (cells.b[part] < corner % wide - BLOCK + 1)
            top = self.tops[i].take(np.where(fits, corner + offset[part], 0))
            new.append((key, np.cumsum(np.where(fits, top, 0.0) * cells.mass[part])))
        if new:
            rows.add(new)


class _Rows:
    """Rows of running sums by key, of different lengths, one behind the other."""

    def __init__(self) -> None:
        self.keys, self.starts, self.sums = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        self.used = 0  # of `sums`, which grows by doubling

    def begin(self, keys: Indices) -> Indices:
        """Where each key's row starts."""
        return self.starts[np.searchsorted(self.keys, keys)]

    def add(self, new: list[tuple[int, Floats]]) -> None:
        """Appends rows."""
        starts = self.used + np.cumsum([0, *(len(row) for _, row in new[:-1])])
        keys = np.append(self.keys, [key for key, _ in new])
        order = np.argsort(keys)
        self.keys, self.starts = keys[order], np.append(self.starts, starts)[order]
        end = self.used + sum(len(row) for _, row in new)
        if end > len(self.sums):
            grown = np.empty(max(end, 2 * len(self.sums)))
            grown[: self.used] = self.sums[: self.used]
            self.sums = grown
        np.concatenate([row for _, row in new], out=self.sums[self.used : end])
        self.used = end


def _transformed(values: Floats, shape: list[int]) -> "NDArray[np.complex128]":
    """The transform over the last two axes, padded to `shape`; rows of zeros are not transformed."""
    return fft(rfft(values, shape[1]), shape[0], axis=-2)  # type: ignore[no-any-return]


def _largest(values: Floats, axis: int) -> Floats:
    """The largest of each BLOCK neighbours along an axis, which gets shorter by BLOCK - 1."""
    span = 1
    while span < BLOCK:
        length = values.shape[axis] - span
        near, far = (values[(slice(None),) * axis + (slice(at, at + length),)] for at in (0, span))
        values = np.maximum(near, far)
        span *= 2
    return values


def _shifted(values: Floats, axis: int) -> Floats:
    """Values moved up by one bin along an axis."""
    moved = np.roll(values, 1, axis)
    moved[(slice(None),) * axis + (0,)] = 0.0
    return moved
