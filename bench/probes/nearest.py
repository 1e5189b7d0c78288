"""The k-nearest-neighbours probe: cosine similarity, votes weighted by it, k chosen by leave-one-out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metanet.bench.features import Features, extract
from metanet.bench.probes.protocol import Extract, Where, answers_of, check_where, numbers
from metanet.bench.probes.ridge import check_parts
from metanet.bench.task import Answers, Task
from metanet.data import Ids
from metanet.model import Backbone

NEIGHBOURS = (1, 2, 5, 10, 20, 50, 100, 200)
TEMPERATURE = 0.07  # a vote is exp(cosine / TEMPERATURE), as is common for such probes
BLOCK = 1 << 24  # similarities at a time: 64 MB

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Nearest:
    """Training images and the number of them that vote.

    directions  (n, d) features of length 1; zeros stay zeros
    labels      (n,)
    k           the chosen one
    tried       (p,) all of them, at most n - 1
    accuracy    (p,) leave-one-out accuracy of each
    held_out    (n, classes) leave-one-out votes at the chosen k, as shares of all
    """

    directions: Features
    labels: Ids
    k: int
    tried: Ids
    accuracy: Array
    held_out: Array

    @classmethod
    def fit(cls, features: npt.NDArray[np.floating], labels: Ids, classes: int, groups: Ids | None = None) -> "Nearest":
        """Takes the k of the best leave-one-out accuracy, among equal ones the smallest.

        groups  (n,): images of its own group do not vote for an image; None: images stand alone

        Raises:
            MetanetError: fewer than two images, or groups.
        """
        check_parts(labels, groups)
        tried = np.array([k for k in NEIGHBOURS if k < len(labels)])
        directions = _directions(features)
        own = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
        near, likeness = _neighbours(directions, directions, int(tried[-1]), own)
        votes = [_votes(labels[near[:, :k]], likeness[:, :k], classes) for k in tried]
        accuracy = np.array([(vote.argmax(axis=1) == labels).mean() for vote in votes])
        best = int(accuracy.argmax())
        return cls(directions, labels, int(tried[best]), tried, accuracy, votes[best])

    @property
    def chosen(self) -> dict[str, float]:
        """The number of neighbours."""
        return {"k": self.k}

    @property
    def curve(self) -> dict[str, list[float]]:
        """Every k with its leave-one-out accuracy."""
        return {"k": self.tried.tolist(), "accuracy": self.accuracy.tolist()}

    def scores(self, features: npt.NDArray[np.floating]) -> Array:
        """(n, d) -> (n, classes) votes, as shares of all."""
        near, likeness = _neighbours(_directions(features), self.directions, self.k)
        return _votes(self.labels[near], likeness, self.held_out.shape[1])


@dataclass(frozen=True)
class NearestProbe:
    """k nearest neighbours by cosine similarity, k chosen by leave-one-out on the training images alone.

    Where the task has groups, images of one group do not vote for each other.

    where     "test" scores the task's test images; "loo" the training images, each by the others, and never touches
              the test images
    extract   reads the features; a FeatureCache spares repeated forward passes
    """

    where: Where = "test"
    extract: Extract = extract

    def __post_init__(self) -> None:
        check_where(self.where)

    def answers(self, backbone: Backbone, task: Task, ids: Ids) -> Answers:
        """The predicted classes, and every k with its leave-one-out accuracy.

        Raises:
            MetanetError: the task is not one of classification, or as `extract` and `Nearest.fit`.
        """
        return answers_of(Nearest.fit, self.where, self.extract, backbone, task, ids)

    def run(self, backbone: Backbone, task: Task, ids: Ids) -> Iterator[tuple[str, float]]:
        """The task's metric with standard error and 95 % bootstrap interval over images, and the chosen k.

        Raises:
            MetanetError: as `answers`.
        """
        yield from numbers(task, self.answers(backbone, task, ids))


def _directions(features: npt.NDArray[np.floating]) -> Features:
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    found: Features = (features / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found


def _neighbours(asking: Features, known: Features, k: int, own: Ids | None = None) -> tuple[Ids, Array]:
    """The k most similar of the known images for each asking one, and how similar, (n, k), the most similar first.

    own  (n,) of both, which are then the same images: those of an equal number are no neighbours (similarity -inf)
    """
    near, likeness = np.empty((len(asking), k), np.int64), np.empty((len(asking), k), np.float32)
    size = max(1, BLOCK // len(known))
    for start in range(0, len(asking), size):
        rows = slice(start, start + size)
        similar = asking[rows] @ known.T
        if own is not None:
            similar[own[rows, None] == own] = -np.inf
        some = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(similar, some, axis=1), axis=1, kind="stable")
        near[rows] = np.take_along_axis(some, order, axis=1)
        likeness[rows] = np.take_along_axis(similar, near[rows], axis=1)
    return near, likeness


def _votes(labels: Ids, likeness: Array, classes: int) -> Array:
    """The share of each class, (n, classes), from labels and similarities of neighbours (n, k)."""
    weights = np.exp((likeness.astype(np.float64) - likeness[:, :1]) / TEMPERATURE)
    cells = np.arange(len(labels))[:, None] * classes + labels
    votes = np.bincount(cells.ravel(), weights.ravel(), len(labels) * classes).reshape(len(labels), classes)
    found: Array = votes / votes.sum(axis=1, keepdims=True)
    return found
