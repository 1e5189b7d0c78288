"""How many architectures satisfy constraints: exactly where they can be enumerated, else between certified brackets.

One rule. Let F(x) be the number of architectures whose costs, each option's rounded down to bins, sum to at most the
bin of x, and C(x) the same with costs rounded up. Then C(x) <= #{cost <= x} <= F(x), hence for a window

    C(high) - F(low - 1) <= #{low <= cost <= high} <= F(high) - C(low - 1).

Both are polynomial products over the chain of stages, by FFT; its rounding error is bounded (`GROWTH`) and added to the
brackets. Where a bin is no wider than the greatest common divisor of all costs, nothing is rounded, and both meet.

Several rules: what one rule alone allows and the sampler's own bound are upper brackets, the distinct architectures
that were drawn are a lower one, and the share of tries that are kept gives an estimate in between.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft  # type: ignore[import-untyped]

from metanet.errors import MetanetError
from metanet.search_spaces.choices import OPTION_GENES, Indices
from metanet.search_spaces.constraints import Constraint, window
from metanet.search_spaces.costs import SUMMED

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

Floats = NDArray[np.float64]

ENUMERABLE = 200_000  # architectures of a space that are all priced
BINS = 2**15
# An FFT's error is at most log2(length) times a small multiple of the rounding unit, of the norm of what it transforms
# (Higham, Accuracy and Stability of Numerical Algorithms, 2002, theorem 24.2).
GROWTH = 16 * np.finfo(np.float64).eps
SLACK = 1e-9  # what sums of so many floating-point numbers may lose
EXACT = 2.0**50  # whole numbers up to here are exact, and so are their sums over bins
TRIES = 65_536


@dataclass(frozen=True)
class Count:
    """A number of architectures.

    low, high   certified brackets; equal where the count is exact
    estimate    the likeliest number, from random tries; the count itself where it is exact
    error       standard error of the estimate
    """

    low: int
    high: int
    estimate: float
    error: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether the brackets meet."""
        return self.low == self.high

    def __str__(self) -> str:
        """One line."""
        if self.exact:
            return f"{self.low:,}"
        return f"about {self.estimate:.4g} ± {self.error:.1g}, certainly {self.low:.6g} to {self.high:.6g}"


def count(space: "Space", rules: tuple[Constraint, ...]) -> Count:
    """How many architectures of the space satisfy all rules; 0 where there are none."""
    if not rules:
        return Count(space.size, space.size, float(space.size))
    if space.size <= ENUMERABLE:
        found = sum(int(space.table.satisfies(rows, rules).sum()) for rows in all_rows(space))
        return Count(found, found, float(found))
    try:
        sampler = space.sampler(rules)
    except MetanetError:
        return Count(0, 0, 0.0)  # only where a bound proves it, or millions of tries found none
    rng = np.random.default_rng(0)
    rows = sampler.attempt(TRIES, rng)
    weight = float(sampler.contexts.weights.sum())
    share = len(rows) / TRIES
    low, high = len(np.unique(rows, axis=0)), math.ceil(weight * (1 + 1e-9))
    summed = [metric for metric in SUMMED if any(rule.metric == metric for rule in rules)]
    windows = [window(rules, metric, *space.table.extremes(metric)) for metric in summed]
    brackets = [_brackets(space, metric, int(a), int(b)) for metric, (a, b) in zip(summed, windows, strict=True)]
    high = min([high, space.size, *(top for _, top in brackets)])
    if len(summed) == 1 and len(brackets) == 1 and all(rule.metric in SUMMED for rule in rules):
        low = max(low, brackets[0][0])
    error = weight * math.sqrt(max(share * (1 - share), 1 / TRIES) / TRIES)
    estimate = min(max(weight * share, low), high)
    return Count(low, max(low, high), float(estimate), 0.0 if low == high else error)


