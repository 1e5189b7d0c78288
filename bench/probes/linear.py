"""The linear probe: ridge regression on the pooled features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from metanet.bench.features import extract
from metanet.bench.probes.eigen import decompose_subsets
from metanet.bench.probes.protocol import Extract, Where, answered, check_kind, check_where, numbers
from metanet.bench.probes.ridge import RidgeLoo, check_parts
from metanet.bench.probes.transfer import transfer_scores
from metanet.bench.task import Answers, Task, shown_at
from metanet.data import Ids, ids_sha256
from metanet.metrics import METRICS
from metanet.model import Backbone


@dataclass(frozen=True)
class LinearProbe:
    """Ridge regression to one-hot targets, its penalty chosen by leave-one-out on the training images alone.

    Where the task has groups, an image's whole group is left out.

    where     "test" scores the task's test images; "loo" the training images, each by a fit to the others, and never
              touches the test images
    extract   reads the features; a FeatureCache spares repeated forward passes
    """

    where: Where = "test"
    extract: Extract = extract

    def __post_init__(self) -> None:
        check_where(self.where)

    def answers(self, backbone: Backbone, task: Task, ids: Ids) -> Answers:
        """The predicted classes, and every penalty with its leave-one-out accuracy and error; where the test images
        are scored, with LogME and the H-score of the training images, too.

        Raises:
            MetanetError: the task is not one of classification, or as `extract` and `RidgeLoo.fit`.
        """
        return self.many(backbone, task, [ids])[0]

    def many(self, backbone: Backbone, task: Task, draws: Sequence[Ids]) -> list[Answers]:
        """`answers` for each of several draws of training images, as percentages and seeds make them.

        Features are read once; products of nested draws are added up; equal draws are fitted once.

        Raises:
            MetanetError: as `answers`.
        """
        check_kind(task)
        images, view = task.images, shown_at(backbone, task)
        for ids in draws:
            check_parts(ids, None if task.groups is None else task.groups[ids])
        union, distinct = np.unique(np.concatenate(draws)), {ids_sha256(ids): ids for ids in draws}
        features = self.extract(backbone, images, union, view)
        found, chosen, drawn = {}, {}, list(distinct.values())
        for place, eigen in decompose_subsets(features, [np.searchsorted(union, ids) for ids in drawn]):
            ids = drawn[place]
            groups, labels = None if task.groups is None else task.groups[ids], images.labels[ids]
            fitted = RidgeLoo.of(eigen, labels, len(images.classes), groups)
            if self.where == "loo":
                found[ids_sha256(ids)] = answered(fitted, fitted.held_out, labels)
            else:
                transfer = transfer_scores(eigen, labels, len(images.classes))
                chosen[ids_sha256(ids)] = replace(fitted, held_out=fitted.held_out[:0]), transfer
        if chosen:  # the test images open when every choice is made
            test = self.extract(backbone, images, task.test, view)
        for name, (fitted, transfer) in chosen.items():
            own = answered(fitted, fitted.scores(test), images.labels[task.test])
            found[name] = replace(own, transfer=transfer)
        return [found[ids_sha256(ids)] for ids in draws]

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
