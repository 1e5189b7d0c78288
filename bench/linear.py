"""The linear probe: ridge regression on the pooled features."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from metanet.bench.features import Features, extract
from metanet.bench.ridge import RidgeLoo
from metanet.bench.task import Probe, Task, shown_at
from metanet.data import Ids, ImageSource
from metanet.errors import unknown
from metanet.metrics import METRICS
from metanet.model import Backbone
from metanet.stats import bootstrap_interval


@dataclass(frozen=True)
class LinearProbe:
    """Ridge regression to one-hot targets, its penalty chosen by leave-one-out on the training images alone.

    where     "test" scores the task's test images; "loo" the training images, each by a fit to the others, and never
              touches the test images
    extract   reads the features; a FeatureCache spares repeated forward passes
    """

    where: Literal["test", "loo"] = "test"
    extract: Callable[[Backbone, ImageSource, Ids, int], Features] = extract

    def __post_init__(self) -> None:
        if self.where not in ("test", "loo"):
            raise unknown("images to score", self.where, ("test", "loo"))

    def run(self, backbone: Backbone, task: Task, ids: Ids) -> Iterator[tuple[str, float]]:
        """The task's metric with standard error and 95 % bootstrap interval over images, and the chosen penalty.

        Raises:
            MetanetError: as `extract` and `RidgeLoo.fit`.
        """
        fitted, values, labels = self._outcome(backbone, task, ids)
        by_class = METRICS[task.metric].by_class
        interval = bootstrap_interval(values, strata=labels if by_class else None)
        yield task.metric, interval.mean
        yield f"{task.metric}.se", interval.se
        yield f"{task.metric}.low", interval.low
        yield f"{task.metric}.high", interval.high
        yield "lambda", fitted.penalty

    def terms(self, backbone: Backbone, task: Task, ids: Ids) -> npt.NDArray[np.float64]:
        """One number a scored image whose mean is the metric: what a paired comparison of two backbones needs."""
        return self._outcome(backbone, task, ids)[1]

    def _outcome(self, backbone: Backbone, task: Task, ids: Ids) -> tuple[RidgeLoo, npt.NDArray[np.float64], Ids]:
        images, labels, side = task.images, task.images.labels[ids], shown_at(backbone, task)
        fitted = RidgeLoo.fit(self.extract(backbone, images, ids, side), labels, len(images.classes))
        scores = fitted.loo_scores
        if self.where == "test":
            labels = images.labels[task.test]
            scores = fitted.scores(self.extract(backbone, images, task.test, side))
        return fitted, METRICS[task.metric].terms(scores.argmax(axis=1), labels), labels


PROBES: dict[str, Callable[..., Probe]] = {"linear": LinearProbe}
