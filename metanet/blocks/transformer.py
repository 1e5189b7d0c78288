"""The block around a token mixer: convolutional position, mixer, MLP, each with LayerScale (released MetaNet).

Released with self-attention (MN-B4) and channel attention (MN-B15). That window attention and the token MLP stand in
the very same block is our reading of UniNet's unified form (every operator, then an FFN with an expansion).
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.channel_attention import ChannelAttention
from metanet.blocks.cuts import Cut, centred, thirds
from metanet.blocks.layers import Linear, PooledShortcut, conv, drop_path, hidden_width
from metanet.blocks.self_attention import SelfAttention
from metanet.blocks.tally import Tally, settled
from metanet.blocks.token_mlp import TokenMlp
from metanet.blocks.window_attention import WindowAttention
from metanet.spec import StageSpec

# All take `Mixer(w_in, w_out, stage, index)` and a map (b, h, w, w_in), and have `cost(tally, w_in, w_out, stage)`.
MIXERS: dict[str, type[SelfAttention] | type[ChannelAttention] | type[WindowAttention] | type[TokenMlp]] = {
    "self_attention": SelfAttention,
    "channel_attention": ChannelAttention,
    "window_attention": WindowAttention,
    "token_mlp": TokenMlp,
}


class Mlp(nn.Module):
    """Two linear layers with GELU between them, on each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(width, hidden)
        self.project = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) -> (…, width)."""
        return self.project(F.gelu(self.expand(x)))  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, width: int, hidden: int) -> None:
        """Adds this layer's cost."""
        tally.linear(width, hidden)
        tally.nonlinearity(hidden)
        tally.linear(hidden, width)


class Transformer(nn.Module):
    """x += dw3x3(x); x += s1 * mixer(norm(x)); x += s2 * mlp(norm(x)), with LayerNorm and LayerScale s1, s2.

    A block that changes width or stride is reduced: it mixes the pooled tokens at the input width, the mixer's
    projection changes the width, the pooled shortcut is added, and it has no MLP. Position comes from the depthwise
    convolution (Chu et al. 2021), so that the block takes any map size. Maps in channels_last are never copied.
    """

    CUTS: ClassVar[Mapping[str, Cut]] = {
        "mixer.qkv.weight": thirds,
        "mixer.qkv.bias": thirds,
        "mixer.relative_position": centred,
    }

    def __init__(self, w_in: int, stage: StageSpec, *, stride: int = 1, drop: float = 0.0, index: int = 0) -> None:
        super().__init__()
        w_out = stage.width
        self.stride, self.drop = stride, drop
        self.position = conv(w_in, w_in, 3, groups=w_in, bias=True)
        self.norm_mixer = nn.LayerNorm(w_in, eps=1e-6)
        self.mixer = MIXERS[stage.op](w_in, w_out, stage, index)
        self.scale_mixer = nn.Parameter(torch.ones(w_out))
        self.shortcut = PooledShortcut(w_in, w_out, stride) if stride != 1 or w_in != w_out else None
        if self.shortcut is None:
            self.norm_mlp = nn.LayerNorm(w_out, eps=1e-6)
            self.mlp = Mlp(w_out, hidden_width(w_out, stage))
            self.scale_mlp = nn.Parameter(torch.ones(w_out))

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        x = x + self.position(x)
        tokens = x.permute(0, 2, 3, 1)  # (b, h, w, c)
        if self.shortcut is not None:
            return self._reduced(tokens, self.shortcut(x))
        y = self.scale_mixer * self.mixer(self.norm_mixer(tokens))
        tokens = tokens + drop_path(y, self.drop, self.training)
        y = self.scale_mlp * self.mlp(self.norm_mlp(tokens))
        tokens = tokens + drop_path(y, self.drop, self.training)
        return tokens.permute(0, 3, 1, 2)

    def _reduced(self, tokens: Tensor, shortcut: Tensor) -> Tensor:
        tokens = self.norm_mixer(tokens)
        if self.stride != 1:
            tokens = F.max_pool2d(tokens.permute(0, 3, 1, 2), 3, self.stride, 1).permute(0, 2, 3, 1)
        y = drop_path(self.scale_mixer * self.mixer(tokens), self.drop, self.training)
        return shortcut + y.permute(0, 3, 1, 2)

    @staticmethod
    def cost(tally: Tally, w_in: int, stage: StageSpec, *, stride: int = 1) -> None:
        """Adds this block's cost, step by step as in `forward`."""
        w_out = stage.width
        tally.conv(w_in, w_in, 3, groups=w_in, bias=True)
        tally.norm(w_in)
        reduced = stride != 1 or settled(w_in != w_out)
        if reduced:
            PooledShortcut.cost(tally, w_in, w_out, stride)
            tally.pool(stride)
        else:
            tally.hold(w_in)
        MIXERS[stage.op].cost(tally, w_in, w_out, stage)
        tally.scale(w_out)
        if not reduced:
            tally.norm(w_out)
            Mlp.cost(tally, w_out, hidden_width(w_out, stage))
            tally.scale(w_out)
