"""Counting and drawing paths through a chain of layers under a budget: dynamic programming over binned costs.

A path picks a state of each layer and an option between each two states; it costs the sum over its options. What is
left of the budget is rounded down to bins. An option that costs `c` leads from the bin `r` of what is left to the bin
`r - floor(c)` or the one below, since the fractions of both are lost. The table therefore holds upper bounds:

    bound[i][state, r] = sum over options of weight * ahead[i + 1][state', r - floor(c)]
    ahead[i][state, r] = max(bound[i][state, r], bound[i][state, r - 1])

A draw picks options in proportion to `ahead`, tracks the exact cost, and goes on with probability bound / ahead of the
bin it really reached; one that stops is drawn anew. The probabilities telescope: each path has the same, 1 / bound[0].
All sums are of numbers that are not negative: a bound is 0 only where there is no path.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BLOCK = 32  # bins in a block: options are picked by block, then inside of it


@dataclass(frozen=True)
class Layer:
    """The options between the states before and behind: cost and weight of each, (before, behind, options).

    A weight of 0 excludes an option.
    """

    cost: Indices
    weight: Floats


@dataclass(frozen=True)
class _Binned:
    """A layer with the options between each two states sorted by bin; pairs of states are flattened."""

    bins: NDArray[np.int16]  # (pairs * options,) ascending within each pair
    order: NDArray[np.int32]  # (pairs * options,) where the option at each place stands in the layer
    mass: Floats  # (before, behind, blocks * BLOCK) weight in each bin
    first: Indices  # (pairs * (blocks + 1),) the place where each block starts
    weights: Floats | None  # (pairs * options,) running sum of weights over the places; None where all are equal


class Chain:
    """Paths from one state through `layers` whose total cost lies in [low, high]; high is finite.

    bins   how many bins reach from 0 to `high`: more make a draw less likely to be drawn anew, and the set-up longer
    """

    def __init__(self, layers: Sequence[Layer], low: float, high: int, bins: int) -> None:
        self.layers, self.low, self.high = layers, low, high
        self.unit = -(-(high + 1) // bins)  # whole, so that bins of costs are exact
        self.bins = bins = high // self.unit + 1
        self.blocks = -(-bins // BLOCK)
        self.binned = [self._sorted(layer) for layer in layers]
        bound = np.zeros((layers[-1].cost.shape[1], bins))
        bound[:, : int(high - max(low, 0)) // self.unit + 1] = 1.0
        self.bound = [bound.reshape(-1)]  # for each layer and behind the last: (states * bins,)
        self.steps: list[Floats] = []  # (states, bins, behind * blocks): running sums over state behind and block
        self.ahead: list[Floats] = []  # behind each layer, (states * (BLOCK + bins),): zeros in front of each state
        self.tops: list[Floats] = []  # the same, the largest over the BLOCK bins up to each
        for layer, binned in zip(reversed(layers), reversed(self.binned), strict=True):
            ahead = bound  # costs that are whole bins lose no fraction
            if (layer.cost % self.unit).any():
                ahead = np.maximum(bound, np.pad(bound, ((0, 0), (1, 0)))[:, :-1])
            step = self._step(binned, ahead)
            padded = np.pad(ahead, ((0, 0), (2 * BLOCK - 1, 0)))
            self.steps.insert(0, step)
            self.ahead.insert(0, padded[:, BLOCK - 1 :].reshape(-1))
            self.tops.insert(0, sliding_window_view(padded, BLOCK, axis=1).max(2).reshape(-1))
            bound = step[:, :, -1]
            self.bound.insert(0, bound.reshape(-1))

    @property
    def weight(self) -> float:
        """Upper bound on the weight of all paths, and the weight that draws before any are dropped stand for."""
        return float(self.bound[0][self.bins - 1])

    def _sorted(self, layer: Layer) -> _Binned:
        before, behind, count = layer.cost.shape
        pairs, width = before * behind, self.blocks * BLOCK
        floored = np.minimum(layer.cost // self.unit, self.bins)
        bins = np.where((layer.weight > 0) & (floored < self.bins), floored, width).astype(np.int16)
        bins, weight = bins.reshape(pairs, count), layer.weight.reshape(pairs, count)
        order = np.argsort(bins, axis=1, kind="stable")
        place = (np.arange(pairs)[:, None] * (width + 1) + bins).reshape(-1)
        counts = np.bincount(place, minlength=pairs * (width + 1)).reshape(pairs, -1)[:, :width]
        found = weight[weight > 0]
        equal = len(found) == 0 or found.min() == found.max()
        if equal:
            mass, weights = counts * (found[0] if len(found) else 0.0), None
        else:
            mass = np.bincount(place, weight.reshape(-1), pairs * (width + 1)).reshape(pairs, -1)[:, :width]
            weights = np.take_along_axis(weight, order, 1).reshape(-1).cumsum()
        first = np.zeros((pairs, self.blocks + 1), dtype=np.int64)
        first[:, 1:] = counts.reshape(pairs, self.blocks, BLOCK).sum(2).cumsum(1)
        offset = np.arange(pairs)[:, None] * count
        return _Binned(
            np.take_along_axis(bins, order, 1).reshape(-1),
            (order + offset).reshape(-1).astype(np.int32),
            np.ascontiguousarray(mass).reshape(before, behind, width),
            (first + offset).reshape(-1),
            weights,
        )

    def _step(self, layer: _Binned, ahead: Floats) -> Floats:
        """(before, bins, behind * blocks) running sums of the weight of the ways on, by state behind and block."""
        before, behind, width = layer.mass.shape
        step = np.empty((before, self.bins, behind, self.blocks))
        for j in range(behind):
            # rows: what is left; columns: bin of the option; entry: ways on from there
            left = np.concatenate([np.zeros(width - 1), ahead[j]])
            ways = np.ascontiguousarray(sliding_window_view(left, width)[:, ::-1])
            for k in range(self.blocks):
                part = slice(k * BLOCK, (k + 1) * BLOCK)
                step[:, :, j, k] = (ways[:, part] @ layer.mass[:, j, part].T).T
        return step.reshape(before, self.bins, behind * self.blocks).cumsum(-1)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[list[Indices], list[Indices]]:
        """The paths that are left of `n` tries: the state behind each layer, and the option in each."""
        state, left = np.zeros(n, dtype=np.int64), np.full(n, self.high)
        found: list[Indices] = []  # state behind and option of each layer so far
        for i, layer in enumerate(self.layers):
            count = layer.cost.shape[2]
            behind, place, ahead = self._pick(i, state, left // self.unit, rng)
            left = left - layer.cost.reshape(-1).take(place)
            reached = behind * self.bins + np.maximum(left, 0) // self.unit
            kept = self.bound[i + 1].take(reached) > rng.random(len(left)) * ahead
            kept &= (left >= 0) if i + 1 < len(self.layers) else (left >= 0) & (left <= self.high - self.low)
            found = [part[kept] for part in (*found, behind, place % count)]
            state, left = behind[kept], left[kept]
        return found[0::2], found[1::2]

    def _pick(self, i: int, state: Indices, rest: Indices, rng: np.random.Generator) -> tuple[Indices, Indices, Floats]:
        """The state behind, the option's place in the layer and the ways ahead, in proportion to these ways: first
        state and block, then the option, by rejection under the largest number of ways from the block."""
        layer, step = self.binned[i], self.steps[i]
        length, flat = step.shape[2], step.reshape(-1)
        row = (state * self.bins + rest) * length
        slot = search(flat, row, length, rng.random(len(state)) * flat.take(row + length - 1))
        behind, block = np.divmod(slot, self.blocks)
        at = (state * layer.mass.shape[1] + behind) * (self.blocks + 1) + block
        first, end = layer.first.take(at), layer.first.take(at + 1)
        here = behind * (BLOCK + self.bins) + BLOCK + rest
        top = self.tops[i].take(here - block * BLOCK)
        place, ahead = np.empty(len(state), dtype=np.int64), np.empty(len(state))
        missing = np.arange(len(state))
        while len(missing):
            tried = self._inside(layer, first[missing], end[missing], rng)
            ways = self.ahead[i].take(here[missing] - layer.bins.take(tried))
            ok = rng.random(len(missing)) * top[missing] < ways
            done = missing[ok]
            place[done], ahead[done] = layer.order.take(tried[ok]), ways[ok]
            missing = missing[~ok]
        return behind, place, ahead

    def _inside(self, layer: _Binned, first: Indices, end: Indices, rng: np.random.Generator) -> Indices:
        """A place in [first, end) by weight."""
        u = rng.random(len(first))
        if layer.weights is None:
            return first + (u * (end - first)).astype(np.int64)
        below = np.where(first > 0, layer.weights.take(np.maximum(first, 1) - 1), 0.0)
        goal = below + u * (layer.weights.take(end - 1) - below)
        return np.clip(np.searchsorted(layer.weights, goal, side="right"), first, end - 1)


def search(sums: Floats, begin: Indices, length: Indices | int, goal: Floats) -> Indices:
    """For each row of ascending running sums, which begins at `begin`, the first place whose sum exceeds the goal."""
    low, last = np.zeros(len(begin), dtype=np.int64), length - 1
    step = 1 << max(0, int(np.max(last, initial=0)).bit_length() - 1)
    while step:
        probe = low + step
        ahead = (probe <= last) & (sums.take(begin + np.minimum(probe, last) - 1) <= goal)
        low += step * ahead
        step >>= 1
    return low
