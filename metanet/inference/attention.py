"""The Transformer block, fused. A mixer keeps its own forward; its linear layers are exchanged for fused ones."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks import Transformer
from metanet.blocks.channel_attention import ChannelAttention
from metanet.blocks.self_attention import SelfAttention
from metanet.blocks.window_attention import WindowAttention
from metanet.inference.fold import Weights, affine, before, scaled, weights
from metanet.inference.layers import Conv, Linear, Normalise, Pooled, constant

# Mixers that begin with `qkv`, which can take over the scale and shift of the LayerNorm before it. Window attention
# pads its map in between, but what pads is masked as a key and dropped as a query.
BEGIN_WITH_QKV = (SelfAttention, ChannelAttention, WindowAttention)


class Mix(nn.Module):
    """plus + LayerScale * projection(mixer(norm(tokens))). Where a maximum stands between norm and mixer, scales stay
    in the norm: they may be negative."""

    def __init__(self, block: Transformer, *, pools: bool) -> None:
        super().__init__()
        norm, mixer, proj = block.norm_mixer, copy.deepcopy(block.mixer), block.mixer.proj
        self.norm: nn.Module = copy.deepcopy(norm)
        if isinstance(mixer, BEGIN_WITH_QKV):
            folds = not pools
            mixer.qkv = Linear(before(affine(norm), weights(mixer.qkv)) if folds else weights(mixer.qkv))  # type: ignore[assignment]
            self.norm = Normalise(norm) if folds else self.norm
        mixer.proj = nn.Identity()
        self.mixer = mixer
        self.proj = None if isinstance(proj, nn.Identity) else Linear(scaled(weights(proj), block.scale_mixer))
        self.scale = constant(block.scale_mixer.detach().double()) if self.proj is None else None
        self.stride = block.stride

    def forward(self, tokens: Tensor, plus: Tensor) -> Tensor:
        """(b, h, w, w_in), (b, h', w', w_out) -> (b, h', w', w_out)."""
        x = self.norm(tokens)
        if self.stride != 1:
            x = F.max_pool2d(x.permute(0, 3, 1, 2), 3, self.stride, 1).permute(0, 2, 3, 1)
        y = self.mixer(x)
        if self.proj is None:
            assert self.scale is not None
            return torch.addcmul(plus, y, self.scale)
        return self.proj(y, plus)  # type: ignore[no-any-return]


class Whole(nn.Module):
    """A Transformer block that keeps width and size."""

    def __init__(self, block: Transformer) -> None:
        super().__init__()
        self.position, self.mix = position(block), Mix(block, pools=False)
        self.norm = Normalise(block.norm_mlp)
        self.expand = Linear(before(affine(block.norm_mlp), weights(block.mlp.expand)), gelu=True)
        self.project = Linear(scaled(weights(block.mlp.project), block.scale_mlp))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        tokens = self.position(x).permute(0, 2, 3, 1)  # (b, h, w, c)
        tokens = self.mix(tokens, tokens)
        tokens = self.project(self.expand(self.norm(tokens)), tokens)
        return tokens.permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class Reduced(nn.Module):
    """A Transformer block that changes width or stride: without an MLP."""

    def __init__(self, block: Transformer) -> None:
        super().__init__()
        assert block.shortcut is not None
        self.position, self.mix = position(block), Mix(block, pools=block.stride != 1)
        self.shortcut = Pooled(block.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        x = self.position(x)
        y = self.mix(x.permute(0, 2, 3, 1), self.shortcut(x).permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def position(block: Transformer) -> Conv:
    """x + depthwise(x): the sum is one more 1 in the middle of each kernel."""
    weight, bias = weights(block.position)
    weight = weight.clone()
    weight[:, 0, weight.shape[2] // 2, weight.shape[3] // 2] += 1
    return Conv(Weights(weight, bias), groups=block.position.groups)


def transformer(block: Transformer) -> Whole | Reduced:
    """The LayerNorms' scales and shifts and the LayerScales go into the linear layers beside them."""
    return Whole(block) if block.shortcut is None else Reduced(block)