def all_rows(space: "Space") -> Iterator[Indices]:
    """Every architecture of the space once, as canonical rows, in blocks; for spaces that are small enough."""
    for stem in range(len(space.stem_width)):
        rows = np.zeros((1, len(space.genes)), dtype=np.int64)
        rows[:, space.column["stem_width"]] = stem
        width = np.array([stem])
        for i, options in enumerate(space.options):
            found = []
            for before in np.unique(width).tolist():
                here = rows[width == before]
                wide, option = np.nonzero(options.valid[before])
                part = np.repeat(here, len(wide), axis=0)
                part[:, space.column[f"stage{i}.width"]] = np.tile(wide, len(here))
                for gene in OPTION_GENES:
                    part[:, space.column[f"stage{i}.{gene}"]] = np.tile(options.genes[gene][option], len(here))
                found.append(part)
            rows = np.concatenate(found)
            width = rows[:, space.column[f"stage{i}.width"]]
        for resolution in range(len(space.resolution)):
            for head in range(len(space.head_width)):
                block = rows.copy()
                block[:, space.column["resolution"]], block[:, space.column["head_width"]] = resolution, head
                yield block


def _brackets(space: "Space", metric: str, low: int, high: int) -> tuple[int, int]:
    """Certified brackets of the number of architectures with a metric in [low, high]."""
    below = above = 0.0
    for resolution in range(len(space.resolution)):
        layers = _layers(space, metric, resolution)
        unit = math.gcd(*(int(np.gcd.reduce(cost[valid])) for cost, valid in layers if valid.any()))
        unit *= max(1, -(-(high + 1) // (unit * BINS)))
        floor, ceil = (_sums(layers, unit, high // unit + 1, up) for up in (False, True))
        ends = high // unit, (low - 1) // unit
        (most, most_error), (least, least_error) = floor, ceil
        error = most_error + least_error
        above += most[ends[0]] - (least[ends[1]] if low > 0 and ends[1] >= 0 else 0.0) + error
        below += max(0.0, least[ends[0]] - (most[ends[1]] if low > 0 and ends[1] >= 0 else 0.0) - error)
    if above < EXACT:
        return math.ceil(below), math.floor(above)
    return math.floor(below * (1 - SLACK)), math.ceil(above * (1 + SLACK))


def _layers(space: "Space", metric: str, resolution: int) -> list[tuple[Any, Any]]:
    """Costs and validity of each layer, (before, behind, options): stem, stages, head."""
    table = space.table
    stem, head = table.stem(metric)[resolution], table.head(metric)[resolution]
    stages = [costs[resolution] for costs in table.stages(metric)]
    layers = [(stem[None, :, None], np.ones((1, len(stem), 1), dtype=bool))]
    layers += [(costs, options.valid) for costs, options in zip(stages, space.options, strict=True)]
    return [*layers, (head[:, None, :], np.ones((len(head), 1, head.shape[1]), dtype=bool))]


def _sums(layers: list[tuple[Any, Any]], unit: int, bins: int, up: bool) -> tuple[Floats, float]:
    """(bins,) how many paths cost at most so many bins, costs rounded up or down; and a bound on the error of each."""
    length = next_fast_len(2 * bins - 1, real=True)
    ways, error = np.zeros((1, bins)), np.zeros(1)
    ways[0, 0] = 1.0
    for cost, valid in layers:
        binned = np.minimum(-(-cost // unit) if up else cost // unit, bins)
        before, behind, _ = cost.shape
        onward = rfft(ways, length)
        norms = np.sqrt(np.square(ways).sum(1))
        ways, found = np.zeros((behind, bins)), np.zeros(behind)
        for j in range(behind):
            total = np.zeros(onward.shape[1], dtype=np.complex128)
            for i in range(before):
                mass = np.bincount(binned[i, j][valid[i, j]], minlength=bins + 1)[:bins].astype(float)
                total += rfft(mass, length) * onward[i]
                size = math.sqrt(np.square(mass).sum())  # not by BLAS, whose threads wait long on a busy machine
                found[j] += mass.sum() * error[i] + GROWTH * math.log2(length) * size * norms[i]
            ways[j] = irfft(total, length)[:bins]
        np.maximum(ways, 0.0, out=ways)  # the truth is not negative: this brings no entry farther from it
        if found.max() < 0.25 and ways.max() < EXACT:  # the truth is whole, and this is nearer to it than to any other
            ways, found = np.rint(ways), np.zeros(behind)
        error = found
    return ways[0].cumsum(), float(error[0] * bins)
