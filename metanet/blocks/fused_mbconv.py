"""Inverted residual whose expansion is a full convolution (Tan & Le 2021), as in the released MN-B15."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.cuts import Cut
from metanet.blocks.layers import PooledShortcut, SqueezeExcite, conv, drop_path, hidden_width
from metanet.blocks.mbconv import expands
from metanet.blocks.tally import Tally, settled
from metanet.spec import StageSpec


class FusedMBConv(nn.Module):
    """norm -> expand kxk (stride) -> SE -> project 1x1, plus the shortcut; BatchNorm and GELU.

    Where the expanding part would change neither width nor size it is absent, and one kxk convolution (`single`)
    stands in the projection's place: the block then has no activation outside of SE, as released.
    """

    CUTS: ClassVar[Mapping[str, Cut]] = {}

    def __init__(self, w_in: int, stage: StageSpec, *, stride: int = 1, drop: float = 0.0, index: int = 0) -> None:
        super().__init__()
        hidden, w_out, kernel = hidden_width(w_in, stage), stage.width, stage.kernel or 3
        self.drop = drop
        self.expands = expands(w_in, stride, stage)
        if self.expands:
            self.norm_in = nn.BatchNorm2d(w_in)
            self.expand = conv(w_in, hidden, kernel, stride=stride)
            self.norm_expand = nn.BatchNorm2d(hidden)
            self.project = conv(hidden, w_out, 1, bias=True)
        else:
            self.single = conv(w_in, w_out, kernel, bias=True)
        self.se = SqueezeExcite(hidden) if stage.se else None
        self.norm_project = nn.BatchNorm2d(w_out)
        self.shortcut = PooledShortcut(w_in, w_out, stride) if stride != 1 or w_in != w_out else None

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        y = x
        if self.expands:
            y = F.gelu(self.norm_expand(self.expand(self.norm_in(y))))
        if self.se is not None:
            y = self.se(y)
        y = self.project(y) if self.expands else self.single(y)
        y = drop_path(self.norm_project(y), self.drop, self.training)
        return y + shortcut

    @staticmethod
    def cost(tally: Tally, w_in: int, stage: StageSpec, *, stride: int = 1) -> None:
        """Adds this block's cost, step by step as in `forward`."""
        hidden, w_out, kernel = hidden_width(w_in, stage), stage.width, stage.kernel or 3
        shortcut = stride != 1 or settled(w_in != w_out)
        if shortcut:
            PooledShortcut.cost(tally, w_in, w_out, stride)
        expanded = expands(w_in, stride, stage)
        if expanded:
            tally.norm(w_in)
            tally.conv(w_in, hidden, kernel, stride=stride)
            tally.norm(hidden)
            tally.nonlinearity(hidden)
            if not shortcut:
                tally.hold(w_in)
        if stage.se:
            SqueezeExcite.cost(tally, hidden)
        tally.conv(hidden, w_out, 1 if expanded else kernel, bias=True)
        tally.norm(w_out)
