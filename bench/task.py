"""What a backbone is scored on, and what scores it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from metanet.data import Ids, ImageSource
from metanet.errors import MetanetError, unknown
from metanet.metrics import METRICS
from metanet.model import Backbone
from metanet.spec import ArchSpec

KINDS = ("classification",)


@dataclass(frozen=True, eq=False)
class Task:
    """Images to learn from and images to be tested on.

    kind         one of KINDS
    metric       a name in `metanet.metrics.METRICS`
    train, test  disjoint ids of `images`
    resolution   side in pixels of the images that backbones are given which have none of their own (see `shown_at`)
    """

    name: str
    kind: str
    metric: str
    images: ImageSource
    train: Ids
    test: Ids
    resolution: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of task", self.kind, KINDS)
        if self.metric not in METRICS:
            raise unknown("metric", self.metric, METRICS)
        if self.resolution < 1:
            raise MetanetError(f"`resolution` of task {self.name!r} must be at least 1, got {self.resolution}")
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


def shown_at(backbone: Backbone, task: Task) -> int:
    """The side in pixels at which a backbone sees the task's images: a MetaNet's is part of its spec, and its cost
    is priced there; any other backbone gets the task's."""
    spec = getattr(backbone, "spec", None)
    return spec.resolution if isinstance(spec, ArchSpec) else task.resolution


class Probe(Protocol):
    """Turns a frozen backbone into numbers."""

    def run(self, backbone: Backbone, task: Task, ids: Ids) -> Iterator[tuple[str, float]]:
        """Learns from the images `ids` of the task; yields named numbers.

        For a metric m these are "m", "m.se", "m.low" and "m.high" (95 % interval over images); others may follow.
        """
        ...
