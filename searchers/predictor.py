"""A Gaussian process over tables of choices: how good an architecture is likely to be, and how sure that is.

A row of choices is written as bits: one bit a choice where choices are names, a thermometer where they are numbers.
The covariance of two rows is amplitude * exp(-sum of the weights of the bits in which they differ): with small weights
nearly a sum of single effects, with larger ones also of pairs, triples and so on. Each bit has its own weight, so that
a choice that changes much (an operator that cuts the network off) may differ from all others while those resemble each
other. Weights, amplitude and noise are the most probable ones (maximum a posteriori; Rasmussen and Williams, "Gaussian
Processes for Machine Learning", 2006, sections 2.2 and 5.4.1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular  # type: ignore[import-untyped]
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from metanet.searchers.space import Gene

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SPREAD = 1.0  # standard deviation of the logarithm of a weight, before anything was seen
DISTANCE = 1.5  # expected distance of two rows that differ in every gene, before anything was seen
NOISE = 0.02  # expected share of noise in the variance, before anything was seen
NOISE_SPREAD = 1.5  # standard deviation of its logarithm
JITTER = 1e-6
SLOPES = 0.5  # expected share of all scores' slopes in the variance, before anything was seen
SLOPE_SPREAD = 2.0  # standard deviation of the logarithm of one
STEPS = 40  # of the optimiser


@dataclass(frozen=True)
class Code:
    """How rows become bits: `columns` and `values` of the choice that each bit asks for, and what it is worth.

    ordered   a bit asks whether the choice is at least, not whether it is exactly, this value
    """

    columns: Rows
    values: Rows
    ordered: NDArray[np.bool_]
    worth: Floats

    def bits(self, rows: Rows) -> Floats:
        """(n, bits) of 0 and 1, from (n, genes) positions of choices."""
        picked = np.asarray(rows)[:, self.columns]
        return np.where(self.ordered, picked >= self.values, picked == self.values).astype(float)


def code_of(genes: Sequence[Gene]) -> Code:
    """The bits of a table; numbers that rise or fall from choice to choice are ordered."""
    found = []
    for column, gene in enumerate(genes):
        count = len(gene.choices)
        if count < 2:
            continue
        if _ordered(gene.choices):
            found += [(column, value, True, 1 / (count - 1)) for value in range(1, count)]
        else:
            found += [(column, value, False, 0.5) for value in range(count)]  # two choices differ in two bits
    columns, values, ordered, worth = zip(*found, strict=True) if found else ((), (), (), ())
    return Code(np.array(columns, int), np.array(values, int), np.array(ordered, bool), np.array(worth, float))


def _ordered(choices: Sequence[object]) -> bool:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in choices):
        return False
    steps = np.diff(np.array(choices, float))
    return bool((steps > 0).all() or (steps < 0).all())


@dataclass(frozen=True)
class Kernel:
    """The numbers of the covariance: a weight a bit, the amplitude and the noise (variances), and of cheap scores the
    variance of each one's slope.

    Points are (n, bits + scores): bits of 0 and 1, then standardised scores.
    """

    weights: Floats
    amplitude: float
    noise: float
    slopes: Floats = field(default_factory=lambda: np.zeros(0))

    def __call__(self, a: Floats, b: Floats) -> Floats:
        """(n, m) covariances of points (n, ...) and (m, ...), without noise."""
        return self.by_bits(a, b) + self.by_scores(a, b)

    def by_bits(self, a: Floats, b: Floats) -> Floats:
        """(n, m) the share of the covariances that is owed to bits."""
        count = len(self.weights)
        return np.asarray(self.amplitude * np.exp(-_distances(a[:, :count], b[:, :count], self.weights)))

    def by_scores(self, a: Floats, b: Floats) -> Floats | float:
        """(n, m) the share that is owed to scores; 0 where points have none."""
        return (self._scores(a) * self.slopes) @ self._scores(b).T if len(self.slopes) else 0.0

    def variance(self, points: Floats) -> Floats:
        """(n,) before anything was seen, without noise."""
        return self.amplitude + self._scores(points) ** 2 @ self.slopes

    def _scores(self, points: Floats) -> Floats:
        return points[:, len(self.weights) :]


def _distances(a: Floats, b: Floats, weights: Floats) -> Floats:
    both = (a * weights) @ b.T
    return np.asarray(np.maximum((a @ weights)[:, None] + (b @ weights)[None] - 2 * both, 0))


def fitted(points: Floats, values: Floats, worth: Floats) -> Kernel:
    """The most probable kernel of standardised values (n,) at points (n, bits + scores)."""
    genes, scores = max(1.0, worth.sum()), points.shape[1] - len(worth)
    slopes = np.full(scores, math.log(SLOPES / max(scores, 1)))
    center = np.concatenate([np.log(DISTANCE * worth / genes), [0.0, math.log(NOISE)], slopes])
    spread = np.concatenate([np.full(len(worth), SPREAD), [1.0, NOISE_SPREAD], np.full(scores, SLOPE_SPREAD)])
    low, high = center - 4 * spread, center + 4 * spread
    found = minimize(
        _loss,
        center,
        (points, values, len(worth), center, spread),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": STEPS},
    )
    return _kernel(found.x, len(worth))


def _kernel(x: Floats, bits: int) -> Kernel:
    numbers = np.exp(x)
    return Kernel(numbers[:bits], float(numbers[bits]), float(numbers[bits + 1]), numbers[bits + 2 :])


def _loss(
    x: Floats, points: Floats, values: Floats, count: int, center: Floats, spread: Floats
) -> tuple[float, Floats]:
    """Minus the logarithm of the posterior density up to a constant, and its gradient (sections 5.9 and 2.30).

    count   of the bits among a point's numbers
    """
    kernel, bits = _kernel(x, count), points[:, :count]
    covariance = kernel.by_bits(points, points)
    total = covariance + kernel.by_scores(points, points) + (kernel.noise + JITTER) * np.eye(len(values))
    factor = cho_factor(total, lower=True)
    solved = cho_solve(factor, values)
    inverse = cho_solve(factor, np.eye(len(values)))
    outer = inverse - np.outer(solved, solved)
    shared = outer * covariance
    moved = bits * (shared.sum(1)[:, None] - shared @ bits)
    own = points[:, count:]
    steeper = 0.5 * kernel.slopes * (own * (outer @ own)).sum(0)
    gradient = np.concatenate(
        [-kernel.weights * moved.sum(0), [0.5 * shared.sum(), 0.5 * kernel.noise * np.trace(outer)], steeper]
    )
    away = (x - center) / spread
    loss = 0.5 * values @ solved + np.log(np.diag(factor[0])).sum() + 0.5 * away @ away
    return float(loss), gradient + away / spread


@dataclass(frozen=True)
class Posterior:
    """What was learnt: the kernel, the points that were told, and their values seen through it."""

    kernel: Kernel
    points: Floats
    factor: Floats
    solved: Floats

    def __call__(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,) of the values without noise at points (n, bits + scores)."""
        across = self.kernel(self.points, points)
        mean = across.T @ self.solved
        explained = solve_triangular(self.factor, across, lower=True, check_finite=False)
        variance = self.kernel.variance(points) - np.einsum("ij,ij->j", explained, explained)
        return mean, np.sqrt(np.maximum(variance, 1e-12))


