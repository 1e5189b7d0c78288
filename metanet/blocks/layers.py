"""The parts that several blocks share: shortcut, squeeze-and-excitation, stochastic depth. (b: images, c: channels)"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.tally import Tally, larger, whole
from metanet.spec import StageSpec


class Conv(nn.Conv2d):
    """A convolution that leaves its values to `metanet.blocks.initial`: twice written is half the speed of building."""

    def reset_parameters(self) -> None:
        """Writes nothing."""


class Conv1d(nn.Conv1d):
    """A 1-D convolution that leaves its values to `metanet.blocks.initial`."""

    def reset_parameters(self) -> None:
        """Writes nothing."""


class Linear(nn.Linear):
    """A linear layer that leaves its values to `metanet.blocks.initial`."""

    def reset_parameters(self) -> None:
        """Writes nothing."""


def conv(w_in: int, w_out: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False) -> Conv:
    """A convolution padded by kernel // 2, so that stride 1 keeps the map and stride 2 halves it, rounding up."""
    return Conv(w_in, w_out, kernel, stride, kernel // 2, groups=groups, bias=bias)


def hidden_width(w_in: int, stage: StageSpec) -> int:
    """Channels inside a block: the expansion times the block's input width (released code; UniNet section 3)."""
    return larger(1, whole(w_in * stage.expansion))  # type: ignore[no-any-return]


def squeeze_width(width: int) -> int:
    """A quarter of the width, rounded to a multiple of 8 without losing more than a tenth."""
    rounded = larger(8, (width // 4 + 4) // 8 * 8)
    return rounded + 8 * (rounded < 0.9 * (width // 4))  # type: ignore[no-any-return]


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from all channels' means (Hu et al. 2018); ReLU, then hard-sigmoid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = conv(width, squeeze_width(width), 1, bias=True)
        self.excite = conv(squeeze_width(width), width, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        gate = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * F.hardsigmoid(gate)

    @staticmethod
    def cost(tally: Tally, width: int) -> None:
        """Adds this layer's cost on the tally's present map."""
        tally.squeeze(width, squeeze_width(width))


class PooledShortcut(nn.Module):
    """The released shortcut: 3x3 max-pooling with the block's stride, then a 1x1 convolution with bias.

    pooled: false leaves the pooling out, as in a downsampling module of stride 1.
    """

    def __init__(self, w_in: int, w_out: int, stride: int, *, pooled: bool = True) -> None:
        super().__init__()
        self.stride, self.pooled = stride, pooled
        self.project = conv(w_in, w_out, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        return self.project(F.max_pool2d(x, 3, self.stride, 1) if self.pooled else x)  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, w_out: int, stride: int) -> None:
        """Adds this layer's cost, and holds its result till the block ends; leaves the tally's map as it was, since the
        main path strides by itself."""
        size = tally.height, tally.width
        tally.conv(w_in, w_out, 1, stride=stride, bias=True)
        tally.hold(w_out)
        tally.height, tally.width = size


def drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth: zeroes a residual branch for a share `rate` of the images (Huang et al. 2016)."""
    if rate == 0.0 or not training:
        return x
    kept = torch.rand(x.shape[0], *(1,) * (x.ndim - 1), device=x.device, dtype=x.dtype) >= rate
    return x * kept / (1.0 - rate)
