"""Inverted residual with a depthwise convolution (Sandler et al. 2018; Tan & Le 2019), as in the released MetaNet."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.cuts import Cut
from metanet.blocks.layers import PooledShortcut, SqueezeExcite, conv, drop_path, hidden_width
from metanet.blocks.tally import Tally, settled
from metanet.spec import StageSpec


def expands(w_in: int, stride: int, stage: StageSpec) -> bool:
    """Whether a convolution block has its expanding part: absent where it would change neither width nor size."""
    return stride != 1 or settled(hidden_width(w_in, stage) != w_in)


class MBConv(nn.Module):
    """norm -> expand 1x1 -> depthwise kxk (stride) -> SE -> project 1x1, plus the shortcut; BatchNorm and GELU.

    The leading BatchNorm belongs to the expanding part and is absent with it. The projection has a bias although a
    BatchNorm follows, as released.
    """

    CUTS: ClassVar[Mapping[str, Cut]] = {}

    def __init__(self, w_in: int, stage: StageSpec, *, stride: int = 1, drop: float = 0.0, index: int = 0) -> None:
        super().__init__()
        hidden, w_out, kernel = hidden_width(w_in, stage), stage.width, stage.kernel or 3
        self.drop = drop
        self.expands = expands(w_in, stride, stage)
        if self.expands:
            self.norm_in = nn.BatchNorm2d(w_in)
            self.expand = conv(w_in, hidden, 1)
            self.norm_expand = nn.BatchNorm2d(hidden)
        self.depthwise = conv(hidden, hidden, kernel, stride=stride, groups=hidden)
        self.norm_depthwise = nn.BatchNorm2d(hidden)
        self.se = SqueezeExcite(hidden) if stage.se else None
        self.project = conv(hidden, w_out, 1, bias=True)
        self.norm_project = nn.BatchNorm2d(w_out)
        self.shortcut = PooledShortcut(w_in, w_out, stride) if stride != 1 or w_in != w_out else None

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        y = x
        if self.expands:
            y = F.gelu(self.norm_expand(self.expand(self.norm_in(y))))
        y = F.gelu(self.norm_depthwise(self.depthwise(y)))
        if self.se is not None:
            y = self.se(y)
        y = drop_path(self.norm_project(self.project(y)), self.drop, self.training)
        return y + shortcut

    @staticmethod
    def cost(tally: Tally, w_in: int, stage: StageSpec, *, stride: int = 1) -> None:
        """Adds this block's cost, step by step as in `forward`."""
        hidden, w_out = hidden_width(w_in, stage), stage.width
        shortcut = stride != 1 or settled(w_in != w_out)
        if shortcut:
            PooledShortcut.cost(tally, w_in, w_out, stride)
        if expands(w_in, stride, stage):
            tally.norm(w_in)
            tally.conv(w_in, hidden, 1)
            tally.norm(hidden)
            tally.nonlinearity(hidden)
            if not shortcut:
                tally.hold(w_in)
        tally.conv(hidden, hidden, stage.kernel or 3, stride=stride, groups=hidden)
        if not shortcut:
            tally.hold(w_in)  # without the expanding part the convolution itself reads what is held from here on
        tally.norm(hidden)
        tally.nonlinearity(hidden)
        if stage.se:
            SqueezeExcite.cost(tally, hidden)
        tally.conv(hidden, w_out, 1, bias=True)
        tally.norm(w_out)
