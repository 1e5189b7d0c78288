"""How often a classifier is right.

Most metrics are means over images and are given by their terms, one number an image, so that intervals and paired
comparisons follow from `metanet.stats`; the others are functions of how often each pair of classes occurs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from metanet.errors import MetanetError
from metanet.stats import Interval, bootstrap_cells, bootstrap_interval, paired_bootstrap

Classes: TypeAlias = npt.NDArray[np.int64]
Terms: TypeAlias = npt.NDArray[np.float64]


class Metric(Protocol):
    """A number for predicted classes, with intervals over images (95 %, by bootstrap)."""

    def value(self, predicted: Classes, labels: Classes) -> float: ...

    def interval(self, predicted: Classes, labels: Classes) -> Interval: ...

    def difference(self, predicted: Classes, other: Classes, labels: Classes) -> Interval:
        """Of the metric of one prediction from that of another of the same images, paired."""
        ...

    def terms(self, predicted: Classes, labels: Classes) -> Terms:
        """One number an image whose mean is the metric.

        Raises:
            MetanetError: the metric is not a mean over images.
        """
        ...


@dataclass(frozen=True)
class ImageMetric:
    """A mean over images.

    terms      (predicted, labels) -> (n,) whose mean is the metric
    by_class   whether a class has the same weight however many images it has: then images are resampled within classes
    """

    terms: Callable[[Classes, Classes], Terms]
    by_class: bool

    def value(self, predicted: Classes, labels: Classes) -> float:
        """The mean of the terms."""
        return float(self.terms(predicted, labels).mean())

    def interval(self, predicted: Classes, labels: Classes) -> Interval:
        """What the metric would have been on other images of the same kind."""
        return bootstrap_interval(self.terms(predicted, labels), strata=labels if self.by_class else None)

    def difference(self, predicted: Classes, other: Classes, labels: Classes) -> Interval:
        """As `Metric.difference`."""
        ours, theirs = self.terms(predicted, labels), self.terms(other, labels)
        return paired_bootstrap(ours, theirs, strata=labels if self.by_class else None)


@dataclass(frozen=True)
class PairMetric:
    """A function of how often each pair of a predicted and a true class occurs.

    name     for messages
    counted  (counts (r, cells), predicted (cells,), labels (cells,)) -> (r,) the metric of each row of counts
    """

    name: str
    counted: Callable[[npt.NDArray[np.int64], Classes, Classes], Terms]

    def value(self, predicted: Classes, labels: Classes) -> float:
        """The metric with each image as one cell."""
        _check(predicted, labels)
        return float(self.counted(np.ones((1, len(labels)), np.int64), predicted, labels)[0])

    def interval(self, predicted: Classes, labels: Classes) -> Interval:
        """Pairs of prediction and label are resampled."""
        _check(predicted, labels)
        (predicted, labels), counts = np.unique([predicted, labels], axis=1, return_counts=True)
        return bootstrap_cells(counts, lambda drawn: self.counted(drawn, predicted, labels))

    def difference(self, predicted: Classes, other: Classes, labels: Classes) -> Interval:
        """Both predictions and the label of an image are resampled together."""
        _check(predicted, labels)
        _check(other, labels)
        (predicted, other, labels), counts = np.unique([predicted, other, labels], axis=1, return_counts=True)
        return bootstrap_cells(
            counts, lambda drawn: self.counted(drawn, predicted, labels) - self.counted(drawn, other, labels)
        )

    def terms(self, predicted: Classes, labels: Classes) -> Terms:
        """Always raises MetanetError: there are none."""
        raise MetanetError(
            f"{self.name} is not a mean over images and has no terms: take its interval, or its difference"
        )


def accuracy(predicted: Classes, labels: Classes) -> float:
    """Share of the images whose predicted class is right."""
    return float(_hits(predicted, labels).mean())


def mean_per_class(predicted: Classes, labels: Classes) -> float:
    """Mean over the classes in `labels` of the share of their images whose predicted class is right."""
    return float(_class_weighted_hits(predicted, labels).mean())


def quadratic_kappa(predicted: Classes, labels: Classes) -> float:
    """Cohen's kappa with weights (i - j)^2, for classes in an order: 1 is agreement, 0 what chance gives.

    Where labels and predictions are all of the same one class it is undefined (0/0) and 0 is returned.
    """
    return METRICS["quadratic_kappa"].value(predicted, labels)


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


def _kappa(counts: npt.NDArray[np.int64], predicted: Classes, labels: Classes) -> Terms:
    """1 - E(a - b)^2 / E(a' - b')^2, where a' and b' are drawn independently from the marginals of a and b."""
    total = counts.sum(axis=1)
    mean_a, mean_b, square_a, square_b = (
        counts @ values.astype(np.float64) / total for values in (predicted, labels, predicted**2, labels**2)
    )
    observed = counts @ ((predicted - labels) ** 2).astype(np.float64) / total
    by_chance = square_a + square_b - 2 * mean_a * mean_b
    defined = by_chance > 1e-12 * (square_a + square_b)  # differs from 0 by rounding where all is one class
    return np.where(defined, 1 - observed / np.where(defined, by_chance, 1), 0.0)


def _check(predicted: Classes, labels: Classes) -> None:
    if predicted.shape != labels.shape or predicted.size == 0:
        raise MetanetError(f"a metric needs one prediction for each label, got {predicted.shape} and {labels.shape}")


METRICS: dict[str, Metric] = {
    "accuracy": ImageMetric(_hits, by_class=False),
    "mean_per_class": ImageMetric(_class_weighted_hits, by_class=True),
    "quadratic_kappa": PairMetric("quadratic kappa", _kappa),
}
