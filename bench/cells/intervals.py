"""Intervals over test images for the mean over several draws of the training images.

The draws share their test images, so an image is resampled with its predictions of all draws.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metanet.data import Ids
from metanet.metrics import METRICS
from metanet.metrics.classification import ImageMetric, PairMetric
from metanet.stats import Interval, bootstrap_cells, bootstrap_interval


def images_interval(metric: str, predicted: Sequence[Ids], truth: Ids) -> Interval:
    """95 % interval of the metric's mean over draws.

    predicted   one array a draw, each (n,)
    """
    return _interval(metric, [(1 / len(predicted), one) for one in predicted], truth)


def difference_interval(metric: str, a: Sequence[Ids], b: Sequence[Ids], truth: Ids) -> Interval:
    """95 % interval of the difference a - b between two such means, paired: both see the same resampled images."""
    return _interval(metric, [*((1 / len(a), one) for one in a), *((-1 / len(b), one) for one in b)], truth)


def mean_terms(metric: str, predicted: Sequence[Ids], truth: Ids) -> npt.NDArray[np.float64]:
    """(n,) numbers whose mean is the metric's mean over draws.

    Raises:
        MetanetError: the metric is not a mean over images.
    """
    terms: npt.NDArray[np.float64] = np.mean([METRICS[metric].terms(one, truth) for one in predicted], axis=0)
    return terms


def _interval(metric: str, weighted: Sequence[tuple[float, Ids]], truth: Ids) -> Interval:
    """Of a weighted sum of the metric of several predictions."""
    known = METRICS[metric]
    if isinstance(known, PairMetric):
        return _pair_interval(known, weighted, truth)
    terms = sum(weight * known.terms(predicted, truth) for weight, predicted in weighted)
    by_class = isinstance(known, ImageMetric) and known.by_class
    return bootstrap_interval(terms, strata=truth if by_class else None)


def _pair_interval(metric: PairMetric, weighted: Sequence[tuple[float, Ids]], truth: Ids) -> Interval:
    cells, counts = np.unique([truth, *(predicted for _, predicted in weighted)], axis=1, return_counts=True)

    def statistic(drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        total = np.zeros(len(drawn))
        for (weight, _), predicted in zip(weighted, cells[1:], strict=True):
            total += weight * metric.counted(drawn, predicted, cells[0])
        return total

    return bootstrap_cells(counts, statistic)
