"""How often a classifier is right.

A metric is given by its terms: one number an image whose mean is the metric, so that intervals and paired
comparisons follow from `metanet.stats`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metanet.errors import MetanetError

Classes: TypeAlias = npt.NDArray[np.int64]
Terms: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric by its terms.

    terms      (predicted, labels) -> (n,) whose mean is the metric
    by_class   whether a class has the same weight however many images it has: then images are resampled within classes
    """

    terms: Callable[[Classes, Classes], Terms]
    by_class: bool


def accuracy(predicted: Classes, labels: Classes) -> float:
    """Share of the images whose predicted class is right."""
    return float(_hits(predicted, labels).mean())


def mean_per_class(predicted: Classes, labels: Classes) -> float:
    """Mean over the classes in `labels` of the share of their images whose predicted class is right."""
    return float(_class_weighted_hits(predicted, labels).mean())


def confusion(predicted: Classes, labels: Classes, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes) counts: row is the true class, column the predicted one."""
    _check(predicted, labels)
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _hits(predicted: Classes, labels: Classes) -> Terms:
    _check(predicted, labels)
    return np.equal(predicted, labels).astype(np.float64)


def _class_weighted_hits(predicted: Classes, labels: Classes) -> Terms:
    counts = np.bincount(labels)
    terms: Terms = _hits(predicted, labels) * len(labels) / (np.count_nonzero(counts) * counts[labels])
    return terms


def _check(predicted: Classes, labels: Classes) -> None:
    if predicted.shape != labels.shape or predicted.size == 0:
        raise MetanetError(f"a metric needs one prediction for each label, got {predicted.shape} and {labels.shape}")


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_hits, by_class=False),
    "mean_per_class": Metric(_class_weighted_hits, by_class=True),
}
