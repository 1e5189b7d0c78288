"""The linear probe: ridge regression on the pooled features."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metanet.bench.features import Features, extract
from metanet.bench.probes.protocol import Extract, Where, answers_of, check_where, numbers
from metanet.bench.probes.ridge import RidgeLoo
from metanet.bench.task import Answers, Task
from metanet.data import Ids
from metanet.metrics import METRICS
from metanet.model import Backbone


@dataclass(frozen=True)
class LinearProbe:
    """Ridge regression to one-hot targets, its penalty chosen by leave-one-out on the training images alone.

    where     "test" scores the task's test images; "loo" the training images, each by a fit to the others, and never
              touches the test images
    extract   reads the features; a FeatureCache spares repeated forward passes
    """

    where: Where = "test"
    extract: Extract = extract

    def __post_init__(self) -> None:
        check_where(self.where)

    def answers(self, backbone: Backbone, task: Task, ids: Ids) -> Answers:
        """The predicted classes, and every penalty with its leave-one-out accuracy and error.

        Raises:
            MetanetError: the task is not one of classification, or as `extract` and `RidgeLoo.fit`.
        """
        return answers_of(_fit, self.where, self.extract, backbone, task, ids)

    def run(self, backbone: Backbone, task: Task, ids: Ids) -> Iterator[tuple[str, float]]:
        """The task's metric with standard error and 95 % bootstrap interval over images, and the chosen penalty.

        Raises:
            MetanetError: as `answers`.
        """
        yield from numbers(task, self.answers(backbone, task, ids))

    def terms(self, backbone: Backbone, task: Task, ids: Ids) -> npt.NDArray[np.float64]:
        """One number a scored image whose mean is the metric: what a paired comparison of two backbones needs.

        Raises:
            MetanetError: as `answers`, or the metric is not a mean over images.
        """
        found = self.answers(backbone, task, ids)
        return METRICS[task.metric].terms(found.predicted, found.truth)


def _fit(features: Features, labels: Ids, classes: int, groups: Ids | None) -> RidgeLoo:
    return RidgeLoo.fit(features, labels, classes)
