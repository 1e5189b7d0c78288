"""One decomposition of centred features, which ridge, logistic regression, LogME and H-score share.

n images, d features, r directions with variance. For several subsets of the same images, products that hold each
other are added up rather than computed anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from metanet.data import Ids

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Eigen:
    """Centred features on their principal axes: (features - mean) @ vectors == rotated.

    mean     (d,)
    rotated  (n, r), rotated.T @ rotated == diag(values)
    values   (r,) eigenvalues of the scatter matrix; directions without variance are left out
    vectors  (d, r), orthonormal columns
    """

    mean: Matrix
    rotated: Matrix
    values: Matrix
    vectors: Matrix

    @property
    def unit(self) -> float:
        """Mean eigenvalue over the directions that centred data can have; 1 where all features are constant."""
        (n, _), (d, _) = self.rotated.shape, self.vectors.shape
        return float((self.rotated**2).sum()) / min(n - 1, d) or 1.0


def decompose(features: npt.NDArray[np.floating]) -> Eigen:
    """Of features (n, d), by the smaller of the d x d and the n x n product."""
    ((_, found),) = decompose_subsets(features, [np.arange(len(features))])
    return found


def decompose_subsets(features: npt.NDArray[np.floating], subsets: Sequence[Ids]) -> Iterator[tuple[int, Eigen]]:
    """The decomposition of each subset of the rows of `features` (n, d), with its place in `subsets`; in no order."""
    shifted = features.astype(np.float64)
    shift = shifted.mean(axis=0)
    shifted -= shift  # so that products of a subset lose nothing when its own mean is taken off
    grams: list[tuple[Ids, Matrix]] = []  # of subsets that lie in none that is known
    for place in sorted(range(len(subsets)), key=lambda place: len(subsets[place])):
        own = np.asarray(subsets[place], np.int64)
        rows = shifted[own]
        mean = rows.mean(axis=0)
        constant = np.ptp(rows, axis=0) == 0  # the mean of equal numbers is off by rounding
        rows -= mean
        rows[:, constant] = 0
        if len(rows) > len(mean):
            product = _gram(shifted, own, grams) - len(rows) * np.outer(mean, mean)
            product[constant], product[:, constant] = 0, 0
        else:
            product = rows @ rows.T
        yield place, _axes(rows, product, shift + mean)


def _gram(rows: Matrix, own: Ids, grams: list[tuple[Ids, Matrix]]) -> Matrix:
    """rows[own].T @ rows[own], from the largest of the known products that is part of it, whose place it takes."""
    held = [i for i, (known, _) in enumerate(grams) if np.isin(known, own).all()]
    known, gram = grams.pop(max(held, key=lambda i: len(grams[i][0]))) if held else (own[:0], np.zeros(()))
    fresh = rows[np.setdiff1d(own, known)]
    grams.append((own, gram + fresh.T @ fresh))
    return grams[-1][1]


def _axes(centred: Matrix, product: Matrix, mean: Matrix) -> Eigen:
    n, d = centred.shape
    with threadpool_limits(1):  # two threads on two busy cores took 1.9 to 8 s for n = 1000, one thread 0.5 s
        values, axes = np.linalg.eigh(product)
    kept = values > max(0.0, values[-1]) * max(n, d) * np.finfo(np.float64).eps
    values, axes = values[kept], axes[:, kept]
    if n > d:
        return Eigen(mean, centred @ axes, values, axes)
    spread = np.sqrt(values)
    return Eigen(mean, axes * spread, values, centred.T @ (axes / spread))
