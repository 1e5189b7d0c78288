"""What a backbone is scored on, how it is shown the images, and what scores it."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from metanet.data import Ids, ImageSource, View, ids_sha256
from metanet.errors import MetanetError, unknown
from metanet.metrics import METRICS
from metanet.model import Backbone
from metanet.spec import ArchSpec

KINDS = ("classification", "detection", "segmentation", "depth")


@dataclass(frozen=True, eq=False)
class Task:
    """Images to learn from and images to be tested on.

    kind         one of KINDS; a probe scores classification, the others wait for their heads
    metric       of classification, a name in `metanet.metrics.METRICS`
    train, test  disjoint ids of `images`
    resolution   side in pixels of the images that backbones are given which have none of their own (see `shown_at`)
    groups       (len(images),) the track, video or scene of each image of the source; None: images stand alone
    fixed        whether every backbone sees the images at `resolution`, those that have one of their own, too
    """

    name: str
    kind: str
    metric: str
    images: ImageSource
    train: Ids
    test: Ids
    resolution: int
    groups: Ids | None = None
    fixed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of task", self.kind, KINDS)
        if self.kind == "classification" and self.metric not in METRICS:
            raise unknown("metric", self.metric, METRICS)
        if self.resolution < 1:
            raise MetanetError(f"`resolution` of task {self.name!r} must be at least 1, got {self.resolution}")
        if self.groups is not None and np.shape(self.groups) != (len(self.images),):
            raise MetanetError(
                f"`groups` of task {self.name!r} must name the group of each of its {len(self.images)} images, "
                f"got the shape {np.shape(self.groups)}"
            )
        for part, ids in (("train", self.train), ("test", self.test)):
            if len(ids) == 0 or ids.min() < 0 or ids.max() >= len(self.images) or len(np.unique(ids)) < len(ids):
                raise MetanetError(
                    f"`{part}` of task {self.name!r} must be different ids from 0 to {len(self.images) - 1}, "
                    f"got {len(ids)} ids" + (f" from {ids.min()} to {ids.max()}" if len(ids) else "")
                )
        if len(both := np.intersect1d(self.train, self.test)):
            raise MetanetError(
                f"train and test images of task {self.name!r} must be disjoint, got {len(both)} in both, "
                f"the first is {both[0]}"
            )
        if self.groups is not None and len(torn := np.intersect1d(self.groups[self.train], self.groups[self.test])):
            warnings.warn(
                f"images that belong together lie on both sides of the task {self.name!r}: {len(torn)} groups have "
                "some for training and some for testing, so its scores are too good; split it by groups",
                stacklevel=3,
            )


def groups_sha256(task: Task) -> str | None:
    """Names which training images belong together, whatever their groups are called; None where each stands alone."""
    if task.groups is None:
        return None
    ids = np.sort(task.train)
    _, first, group = np.unique(task.groups[ids], return_index=True, return_inverse=True)
    if len(first) == len(ids):
        return None
    return ids_sha256(np.argsort(np.argsort(first))[group])


def shown_at(backbone: Backbone, task: Task) -> View:
    """How a backbone sees the task's images.

    A MetaNet's resolution is part of its spec, and its cost is priced there; any other backbone gets the task's, and
    so does a MetaNet where the task is `fixed`. A backbone with a `view` keeps its constants, interpolation and crop.
    """
    spec, view = getattr(backbone, "spec", None), getattr(backbone, "view", None)
    own = isinstance(spec, ArchSpec) and not task.fixed
    resolution = spec.resolution if own and isinstance(spec, ArchSpec) else task.resolution
    return replace(view, resolution=resolution) if isinstance(view, View) else View(resolution)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a probe answers for the images that it scores.

    predicted   (n,) the class of each
    truth       (n,) the class that each has
    chosen      the hyper-parameters that were chosen, by name, such as {"lambda": 0.1}
    curve       every hyper-parameter that was tried with its selection scores: columns of equal length
    transfer    scores of the features that need no fit, from the training images alone, by name; of probes that have
                the decomposition for them
    """

    predicted: Ids
    truth: Ids
    chosen: Mapping[str, float]
    curve: Mapping[str, Sequence[float]]
    transfer: Mapping[str, float] = field(default_factory=dict)


class Probe(Protocol):
    """Turns a frozen backbone into numbers."""

    def answers(self, backbone: Backbone, task: Task, ids: Ids) -> Answers:
        """Learns from the images `ids` of the task, chooses hyper-parameters on them alone, then answers."""
        ...

    def run(self, backbone: Backbone, task: Task, ids: Ids) -> Iterator[tuple[str, float]]:
        """Learns from the images `ids` of the task; yields named numbers.

        For a metric m these are "m", "m.se", "m.low" and "m.high" (95 % interval over images), then what was chosen.
        """
        ...
