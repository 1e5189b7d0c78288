"""What all probes share: features of the given images, a classifier fitted to them, its answers and their numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from metanet.bench.features import Features
from metanet.bench.task import Answers, Task, shown_at
from metanet.data import Ids, ImageSource, View
from metanet.errors import MetanetError, unknown
from metanet.metrics import METRICS
from metanet.model import Backbone

Extract: TypeAlias = Callable[[Backbone, ImageSource, Ids, View], Features]
Where: TypeAlias = Literal["test", "loo"]
Scores: TypeAlias = npt.NDArray[np.floating]


class Fitted(Protocol):
    """A classifier that chose its hyper-parameters on the images that it was fitted to."""

    @property
    def held_out(self) -> Scores:
        """(n, k) scores of the classes for each image, by a fit without it, at what was chosen."""
        ...

    @property
    def chosen(self) -> Mapping[str, float]: ...

    @property
    def curve(self) -> Mapping[str, Sequence[float]]: ...

    def scores(self, features: Features) -> Scores:
        """(n, d) -> (n, k), the class of the largest score is the predicted one."""
        ...


Fit: TypeAlias = Callable[[Features, Ids, int, "Ids | None"], Fitted]
"""(features, labels, number of classes, groups) -> the classifier."""


def check_where(where: str) -> None:
    """Raises MetanetError where it is neither "test" nor "loo"."""
    if where not in ("test", "loo"):
        raise unknown("images to score", where, ("test", "loo"))


def answers_of(fit: Fit, where: Where, extract: Extract, backbone: Backbone, task: Task, ids: Ids) -> Answers:
    """Fits to the images `ids` and answers for the task's test images, or for `ids` themselves, each left out.

    Raises:
        MetanetError: the task is not one of classification, or as `extract` and the fit.
    """
    check_kind(task)
    view, labels = shown_at(backbone, task), task.images.labels[ids]
    groups = None if task.groups is None else task.groups[ids]
    fitted = fit(extract(backbone, task.images, ids, view), labels, len(task.images.classes), groups)
    if where == "loo":
        return answered(fitted, fitted.held_out, labels)
    test = extract(backbone, task.images, task.test, view)
    return answered(fitted, fitted.scores(test), task.images.labels[task.test])


def check_kind(task: Task) -> None:
    """Raises MetanetError for a task that has no classes to predict."""
    if task.kind != "classification":
        raise MetanetError(
            f"a probe scores tasks of classification, got {task.name!r} of {task.kind}: it waits for its head"
        )


def answered(fitted: Fitted, scores: Scores, truth: Ids) -> Answers:
    """The class of the largest score of each image beside its true one."""
    return Answers(scores.argmax(axis=1), truth, fitted.chosen, fitted.curve)


def numbers(task: Task, found: Answers) -> Iterator[tuple[str, float]]:
    """The task's metric with standard error and 95 % bootstrap interval over images, then what was chosen."""
    interval = METRICS[task.metric].interval(found.predicted, found.truth)
    yield task.metric, interval.mean
    yield f"{task.metric}.se", interval.se
    yield f"{task.metric}.low", interval.low
    yield f"{task.metric}.high", interval.high
    yield from found.chosen.items()
