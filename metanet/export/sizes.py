"""Which sizes an exported network takes: a free batch, and free height and width wherever no block forbids it."""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch.export import Dim

from metanet.errors import MetanetError
from metanet.model import FeatureNet, MetaNet
from metanet.spec import ArchSpec

ONE_SIZE = ("window_attention", "token_mlp")  # ops whose computation is laid out for one map size


@dataclass(frozen=True)
class Sizes:
    """What the exported program takes: None where any number will do.

    batch, size  images at once; height and width in pixels
    channels     of the images
    least        smallest side of a free size: one more than the total stride, so that no map is a single row
    shown        height and width of the images that it is traced with
    """

    batch: int | None
    size: tuple[int, int] | None
    channels: int
    least: int
    shown: tuple[int, int]

    @property
    def shape(self) -> tuple[int | str, ...]:
        """The input's shape with names for what is free."""
        return (self.batch or "batch", self.channels, *(self.size or ("height", "width")))

    def dynamic(self) -> tuple[dict[int, Any]]:
        """The same as torch.export's `dynamic_shapes`."""
        free: dict[int, Any] = {} if self.batch else {0: Dim("batch", min=1)}
        if self.size is None:
            free |= {2: Dim("height", min=self.least), 3: Dim("width", min=self.least)}
        return (free,)

    def checks(self) -> list[tuple[int, int, int]]:
        """Images, height and width of each comparison: another batch, and where it may be an odd, oblong size."""
        count = 3 if self.batch is None else max(2, self.batch)
        if self.size is not None:
            return [(count, *self.size)]
        height, width = self.shown
        return [
            (2 if self.batch is None else count, *self.shown),
            (count, self._odd(height), self._odd(width * 2 // 3)),
        ]

    def _odd(self, side: int) -> int:
        return max(self.least, side - 3) | 1


def takes_one_size(spec: ArchSpec) -> str | None:
    """Why an exported network takes images of one size only; None where it takes any."""
    for i, stage in enumerate(spec.stages):
        if stage.op in ONE_SIZE:
            return f"stage {i} is {stage.op}, which is laid out for one map size"
    return None


def choose_sizes(
    net: MetaNet | FeatureNet, resolution: int | tuple[int, int] | None, batch: int | None, dynamic_size: bool | None
) -> Sizes:
    spec = net.spec
    stride = 2 * prod(stage.stride for stage in spec.stages)
    side = spec.resolution if resolution is None else resolution
    size = (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))
    if min(size) < stride or (batch is not None and batch < 1):
        raise MetanetError(
            f"an export needs sides of at least the network's total stride {stride} and 1 image or more, "
            f"got {resolution=}, {batch=}"
        )
    reason = takes_one_size(spec)
    if dynamic_size and reason:
        raise MetanetError(
            f"height and width of {spec.id} cannot be free: {reason}; leave dynamic_size (--free-size) out and give a "
            "resolution"
        )
    free = reason is None if dynamic_size is None else dynamic_size
    # Two sides of one length could be taken for one symbol.
    shown = (
        (max(size[0], 2 * stride), max(size[1], 2 * stride) + (stride if size[0] == size[1] else 0)) if free else size
    )
    return Sizes(batch, None if free else size, net.stem.conv.in_channels, stride + 1, shown)
