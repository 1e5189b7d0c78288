"""Scores of transfer that need no fit: LogME and the H-score, from the decomposition that ridge has anyway.

n images, r directions, k classes. Both see centred features, which stands for an intercept, as in all probes.
"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

from metanet.bench.probes.eigen import Eigen, Matrix
from metanet.data import Ids

REACH, POINTS = 28.0, 57  # the ratio alpha / beta is sought up to e^28 from the largest eigenvalue


def transfer_scores(eigen: Eigen, labels: Ids, classes: int) -> Mapping[str, float]:
    """Both by name."""
    return {"logme": log_evidence(eigen, labels, classes), "h_score": h_score(eigen, labels, classes)}


def log_evidence(eigen: Eigen, labels: Ids, classes: int) -> float:
    """LogME (You et al. 2021): log evidence an image of Bayesian linear regression to one-hot targets, mean of classes.

    Weights have the prior N(0, 1/alpha), errors the variance 1/beta, the intercept a flat prior, so that n - 1
    directions remain; alpha and beta of each class maximise its evidence. Comparable between backbones on the same
    images, and without a meaning of its own.
    """
    targets = np.eye(classes)[labels]
    targets -= targets.mean(axis=0)
    spread = (eigen.rotated.T @ targets) ** 2 / eigen.values[:, None]  # squared targets along each axis
    rest = np.maximum((targets**2).sum(axis=0) - spread.sum(axis=0), 0)
    found = [_evidence(eigen.values, spread[:, c], rest[c], len(labels) - 1) for c in range(classes)]
    return float(np.mean(found)) / len(labels)


def _evidence(values: Matrix, spread: Matrix, rest: float, count: int) -> float:
    """Largest log evidence of `count` numbers whose squares along the axes are `spread`, and `rest` outside of them."""
    if spread.sum() + rest == 0:  # a class without images is explained by anything
        return 0.0

    def evidence(ratio: float) -> float:  # alpha / beta, by its logarithm; the best beta for it in closed form
        kept = 1 / (1 + values * np.exp(-ratio))
        beta = count / ((spread * kept).sum() + rest)
        return float(count * (np.log(beta / (2 * np.pi)) - 1) + np.log(kept).sum()) / 2

    top = float(values[-1]) if len(values) else 1.0
    grid = np.log(top) + np.linspace(-REACH, REACH, POINTS)
    found = [evidence(ratio) for ratio in grid]
    best = int(np.argmax(found))
    ends = grid[max(0, best - 1)], grid[min(POINTS - 1, best + 1)]
    refined = minimize_scalar(lambda ratio: -evidence(ratio), bounds=ends, method="bounded", options={"xatol": 1e-6})
    return max(found[best], -float(refined.fun))


def h_score(eigen: Eigen, labels: Ids, classes: int) -> float:
    """H-score (Bao et al. 2019): trace of the pseudo-inverse of the covariance times that of the class means.

    Between 0 and classes - 1, and the larger the better apart the classes are. With no more images than features it is
    classes - 1 whatever the features are.
    """
    sums = eigen.rotated.T @ np.eye(classes)[labels]
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    return float((sums[:, present] ** 2 / counts[present] / eigen.values[:, None]).sum())
