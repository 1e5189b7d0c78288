"""The block around attention: convolutional position, attention, MLP, each with LayerScale (released MetaNet)."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.channel_attention import ChannelAttention
from metanet.blocks.cuts import Cut, thirds
from metanet.blocks.layers import Linear, PooledShortcut, conv, drop_path, hidden_width
from metanet.blocks.self_attention import SelfAttention
from metanet.blocks.tally import Tally
from metanet.spec import StageSpec

MIXERS: dict[str, type[SelfAttention] | type[ChannelAttention]] = {
    "self_attention": SelfAttention,
    "channel_attention": ChannelAttention,
}


class Mlp(nn.Module):
    """Two linear layers with GELU between them, on each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(width, hidden)
        self.project = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        return self.project(F.gelu(self.expand(x)))  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, width: int, hidden: int) -> None:
        """Adds this layer's cost."""
        tally.linear(width, hidden)
        tally.nonlinearity(hidden)
        tally.linear(hidden, width)


class Transformer(nn.Module):
    """x += dw3x3(x); x += s1 * attention(norm(x)); x += s2 * mlp(norm(x)), with LayerNorm and LayerScale s1, s2.

    A block that changes width or stride is reduced: it attends over the pooled tokens at the input width, its
    projection changes the width, the pooled shortcut is added, and it has no MLP. Position comes from the depthwise
    convolution (Chu et al. 2021), so that the block takes any map size.
    """

    CUTS: ClassVar[Mapping[str, Cut]] = {"attention.qkv.weight": thirds, "attention.qkv.bias": thirds}

    def __init__(self, w_in: int, stage: StageSpec, *, stride: int = 1, drop: float = 0.0) -> None:
        super().__init__()
        w_out = stage.width
        self.stride, self.drop = stride, drop
        self.position = conv(w_in, w_in, 3, groups=w_in, bias=True)
        self.norm_attention = nn.LayerNorm(w_in, eps=1e-6)
        self.attention = MIXERS[stage.op](w_in, w_out, stage.head_dim or w_in)
        self.scale_attention = nn.Parameter(torch.ones(w_out))
        self.shortcut = PooledShortcut(w_in, w_out, stride) if stride != 1 or w_in != w_out else None
        if self.shortcut is None:
            self.norm_mlp = nn.LayerNorm(w_out, eps=1e-6)
            self.mlp = Mlp(w_out, hidden_width(w_out, stage))
            self.scale_mlp = nn.Parameter(torch.ones(w_out))

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        x = x + self.position(x)
        if self.shortcut is not None:
            return self._reduced(x, self.shortcut(x))
        tokens = x.flatten(2).transpose(1, 2)  # (b, n, c)
        y = self.scale_attention * self.attention(self.norm_attention(tokens))
        tokens = tokens + drop_path(y, self.drop, self.training)
        y = self.scale_mlp * self.mlp(self.norm_mlp(tokens))
        tokens = tokens + drop_path(y, self.drop, self.training)
        return tokens.transpose(1, 2).reshape(x.shape)

    def _reduced(self, x: Tensor, shortcut: Tensor) -> Tensor:
        tokens = self.norm_attention(x.flatten(2).transpose(1, 2))
        if self.stride != 1:
            pooled = F.max_pool2d(tokens.transpose(1, 2).reshape(x.shape), 3, self.stride, 1)
            tokens = pooled.flatten(2).transpose(1, 2)
        y = drop_path(self.scale_attention * self.attention(tokens), self.drop, self.training)
        return shortcut + y.transpose(1, 2).reshape(shortcut.shape)

    @staticmethod
    def cost(tally: Tally, w_in: int, stage: StageSpec, *, stride: int = 1) -> None:
        """Adds this block's cost, step by step as in `forward`."""
        w_out = stage.width
        tally.conv(w_in, w_in, 3, groups=w_in, bias=True)
        tally.norm(w_in)
        reduced = stride != 1 or w_in != w_out
        if reduced:
            PooledShortcut.cost(tally, w_in, w_out, stride)
            tally.pool(stride)
        MIXERS[stage.op].cost(tally, w_in, w_out, stage.head_dim or w_in)
        tally.scale(w_out)
        if not reduced:
            tally.norm(w_out)
            Mlp.cost(tally, w_out, hidden_width(w_out, stage))
            tally.scale(w_out)
