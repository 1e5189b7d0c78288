"""The released networks as their public description orders the steps, module by module: what their users have run.

Nothing is merged, nothing is done in place, maps are NCHW, every attention block turns its map into tokens and back,
attention is softmax(q k^T) v with the weights in memory. Written from that description (block structure, order of
steps, names of the checkpoint's keys); it is the baseline of perf/forward.py and loads the same state as our network.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import hidden_width, squeeze_width
from metanet.model import MetaNet
from metanet.released import released_name
from metanet.spec import ArchSpec, StageSpec


class Gate(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, squeeze_width(width), 1)
        self.fc2 = nn.Conv2d(squeeze_width(width), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        gate = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * F.hardsigmoid(gate)


def gates(width: int, stage: StageSpec) -> list[nn.Module]:
    """The gate of a stage that has one."""
    return [Gate(width) if stage.se else nn.Identity()]


def shortcut(w_in: int, w_out: int, stride: int) -> nn.Module:
    """Max-pooling and a 1x1 convolution."""
    return nn.Sequential(nn.MaxPool2d(3, stride, 1), nn.Conv2d(w_in, w_out, 1))


def block_shortcut(w_in: int, w_out: int, stride: int) -> nn.Module | None:
    """The shortcut of a block that changes width or stride."""
    return None if stride == 1 and w_in == w_out else shortcut(w_in, w_out, stride)


class ConvBlock(nn.Module):
    """b1: the expanding part, b2: the rest, residual: the shortcut."""

    def __init__(self, w_in: int, stage: StageSpec, stride: int) -> None:
        super().__init__()
        hidden, w_out, kernel = hidden_width(w_in, stage), stage.width, stage.kernel or 3
        expands, fused = stride != 1 or hidden != w_in, stage.op == "fused_mbconv"
        side = {"kernel_size": kernel, "stride": stride, "padding": kernel // 2}
        wide = {"kernel_size": 1} if not fused else side
        self.b1 = nn.Sequential()
        if expands:
            expand = nn.Conv2d(w_in, hidden, bias=False, **wide)
            self.b1 = nn.Sequential(nn.BatchNorm2d(w_in), expand, nn.BatchNorm2d(hidden), nn.GELU())
        last = nn.Conv2d(hidden, w_out, 1) if expands or not fused else nn.Conv2d(w_in, w_out, **side)
        b2 = [*gates(hidden, stage), last, nn.BatchNorm2d(w_out)]
        if not fused:
            depthwise = nn.Conv2d(hidden, hidden, groups=hidden, bias=False, **side)
            b2 = [depthwise, nn.BatchNorm2d(hidden), nn.GELU(), *b2]
        self.b2 = nn.Sequential(*b2)
        self.residual = block_shortcut(w_in, w_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, h', w')."""
        y = self.b2(self.b1(x))
        return y + (x if self.residual is None else self.residual(x))


