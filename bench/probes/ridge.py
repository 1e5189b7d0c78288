"""Ridge classification whose penalty is chosen by exact leave-one-out, for all penalties from one eigendecomposition.

n images, d features, k classes. Targets are one-hot in 0/1; the intercept is not penalised; the penalty is
penalty * ||weights||^2 beside the sum (not the mean) of squared errors. With H the matrix that maps targets to
fitted values (the intercept's 1/n included), the prediction for image i by a fit to the other images is
y_i - (y_i - (Hy)_i) / (1 - H_ii), exactly (Allen's PRESS; Rifkin & Lippert 2007, "Notes on regularized least squares").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from metanet.data import Ids
from metanet.errors import MetanetError

Matrix = npt.NDArray[np.float64]

PENALTIES = np.logspace(-6, 3, 37)
"""In units of the mean eigenvalue of the features' scatter matrix, so that scaling all features changes nothing."""


@dataclass(frozen=True, eq=False)
class RidgeLoo:
    """A fitted classifier.

    weights, bias   (d, k) and (k,)
    penalty         the chosen one, in absolute units
    penalties       (p,) all of them, in absolute units
    loo_accuracy    (p,) leave-one-out accuracy of each
    loo_error       (p,) leave-one-out mean squared error of each, summed over the classes
    held_out        (n, k) leave-one-out predictions at the chosen penalty
    """

    weights: Matrix
    bias: Matrix
    penalty: float
    penalties: Matrix
    loo_accuracy: Matrix
    loo_error: Matrix
    held_out: Matrix

    @classmethod
    def fit(
        cls, features: npt.NDArray[np.floating], labels: Ids, classes: int, *, penalties: Matrix = PENALTIES
    ) -> "RidgeLoo":
        """Fits features (n, d); takes the penalty of the best leave-one-out accuracy, among equal ones of least error.

        penalties   to choose from, relative to the mean eigenvalue

        Raises:
            MetanetError: fewer than two images.
        """
        if len(labels) < 2:
            raise MetanetError(f"leave-one-out needs at least 2 images, got {len(labels)}: take a larger percentage")
        mean, centred = _centre(features)
        targets = np.eye(classes)[labels]
        base = targets.mean(axis=0)
        rotated, values, vectors = _decompose(centred)
        moments = rotated.T @ (targets - base)
        absolute = penalties * _mean_eigenvalue(centred)
        leverages = 1 / len(labels) + rotated**2 @ (1 / (values[:, None] + absolute))

        def held_out(i: int) -> Matrix:
            fitted = base + rotated @ (moments / (values + absolute[i])[:, None])
            scores: Matrix = targets - (targets - fitted) / (1 - leverages[:, i, None])
            return scores

        hits, errors = np.empty(len(absolute), np.int64), np.empty(len(absolute))
        for i in range(len(absolute)):
            scores = held_out(i)
            hits[i] = np.count_nonzero(scores.argmax(axis=1) == labels)
            errors[i] = ((scores - targets) ** 2).sum() / len(labels)
        best = int(np.lexsort((errors, -hits))[0])
        weights = vectors @ (moments / (values + absolute[best])[:, None])
        return cls(
            weights=weights,
            bias=base - mean @ weights,
            penalty=float(absolute[best]),
            penalties=absolute,
            loo_accuracy=hits / len(labels),
            loo_error=errors,
            held_out=held_out(best),
        )

    @property
    def chosen(self) -> dict[str, float]:
        """The penalty, in absolute units."""
        return {"lambda": self.penalty}

    @property
    def curve(self) -> dict[str, list[float]]:
        """Every penalty, in absolute units, with its leave-one-out accuracy and error."""
        columns = {"lambda": self.penalties, "accuracy": self.loo_accuracy, "error": self.loo_error}
        return {name: column.tolist() for name, column in columns.items()}

    def scores(self, features: npt.NDArray[np.floating]) -> Matrix:
        """(n, d) -> (n, k), the class of the largest score is the predicted one."""
        return features.astype(np.float64) @ self.weights + self.bias


def _centre(features: npt.NDArray[np.floating]) -> tuple[Matrix, Matrix]:
    """The mean (d,) and the features without it (n, d)."""
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    centred[:, np.ptp(x, axis=0) == 0] = 0  # the mean of equal numbers is off by rounding
    return mean, centred


def _mean_eigenvalue(centred: Matrix) -> float:
    """Of the scatter matrix, over the directions that centred data can have; 1 where all features are constant."""
    n, d = centred.shape
    return float((centred**2).sum()) / min(n - 1, d) or 1.0


def _decompose(centred: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Principal axes of the smaller of the d x d and the n x n product: rotated (n, r), values (r,), vectors (d, r).

    centred @ vectors == rotated and rotated.T @ rotated == diag(values); axes without variance are left out.
    """
    n, d = centred.shape
    product = centred.T @ centred if d < n else centred @ centred.T
    with threadpool_limits(1):  # two threads on two busy cores took 1.9 to 8 s for n = 1000, one thread 0.5 s
        values, axes = np.linalg.eigh(product)
    kept = values > max(0.0, values[-1]) * max(n, d) * np.finfo(np.float64).eps
    values, axes = values[kept], axes[:, kept]
    if d < n:
        return centred @ axes, values, axes
    spread = np.sqrt(values)
    return axes * spread, values, centred.T @ (axes / spread)
