"""Downsampling modules in front of a stage, after which all its blocks have stride 1 (UniNet, arXiv 2207.05420, 3.2).

The local and the local-global module are as in UniNet's released networks. The global one is published as a
description only ("a 1-D convolution for the query instead of a 2-D one"); what else it is here is our reading.
All three add the pooled shortcut; it pools only where the stride is 2, as released.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.cuts import Cut, halves
from metanet.blocks.layers import Conv1d, Linear, PooledShortcut, conv
from metanet.blocks.tally import Tally
from metanet.spec import StageSpec


class LocalDown(nn.Module):
    """L: depthwise 3x3 convolution (stride, bias) -> BatchNorm -> 1x1 convolution, plus the pooled shortcut."""

    CUTS: ClassVar[Mapping[str, Cut]] = {}

    def __init__(self, w_in: int, stage: StageSpec) -> None:
        super().__init__()
        self.depthwise = conv(w_in, w_in, 3, stride=stage.stride, groups=w_in, bias=True)
        self.norm_depthwise = nn.BatchNorm2d(w_in)
        self.project = conv(w_in, stage.width, 1, bias=True)
        self.shortcut = PooledShortcut(w_in, stage.width, stage.stride, pooled=stage.stride != 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, width, ceil(h / stride), ceil(w / stride))."""
        return self.project(self.norm_depthwise(self.depthwise(x))) + self.shortcut(x)  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, stage: StageSpec) -> None:
        """Adds this module's cost, step by step as in `forward`."""
        PooledShortcut.cost(tally, w_in, stage.width, stage.stride)
        tally.conv(w_in, w_in, 3, stride=stage.stride, groups=w_in, bias=True)
        tally.norm(w_in)
        tally.conv(w_in, stage.width, 1, bias=True)


class LocalQuery(nn.Module):
    """One query for each position of the output: a depthwise 3x3 convolution with the module's stride."""

    def __init__(self, w_in: int, stride: int) -> None:
        super().__init__()
        self.depthwise = conv(w_in, w_in, 3, stride=stride, groups=w_in, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_in, ceil(h / stride), ceil(w / stride))."""
        return self.depthwise(x)  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, stride: int) -> None:
        """Adds this layer's cost."""
        tally.conv(w_in, w_in, 3, stride=stride, groups=w_in, bias=True)


class GlobalQuery(nn.Module):
    """Queries that know no rows: a depthwise 1-D convolution of 3 positions along the flattened map.

    Our reading: it steps by stride^2, one query for each position of the output in raster order; a map whose sides the
    stride does not divide is zero-padded below and to the right.
    """

    def __init__(self, w_in: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.depthwise = Conv1d(w_in, w_in, 3, stride**2, groups=w_in)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_in, ceil(h / stride), ceil(w / stride))."""
        stride, (height, width) = self.stride, x.shape[2:]
        size = (height - 1) // stride + 1, (width - 1) // stride + 1
        x = F.pad(x, (0, size[1] * stride - width, 0, size[0] * stride - height)).flatten(2)
        # One position before the first and, at stride 2, none of the last two: no query reads them. The length is then
        # visibly stride^2 times a number of queries, which torch.export must see to leave the size free.
        queries = self.depthwise(F.pad(x, (1, 2 - stride**2)))
        return queries.unflatten(2, size).contiguous(memory_format=torch.channels_last)  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, stride: int) -> None:
        """Adds this layer's cost."""
        tally.pool(stride)
        tally.scale(w_in * 3 + w_in)
        tally.alive(w_in * tally.positions * (1 + stride**2))
        tally.matmul(tally.positions, 3, 1, batch=w_in)


QUERIES: dict[str, type[LocalQuery] | type[GlobalQuery]] = {"local_global": LocalQuery, "global": GlobalQuery}


class AttendingDown(nn.Module):
    """LG and G: each position of the output attends to all positions of the input; plus the pooled shortcut.

    q = LN(1x1(BN(query(x)))) at the output's size and width; k, v = linear(LN(x)) at the input's size. LG and G differ
    in their queries alone.
    """

    CUTS: ClassVar[Mapping[str, Cut]] = {"kv.weight": halves, "kv.bias": halves}

    def __init__(self, w_in: int, stage: StageSpec) -> None:
        super().__init__()
        width = stage.width
        self.head_dim = stage.head_dim or width
        self.query = QUERIES[stage.down or ""](w_in, stage.stride)
        self.norm_query_in = nn.BatchNorm2d(w_in)
        self.project_query = conv(w_in, width, 1, bias=True)
        self.norm_query = nn.LayerNorm(width, eps=1e-6)
        self.norm_key = nn.LayerNorm(w_in, eps=1e-6)
        self.kv = Linear(w_in, 2 * width)
        self.proj = Linear(width, width)
        self.shortcut = PooledShortcut(w_in, width, stage.stride, pooled=stage.stride != 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, width, ceil(h / stride), ceil(w / stride))."""
        shortcut = self.shortcut(x)
        kv = self.kv(self.norm_key(x.permute(0, 2, 3, 1)))
        k, v = kv.flatten(1, 2).unflatten(2, (2, -1, self.head_dim)).permute(2, 0, 3, 1, 4)  # (b, heads, n, head_dim)
        q = self.project_query(self.norm_query_in(self.query(x))).permute(0, 2, 3, 1)  # (b, h', w', width)
        heads = self.norm_query(q).flatten(1, 2).unflatten(2, (-1, self.head_dim)).transpose(1, 2)
        y = F.scaled_dot_product_attention(heads, k, v).transpose(1, 2).reshape(q.shape)
        return shortcut + self.proj(y).permute(0, 3, 1, 2)  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, stage: StageSpec) -> None:
        """Adds this module's cost, step by step as in `forward`."""
        n, width, head_dim = tally.positions, stage.width, stage.head_dim or stage.width
        PooledShortcut.cost(tally, w_in, width, stage.stride)
        tally.norm(w_in)
        tally.linear(w_in, 2 * width)
        QUERIES[stage.down or ""].cost(tally, w_in, stage.stride)
        queries, heads = tally.positions, width // head_dim
        tally.norm(w_in)
        tally.conv(w_in, width, 1, bias=True)
        tally.norm(width)
        tally.alive(2 * width * (n + queries))
        tally.matmul(queries, head_dim, n, batch=heads)
        tally.nonlinearity(heads * n)
        tally.matmul(queries, n, head_dim, batch=heads)
        tally.linear(width, width)


DOWN_MODULES: dict[str, type[LocalDown] | type[AttendingDown]] = {
    "local": LocalDown,
    "local_global": AttendingDown,
    "global": AttendingDown,
}
