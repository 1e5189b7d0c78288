"""Intervals over test images for the mean over several draws of the training images.

The draws share their test images, so an image is resampled with its predictions of all draws.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metanet.data import Ids
from metanet.metrics import METRICS
from metanet.metrics.classification import ImageMetric, Metric, PairMetric
from metanet.stats import Interval, bootstrap_cells, bootstrap_interval

Values: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]


def images_interval(metric: str, predicted: Sequence[Ids], truth: Ids) -> Interval:
    """95 % interval of the metric's mean over draws.

    predicted   one array a draw, each (n,)
    """
    known = METRICS[metric]
    if isinstance(known, PairMetric):
        return _pair_interval(known, predicted, (), truth)
    return _terms_interval(known, _mean_terms(known, predicted, truth), truth)


def difference_interval(metric: str, a: Sequence[Ids], b: Sequence[Ids], truth: Ids) -> Interval:
    """95 % interval of the difference a - b between two such means, paired: both see the same resampled images."""
    known = METRICS[metric]
    if isinstance(known, PairMetric):
        return _pair_interval(known, a, b, truth)
    return _terms_interval(known, _mean_terms(known, a, truth) - _mean_terms(known, b, truth), truth)


def _mean_terms(metric: Metric, predicted: Sequence[Ids], truth: Ids) -> Values:
    """(n,) numbers whose mean is the metric's mean over draws."""
    terms: Values = np.mean([metric.terms(one, truth) for one in predicted], axis=0)
    return terms


def _terms_interval(metric: Metric, terms: Values, truth: Ids) -> Interval:
    by_class = isinstance(metric, ImageMetric) and metric.by_class
    return bootstrap_interval(terms, strata=truth if by_class else None)


def _pair_interval(metric: PairMetric, a: Sequence[Ids], b: Sequence[Ids], truth: Ids) -> Interval:
    """Of the mean over `a`, less that over `b` where there is one."""
    cells, counts = np.unique([truth, *a, *b], axis=1, return_counts=True)
    ours, theirs = cells[1 : 1 + len(a)], cells[1 + len(a) :]

    def mean(drawn: Counts, side: Counts) -> Values:
        found: Values = np.mean([metric.counted(drawn, predicted, cells[0]) for predicted in side], axis=0)
        return found

    return bootstrap_cells(counts, lambda drawn: mean(drawn, ours) - (mean(drawn, theirs) if len(theirs) else 0.0))
