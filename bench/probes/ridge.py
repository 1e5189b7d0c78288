"""Ridge classification whose penalty is chosen by exact leave-one-out, for all penalties from one eigendecomposition.

n images, d features, k classes. Targets are one-hot in 0/1; the intercept is not penalised; the penalty is
penalty * ||weights||^2 beside the sum (not the mean) of squared errors. With H the matrix that maps targets to
fitted values (the intercept's 1/n included), the prediction for image i by a fit to the other images is
y_i - (y_i - (Hy)_i) / (1 - H_ii), exactly (Allen's PRESS; Rifkin & Lippert 2007, "Notes on regularized least squares").
For a group of images that is left out as a whole, (1 - H_ii) becomes the matrix I - H over the group.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metanet.bench.probes.eigen import Eigen, Matrix, decompose
from metanet.data import Ids
from metanet.errors import MetanetError

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
    loo_error_se    (p,) its standard error over images, taken as independent
    held_out        (n, k) leave-one-out predictions at the chosen penalty
    """

    weights: Matrix
    bias: Matrix
    penalty: float
    penalties: Matrix
    loo_accuracy: Matrix
    loo_error: Matrix
    loo_error_se: Matrix
    held_out: Matrix

    @classmethod
    def fit(
        cls,
        features: npt.NDArray[np.floating],
        labels: Ids,
        classes: int,
        groups: Ids | None = None,
        *,
        penalties: Matrix = PENALTIES,
    ) -> "RidgeLoo":
        """Fits features (n, d); takes the penalty of the best leave-one-out accuracy, among equal ones of least error.

        groups     (n,): an image is predicted by a fit without its whole group; None: images stand alone
        penalties  to choose from, relative to the mean eigenvalue

        Raises:
            MetanetError: fewer than two images, or groups.
        """
        check_parts(labels, groups)
        return cls.of(decompose(features), labels, classes, groups, penalties=penalties)

    @classmethod
    def of(
        cls, eigen: Eigen, labels: Ids, classes: int, groups: Ids | None = None, *, penalties: Matrix = PENALTIES
    ) -> "RidgeLoo":
        """As `fit`, from the decomposition of the features."""
        targets = np.eye(classes)[labels]
        base = targets.mean(axis=0)
        moments = eigen.rotated.T @ (targets - base)
        absolute = penalties * eigen.unit
        leverages = 1 / len(labels) + eigen.rotated**2 @ (1 / (eigen.values[:, None] + absolute))
        several = _several(groups)

        def held_out(i: int) -> Matrix:
            shrunk = eigen.values + absolute[i]
            errors = targets - base - eigen.rotated @ (moments / shrunk[:, None])
            left_out: Matrix = errors / (1 - leverages[:, i, None])
            for rows in several:
                own = eigen.rotated[rows]
                block = np.eye(len(rows)) - 1 / len(labels) - (own / shrunk) @ own.T
                left_out[rows] = np.linalg.solve(block, errors[rows])
            return targets - left_out

        hits = np.empty(len(absolute), np.int64)
        errors, spreads = np.empty(len(absolute)), np.empty(len(absolute))
        for i in range(len(absolute)):
            scores = held_out(i)
            hits[i] = np.count_nonzero(scores.argmax(axis=1) == labels)
            wrong = (scores - targets) ** 2
            errors[i] = wrong.sum() / len(labels)
            spreads[i] = wrong.sum(axis=1).std()
        best = int(np.lexsort((errors, -hits))[0])
        weights = eigen.vectors @ (moments / (eigen.values + absolute[best])[:, None])
        return cls(
            weights=weights,
            bias=base - eigen.mean @ weights,
            penalty=float(absolute[best]),
            penalties=absolute,
            loo_accuracy=hits / len(labels),
            loo_error=errors,
            loo_error_se=spreads / np.sqrt(len(labels)),
            held_out=held_out(best),
        )

    @property
    def chosen(self) -> dict[str, float]:
        """The penalty, in absolute units."""
        return {"lambda": self.penalty}

    @property
    def curve(self) -> dict[str, list[float]]:
        """Every penalty, in absolute units, with its leave-one-out accuracy, error and the error's standard error."""
        columns = {"lambda": self.penalties, "accuracy": self.loo_accuracy}
        columns |= {"error": self.loo_error, "error.se": self.loo_error_se}
        return {name: column.tolist() for name, column in columns.items()}

    def scores(self, features: npt.NDArray[np.floating]) -> Matrix:
        """(n, d) -> (n, k), the class of the largest score is the predicted one."""
        return features.astype(np.float64) @ self.weights + self.bias


def check_parts(labels: Ids, groups: Ids | None) -> None:
    """Raises MetanetError where nothing is left to learn from when an image, or its group, is left out."""
    if len(labels) < 2:
        raise MetanetError(f"leave-one-out needs at least 2 images, got {len(labels)}: take a larger percentage")
    if groups is not None and len(np.unique(groups)) < 2:
        raise MetanetError(
            f"leaving groups out needs images of at least 2 groups, got {len(labels)} images of one: "
            "take a larger percentage, or no groups"
        )


def _several(groups: Ids | None) -> list[Ids]:
    """The rows of each group that has more than one image."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]
