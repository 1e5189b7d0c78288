"""The parts of a fused network. Maps are (b, c, h, w) in torch.channels_last, tokens (…, c); nothing can be trained.

Names that begin with `torch.ops.mkldnn` are those that torch.compile itself writes for a CPU when it freezes a network:
they run without compiling, too.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import PooledShortcut, SqueezeExcite
from metanet.inference.fold import Affine, Weights, weights

_GELU: tuple[str, list[float], str] = ("gelu", [], "none")  # in oneDNN's words, the exact form
_NOTHING: tuple[str, list[float], str] = ("none", [], "")


def constant(value: Tensor) -> nn.Parameter:
    """A tensor that moves with its module and is never trained."""
    return nn.Parameter(value, requires_grad=False)


def recording() -> bool:
    """Whether a graph is being recorded instead of run."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


def by_name(x: Tensor) -> bool:
    """Whether oneDNN may be called by name: on a CPU in a type that it computes in, not where a gradient is asked for,
    not under autocast (which knows torch's names alone), and not while a graph is recorded (compilers find and pack
    plain convolutions by themselves)."""
    if recording() or x.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if torch.is_autocast_enabled("cpu"):
        return False
    if x.requires_grad and torch.is_grad_enabled():
        return False
    return x.dtype == torch.float32 or (
        x.dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


class Packing(nn.Module):
    """Keeps a second copy of `weight` in oneDNN's own layout: made at the first call, dropped when weights move or are
    loaded. A weight that is changed in place by other means is not followed."""

    weight: nn.Parameter
    bias: nn.Parameter
    packed: Tensor | None

    def __init__(self, layer: Weights, gelu: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.gelu = constant(layer.weight), constant(layer.bias), gelu
        self.packed = None

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self.packed = None
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *args: Any) -> None:
        self.packed = None
        super()._load_from_state_dict(*args)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "packed": None}

    def extra_repr(self) -> str:
        """Shape of the weights and what follows them."""
        return f"{tuple(self.weight.shape)}{', gelu' if self.gelu else ''}"


class Linear(Packing):
    """A linear layer on tokens, then GELU if asked for, plus the tokens `plus` if given."""

    def __init__(self, layer: Weights, *, gelu: bool = False) -> None:
        super().__init__(Weights(layer.weight.flatten(1), layer.bias), gelu)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """(…, w_in) -> (…, w_out)."""
        if not by_name(x) or x.numel() == 0:
            y = F.linear(x, self.weight, self.bias)
            y = F.gelu(y) if self.gelu else y
            return y if plus is None else y + plus
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, x.numel() // x.shape[-1])
        call: Any = torch.ops.mkldnn._linear_pointwise
        if plus is None:
            return call(x, self.packed, self.bias, *(_GELU if self.gelu else _NOTHING))  # type: ignore[no-any-return]
        return call.binary(x, plus, self.packed, self.bias, "add")  # type: ignore[no-any-return]


class Pointwise(Linear):
    """A 1x1 convolution: a linear layer on each position of a map."""

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, h, w)."""
        residual = None if plus is None else plus.permute(0, 2, 3, 1)
        return super().forward(x.permute(0, 2, 3, 1), residual).permute(0, 3, 1, 2)


class Conv(Packing):
    """A convolution padded by half its side, then GELU if asked for, plus the map `plus` if given."""

    def __init__(self, layer: Weights, *, stride: int = 1, groups: int = 1, gelu: bool = False) -> None:
        weight = layer.weight.contiguous(memory_format=torch.channels_last)
        super().__init__(Weights(weight, layer.bias), gelu)
        self.stride, self.groups, self.padding = stride, groups, weight.shape[-1] // 2

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        if not by_name(x) or x.numel() == 0:
            y = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)
            y = F.gelu(y) if self.gelu else y
            return y if plus is None else y + plus
        sizes: Any = [self.padding] * 2, [self.stride] * 2, [1, 1], self.groups
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *sizes, list(x.shape))
        call: Any = torch.ops.mkldnn._convolution_pointwise
        if plus is None:
            return call(x, self.packed, self.bias, *sizes, *(_GELU if self.gelu else _NOTHING))  # type: ignore[no-any-return]
        return call.binary(x, plus, self.packed, self.bias, *sizes, "add", 1.0, None, [], None)  # type: ignore[no-any-return]


class Gate(nn.Module):
    """Squeeze-and-excitation; `inplace` overwrites the map that it scales."""

    def __init__(self, se: SqueezeExcite, *, inplace: bool = True) -> None:
        super().__init__()
        self.squeeze, self.excite = plain(weights(se.squeeze)), plain(weights(se.excite))
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        # torch's mean converts all of a bfloat16 map first: pooling takes a fifth of the time.
        means = F.avg_pool2d(x, x.shape[2:]) if by_name(x) and x.dtype == torch.bfloat16 else x.mean((2, 3))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(means.flatten(1)))))[:, :, None, None]
        return x.mul_(gate) if self.inplace else x * gate


def plain(layer: Weights) -> nn.Linear:
    """torch's own linear layer: for one vector an image it is the fastest."""
    made = nn.Linear(1, 1, device="meta")
    made.weight, made.bias = constant(layer.weight.flatten(1)), constant(layer.bias)
    made.out_features, made.in_features = made.weight.shape
    return made


class Pooled(nn.Module):
    """The pooled shortcut."""

    def __init__(self, shortcut: PooledShortcut) -> None:
        super().__init__()
        self.stride, self.pooled = shortcut.stride, shortcut.pooled
        self.project = Pointwise(weights(shortcut.project))

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        return self.project(F.max_pool2d(x, 3, self.stride, 1) if self.pooled else x)  # type: ignore[no-any-return]


class Step(nn.Module):
    """An affine step on each channel that stays one."""

    def __init__(self, step: Affine) -> None:
        super().__init__()
        self.scale, self.shift = constant(step.scale.view(-1, 1, 1)), constant(step.shift.view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        return torch.addcmul(self.shift, x, self.scale)


class Normalise(nn.Module):
    """The part of a LayerNorm that no weight can take over; (…, c) -> (…, c)."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.width, self.eps = norm.normalized_shape, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """(…, c) -> (…, c)."""
        return F.layer_norm(x, self.width, eps=self.eps)
