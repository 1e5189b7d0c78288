"""The parts that a network runs one after the other: what latency is measured of.

A part is the stem, a downsampling module, a block or the head, together with the map that it takes. Parts that run the
same steps are equal, wherever they stand: a later block of a stage equals the first one where that changes neither
width nor stride. Shapes: b images, c channels, side x side positions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from metanet.inference import Fused
from metanet.model import MetaNet
from metanet.spec import ArchSpec, StageSpec

SMALLEST = 8  # resolution of a bearer, which no part depends on


@dataclass(frozen=True)
class Part:
    """A part by itself.

    place    "stem", "down", "block", "shifted" (a block of window attention that shifts its windows) or "head"
    bearer   a network of one stage that has this part: where its module is taken from
    side     of the map at its input in positions; of the image in pixels for the stem
    """

    place: str
    bearer: ArchSpec
    side: int

    @cached_property
    def name(self) -> str:
        """What decides its steps, in one line: "mbconv 24>32 /2 x3 k5 se @14" takes 24 channels to 32 at stride 2 with
        expansion 3, kernel 5 and squeeze-and-excitation on 14 x 14 positions; d, w, g: head size, window, grid."""
        stage, w_in, at = self.bearer.stages[0], self.bearer.stem_width, f"@{self.side}"
        if self.place == "stem":
            return f"stem 3>{w_in} {at}"
        if self.place == "head":
            return f"head {w_in}>{self.bearer.head_width} {at}"
        words = [f"{w_in}>{stage.width}", f"/{stage.stride}"]
        fields = {"d": stage.head_dim, "w": stage.window, "g": stage.grid}
        if self.place != "down":
            words += [f"x{stage.expansion}", f"k{stage.kernel}" * bool(stage.kernel), "se" * bool(stage.se)]
        words += [f"{letter}{value}" for letter, value in fields.items() if value is not None]
        kind = f"{stage.down} down" if self.place == "down" else stage.op
        return " ".join(word for word in (kind, *words, "shifted" * (self.place == "shifted"), at) if word)

    @property
    def width(self) -> int:
        """Channels at its input."""
        return 3 if self.place == "stem" else self.bearer.stem_width


def stem(width: int, side: int) -> Part:
    """The stem, on images of side x side pixels."""
    return Part("stem", ArchSpec((StageSpec("mbconv", 1, width, 1),), width, 1, SMALLEST), side)


def head(w_in: int, width: int, side: int) -> Part:
    """The head and the pooling behind it."""
    return Part("head", ArchSpec((StageSpec("mbconv", 1, w_in, 1),), w_in, width, SMALLEST), side)


def down(stage: StageSpec, w_in: int, side: int) -> Part:
    """The downsampling module in front of a stage, on the map before it."""
    kept = StageSpec("mbconv", 1, stage.width, 1, stage.stride, down=stage.down, head_dim=stage.head_dim or stage.width)
    return Part("down", ArchSpec((kept,), w_in, 1, SMALLEST), side)


def block(stage: StageSpec, w_in: int, stride: int, side: int, index: int = 0) -> Part:
    """A stage's block of that index, width and stride at its input, on the map before it."""
    shifted = bool(index % 2) and stage.window is not None and side > stage.window
    kept = replace(stage, depth=1 + shifted, stride=stride, down=None)
    return Part("shifted" if shifted else "block", ArchSpec((kept,), w_in, 1, SMALLEST), side)


def parts_of(spec: ArchSpec) -> list[Part]:
    """The parts of a network at its own resolution, in the order of the forward pass; equal ones again and again."""
    found = [stem(spec.stem_width, spec.resolution)]
    width, side = spec.stem_width, -(-spec.resolution // 2)
    for stage in spec.stages:
        found += stage_parts(stage, width, side)
        width, side = stage.width, -(-side // stage.stride)
    return [*found, head(width, spec.head_width, side)]


@lru_cache(maxsize=4096)  # a search prices networks of the same few stages again and again
def stage_parts(stage: StageSpec, width: int, side: int) -> tuple[Part, ...]:
    """The parts of a stage, given the width and the map before it."""
    return tuple(_stage(stage, width, side))


def _stage(stage: StageSpec, width: int, side: int) -> Iterator[Part]:
    (w_in, stride), inner = stage.first(width), -(-side // stage.stride)
    if stage.down:
        yield down(stage, width, side)
        side = inner
    for index in range(stage.depth):
        yield block(stage, w_in, stride, side, index)
        w_in, stride, side = stage.width, 1, inner


class _Stem(nn.Module):
    """The stem as a network runs it: images are brought to torch.channels_last first."""

    def __init__(self, net: MetaNet | Fused) -> None:
        super().__init__()
        self.stem = net.stem

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, side, side) -> (b, c, ceil(side / 2), ceil(side / 2))."""
        return self.stem(x.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]


class _Head(nn.Module):
    """The head as a network runs it: convolution and pooling."""

    def __init__(self, net: MetaNet | Fused) -> None:
        super().__init__()
        self.head = net.head

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, side, side) -> (b, head_width)."""
        return self.head(x).mean((2, 3))  # type: ignore[no-any-return]


def module_of(part: Part, net: MetaNet | Fused) -> nn.Module:
    """The part's module, out of its bearer as a network."""
    if part.place in ("stem", "head"):
        return _Stem(net) if part.place == "stem" else _Head(net)
    modules = dict(net.stages[0].named_children())
    return modules[{"down": "down", "block": "0", "shifted": "1"}[part.place]]