def posterior(kernel: Kernel, points: Floats, values: Floats) -> Posterior:
    """The process after values (n,) were seen at points (n, bits + scores)."""
    total = kernel(points, points) + (kernel.noise + JITTER) * np.eye(len(values))
    factor = np.tril(cho_factor(total, lower=True)[0])
    return Posterior(kernel, points, factor, cho_solve((factor, True), values))


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """By how much normal values (n,) exceed the best on average (Jones, Schonlau, Welch, 1998, equation 15)."""
    ahead = mean - best
    z = ahead / deviation
    return np.asarray(ahead * ndtr(z) + deviation * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


def warped(values: Floats) -> Floats:
    """(n,) the same order, more is better, with mean 0 and variance 1: below the median by rank, above it as they are.

    How bad the bad half is does not matter to a search, and a few failures would stretch the scale so far that the
    good ones could not be told apart: the lower half becomes half a normal distribution, by ranks.
    """
    middle = float(np.median(values))
    above = values >= middle
    unit = float(np.sqrt(np.mean((values[above] - middle) ** 2)))
    _, first, count = np.unique(np.sort(values), return_index=True, return_counts=True)
    ranks = (first + count / 2)[np.searchsorted(np.unique(values), values)] / len(values)  # of equals the mean
    even = np.where(above, (values - middle) / (unit or 1.0), ndtri(ranks))
    spread = float(even.std())
    return np.asarray((even - even.mean()) / (spread or 1.0))
