"""Transformer blocks and downsampling modules, fused. Tokens stay maps: linear layers become 1x1 convolutions."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks import Transformer
from metanet.blocks.channel_attention import ChannelAttention
from metanet.blocks.downsampling import AttendingDown, LocalDown
from metanet.blocks.self_attention import SelfAttention
from metanet.inference.convolution import Convolutional
from metanet.inference.fold import Affine, Weights, affine, after, before, scaled, weights
from metanet.inference.layers import Conv, Normalise, Pooled


class Attend(nn.Module):
    """qkv, attention over positions or over channels, projection; scales of LayerNorm and LayerScale inside."""

    def __init__(self, mixer: SelfAttention | ChannelAttention, norm: Affine | None, scale: Tensor) -> None:
        super().__init__()
        qkv = weights(mixer.qkv)
        self.head_dim = mixer.head_dim
        self.qkv = Conv(before(norm, qkv) if norm else qkv)
        self.proj = Conv(scaled(weights(mixer.proj), scale))
        self.temperature = None
        if isinstance(mixer, ChannelAttention):
            self.temperature = nn.Parameter(mixer.temperature.detach().clone(), requires_grad=False)

    def forward(self, x: Tensor, plus: Tensor) -> Tensor:
        """(b, w_in, h, w), (b, w_out, h, w) -> (b, w_out, h, w)."""
        qkv = self.qkv(x).permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (3, -1, self.head_dim))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (b, heads, n, head_dim)
        if self.temperature is None:
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        else:
            gate = F.normalize(q, dim=-2).transpose(-2, -1) @ F.normalize(k, dim=-2) * self.temperature
            y = (v @ gate.softmax(dim=-1).transpose(-2, -1)).transpose(1, 2)
        tokens = y.reshape(x.shape[0], *x.shape[2:], x.shape[1])
        return self.proj(tokens.permute(0, 3, 1, 2), plus)  # type: ignore[no-any-return]


class Mix(nn.Module):
    """Any other mixer as it is, on a map, with its LayerScale."""

    def __init__(self, mixer: nn.Module, scale: Tensor) -> None:
        super().__init__()
        self.mixer = copy.deepcopy(mixer).requires_grad_(False)
        self.scale = nn.Parameter(scale.detach().clone(), requires_grad=False)

    def forward(self, x: Tensor, plus: Tensor) -> Tensor:
        """(b, w_in, h, w), (b, w_out, h, w) -> (b, w_out, h, w)."""
        y = torch.addcmul(plus.permute(0, 2, 3, 1), self.mixer(x.permute(0, 2, 3, 1)), self.scale)
        return y.permute(0, 3, 1, 2)


class Whole(nn.Module):
    """A block that keeps width and size."""

    def __init__(self, block: Transformer) -> None:
        super().__init__()
        self.position, plain = position(block), isinstance(block.mixer, (SelfAttention, ChannelAttention))
        self.norm_mixer = Normalise(block.norm_mixer, learned=not plain)
        self.mixer = mixer(block, affine(block.norm_mixer))
        self.norm_mlp = Normalise(block.norm_mlp, learned=False)
        self.expand = Conv(before(affine(block.norm_mlp), weights(block.mlp.expand)), gelu=True)
        self.project = Conv(scaled(weights(block.mlp.project), block.scale_mlp))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        x = self.position(x)
        x = self.mixer(self.norm_mixer(x), x)
        return self.project(self.expand(self.norm_mlp(x)), x)  # type: ignore[no-any-return]


class Reduced(nn.Module):
    """A block that changes width or stride. Its LayerNorm stays whole: a maximum follows; scales may be negative."""

    def __init__(self, block: Transformer) -> None:
        super().__init__()
        assert block.shortcut is not None
        self.stride, self.position = block.stride, position(block)
        self.norm = Normalise(block.norm_mixer, learned=True)
        self.mixer, self.shortcut = mixer(block, None), Pooled(block.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        x = self.position(x)
        tokens = self.norm(x)
        if self.stride != 1:
            tokens = F.max_pool2d(tokens, 3, self.stride, 1)
        return self.mixer(tokens, self.shortcut(x))  # type: ignore[no-any-return]


def mixer(block: Transformer, norm: Affine | None) -> Attend | Mix:
    """The token mixer with its LayerScale; norm: the scale and shift of the LayerNorm in front, where they may be
    taken over."""
    own: Any = block.mixer
    if isinstance(own, (SelfAttention, ChannelAttention)):
        return Attend(own, norm, block.scale_mixer)
    return Mix(own, block.scale_mixer)


def position(block: Transformer) -> Conv:
    """x + depthwise(x): the sum is one more 1 in the middle of each kernel."""
    weight, bias = weights(block.position)
    weight = weight.clone()
    weight[:, 0, weight.shape[2] // 2, weight.shape[3] // 2] += 1
    return Conv(Weights(weight, bias), groups=block.position.groups)


def transformer(block: Transformer) -> Whole | Reduced:
    """LayerNorms' scales and LayerScales go into the linear layers beside them."""
    return Whole(block) if block.shortcut is None else Reduced(block)


def local_down(down: LocalDown) -> Convolutional:
    """L: the BatchNorm goes into the depthwise convolution."""
    depthwise = after(weights(down.depthwise), affine(down.norm_depthwise))
    conv = Conv(depthwise, stride=down.depthwise.stride[0], groups=down.depthwise.groups)
    return Convolutional([conv], Conv(weights(down.project)), down.shortcut)


class FusedDown(nn.Module):
    """LG and G: the BatchNorm goes into the queries' projection, the keys' LayerNorm into keys and values."""

    def __init__(self, down: AttendingDown) -> None:
        super().__init__()
        self.head_dim, self.query = down.head_dim, copy.deepcopy(down.query).requires_grad_(False)
        self.project_query = Conv(before(affine(down.norm_query_in), weights(down.project_query)))
        self.norm_query = Normalise(down.norm_query, learned=True)
        self.norm_key = Normalise(down.norm_key, learned=False)
        self.kv = Conv(before(affine(down.norm_key), weights(down.kv)))
        self.proj, self.shortcut = Conv(weights(down.proj)), Pooled(down.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, width, ceil(h / stride), ceil(w / stride))."""
        kv = self.kv(self.norm_key(x)).permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (2, -1, self.head_dim))
        k, v = kv.permute(2, 0, 3, 1, 4)  # each (b, heads, n, head_dim)
        q = self.norm_query(self.project_query(self.query(x)))
        heads = q.permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (-1, self.head_dim)).transpose(1, 2)
        y = F.scaled_dot_product_attention(heads, k, v).transpose(1, 2)
        y = y.reshape(q.shape[0], *q.shape[2:], q.shape[1]).permute(0, 3, 1, 2)
        return self.proj(y, self.shortcut(x))  # type: ignore[no-any-return]