class Attention(nn.Module):
    """Over positions, or over channels with unit q and k and a temperature."""

    def __init__(self, w_in: int, w_out: int, head_dim: int, channels: bool) -> None:
        super().__init__()
        self.heads, self.head_dim, self.channels = w_in // head_dim, head_dim, channels
        self.qkv, self.proj = nn.Linear(w_in, 3 * w_in), nn.Linear(w_in, w_out)
        if channels:
            self.temperature = nn.Parameter(torch.ones(self.heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, w_in) -> (b, n, w_out)."""
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        if self.channels:
            q, k, v = q.transpose(-2, -1), k.transpose(-2, -1), v.transpose(-2, -1)
            weights = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)) * self.temperature
            y = (weights.softmax(dim=-1) @ v).permute(0, 3, 1, 2)
        else:
            weights = (q @ k.transpose(-2, -1)) * self.head_dim**-0.5
            y = (weights.softmax(dim=-1) @ v).transpose(1, 2)
        return self.proj(y.reshape(b, n, c))  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Position term, attention, MLP; a block that changes width or stride has a shortcut and no MLP."""

    def __init__(self, w_in: int, stage: StageSpec, stride: int) -> None:
        super().__init__()
        w_out, hidden = stage.width, hidden_width(w_in, stage)
        self.stride = stride
        self.pos_embed = nn.Conv2d(w_in, w_in, 3, padding=1, groups=w_in)
        self.norm1 = nn.LayerNorm(w_in, eps=1e-6)
        self.attn = Attention(w_in, w_out, stage.head_dim or w_in, stage.op == "channel_attention")
        self.gamma_1 = nn.Parameter(torch.ones(w_out))
        self.residual = block_shortcut(w_in, w_out, stride)
        if self.residual is None:
            self.norm2 = nn.LayerNorm(w_out, eps=1e-6)
            self.mlp = nn.ModuleDict({"fc1": nn.Linear(w_out, hidden), "fc2": nn.Linear(hidden, w_out)})
            self.gamma_2 = nn.Parameter(torch.ones(w_out))

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, h', w')."""
        x = x + self.pos_embed(x)
        if self.residual is not None:
            return self._reduced(x, self.residual(x))
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.gamma_1 * self.attn(self.norm1(tokens))
        y = self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(tokens))))
        tokens = tokens + self.gamma_2 * y
        return tokens.transpose(1, 2).reshape(x.shape)

    def _reduced(self, x: Tensor, residual: Tensor) -> Tensor:
        tokens = self.norm1(x.flatten(2).transpose(1, 2))
        if self.stride != 1:
            pooled = F.max_pool2d(tokens.transpose(1, 2).reshape(x.shape), 3, self.stride, 1)
            tokens = pooled.flatten(2).transpose(1, 2)
        y = self.gamma_1 * self.attn(tokens)
        return residual + y.transpose(1, 2).reshape(residual.shape)


class LocalDown(nn.Module):
    """UniNet's local downsampling module."""

    def __init__(self, w_in: int, stage: StageSpec) -> None:
        super().__init__()
        depthwise = nn.Conv2d(w_in, w_in, 3, stage.stride, 1, groups=w_in)
        self.downsample = nn.Sequential(depthwise, nn.BatchNorm2d(w_in), nn.Conv2d(w_in, stage.width, 1))
        self.residual = down_shortcut(w_in, stage)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, width, h', w')."""
        return self.downsample(x) + self.residual(x)  # type: ignore[no-any-return]


class AttendingDown(nn.Module):
    """UniNet's local-global downsampling module."""

    def __init__(self, w_in: int, stage: StageSpec) -> None:
        super().__init__()
        width = stage.width
        self.head_dim = stage.head_dim or width
        depthwise = nn.Conv2d(w_in, w_in, 3, stage.stride, 1, groups=w_in)
        self.q = nn.Sequential(depthwise, nn.BatchNorm2d(w_in), nn.Conv2d(w_in, width, 1))
        self.q_norm, self.kv_norm = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(w_in, eps=1e-6)
        self.kv, self.proj = nn.Linear(w_in, 2 * width), nn.Linear(width, width)
        self.residual = down_shortcut(w_in, stage)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, width, h', w')."""
        residual, query = self.residual(x), self.q(x)
        q = self.q_norm(query.flatten(2).transpose(1, 2))
        kv = self.kv(self.kv_norm(x.flatten(2).transpose(1, 2)))
        b, n, c = q.shape
        q = q.reshape(b, n, -1, self.head_dim).transpose(1, 2)
        k, v = kv.reshape(b, kv.shape[1], 2, -1, self.head_dim).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1)) * self.head_dim**-0.5
        y = self.proj((weights.softmax(dim=-1) @ v).transpose(1, 2).reshape(b, n, c))
        return residual + y.transpose(1, 2).reshape(query.shape)  # type: ignore[no-any-return]


def down_shortcut(w_in: int, stage: StageSpec) -> nn.Module:
    """Pooled only where the stride is 2."""
    return (
        shortcut(w_in, stage.width, stage.stride)
        if stage.stride != 1
        else nn.Sequential(nn.Conv2d(w_in, stage.width, 1))
    )


DOWNS: dict[str, Callable[[int, StageSpec], nn.Module]] = {"local": LocalDown, "local_global": AttendingDown}
BLOCKS: dict[str, Callable[[int, StageSpec, int], nn.Module]] = {
    "mbconv": ConvBlock,
    "fused_mbconv": ConvBlock,
    "self_attention": AttentionBlock,
    "channel_attention": AttentionBlock,
}


class Literal(nn.Module):
    """stem, blocks, head as in the released checkpoints; (b, 3, h, w) -> (b, classes) or the pooled vector."""

    def __init__(self, spec: ArchSpec, num_classes: int = 0) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, spec.stem_width, 3, 2, 1, bias=False), nn.BatchNorm2d(spec.stem_width), nn.GELU()
        )
        self.blocks, width = nn.Sequential(), spec.stem_width
        for stage in spec.stages:
            w_in, stride = stage.first(width)
            if stage.down:
                self.blocks.append(DOWNS[stage.down](width, stage))
            for _ in range(stage.depth):
                self.blocks.append(BLOCKS[stage.op](w_in, stage, stride))
                w_in, stride = stage.width, 1
            width = stage.width
        self.head = nn.Sequential(
            nn.Conv2d(width, spec.head_width, 1, bias=False), nn.BatchNorm2d(spec.head_width), nn.GELU()
        )
        self.classifier = nn.Linear(spec.head_width, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, classes)."""
        x = self.head(self.blocks(self.stem(x)))
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


def literal(net: MetaNet) -> Literal:
    """The same function with the same weights, as released."""
    twin = Literal(net.spec, net.num_classes).to(net.stem.conv.weight.dtype).train(net.training)
    own = net.state_dict().items()
    keys = {name: name if name.startswith("classifier.") else released_name(name, net.spec) for name, _ in own}
    twin.load_state_dict({keys[name]: value for name, value in own}, strict=True)
    return twin
