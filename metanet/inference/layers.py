"""The parts of a fused network. All maps are (b, c, h, w) in torch.channels_last; nothing here can be trained."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import PooledShortcut, SqueezeExcite
from metanet.inference.fold import Affine, Weights, weights


def onednn(x: Tensor) -> bool:
    """Whether oneDNN's convolutions with what follows them may be called by name: float32 on a CPU, and not while a
    graph is recorded (a compiler fuses plain convolutions by itself)."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


class Conv(nn.Module):
    """A convolution with what follows it: GELU, or the addition of a map.

    A linear layer is a 1x1 convolution: oneDNN runs it faster than a matrix product, and needs no other layout. At the
    first call oneDNN lays the weights out in a second copy; it is made again after they were moved or cast.
    """

    def __init__(self, layer: Weights, *, stride: int = 1, groups: int = 1, gelu: bool = False) -> None:
        super().__init__()
        weight = layer.weight if layer.weight.ndim == 4 else layer.weight[:, :, None, None]
        self.weight = nn.Parameter(weight.float().contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.bias = nn.Parameter(layer.bias.float(), requires_grad=False)
        self.stride, self.groups, self.gelu = stride, groups, gelu
        self.padding = weight.shape[-1] // 2
        self._packed: Tensor | None = None

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride)); `plus` is added at the end."""
        if onednn(x):
            return self._onednn(x, plus)
        y = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        if self.gelu:
            y = F.gelu(y) if torch.compiler.is_compiling() else torch.ops.aten.gelu_(y)
        return y if plus is None else y + plus

    def _onednn(self, x: Tensor, plus: Tensor | None) -> Tensor:
        sizes: Any = [self.padding] * 2, [self.stride] * 2, [1, 1], self.groups
        if self._packed is None:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self._packed = pack(self.weight, *sizes, list(x.shape))
        if plus is not None:
            call = torch.ops.mkldnn._convolution_pointwise.binary
            found = call(x, plus, self._packed, self.bias, *sizes, "add", 1.0, None, [], None)
        else:
            after: Any = ("gelu", [], "none") if self.gelu else ("none", [], "")
            found = torch.ops.mkldnn._convolution_pointwise(x, self._packed, self.bias, *sizes, *after)
        return found  # type: ignore[no-any-return]

    def _apply(self, fn: Any, recurse: bool = True) -> "Conv":
        self._packed = None
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}

    def extra_repr(self) -> str:
        """The sizes, in the order of nn.Conv2d's."""
        w_out, w_in, side, _ = self.weight.shape
        return f"{w_in * self.groups}, {w_out}, kernel={side}, stride={self.stride}, groups={self.groups}"


class Gate(nn.Module):
    """Squeeze-and-excitation; `inplace` overwrites the map that it scales."""

    def __init__(self, se: SqueezeExcite, *, inplace: bool = True) -> None:
        super().__init__()
        self.squeeze, self.excite = Conv(weights(se.squeeze)), Conv(weights(se.excite))
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return x.mul_(gate) if self.inplace and not torch.compiler.is_compiling() else x * gate


class Pooled(nn.Module):
    """Max-pooling where there is one, then the shortcut's 1x1 convolution."""

    def __init__(self, shortcut: PooledShortcut) -> None:
        super().__init__()
        self.stride, self.pooled, self.project = shortcut.stride, shortcut.pooled, Conv(weights(shortcut.project))

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        return self.project(F.max_pool2d(x, 3, self.stride, 1) if self.pooled else x)  # type: ignore[no-any-return]


class Shift(nn.Module):
    """An affine step that stays one: in front of a padded convolution its shift must not reach the padding."""

    def __init__(self, step: Affine) -> None:
        super().__init__()
        self.scale = nn.Parameter(step.scale.float().view(-1, 1, 1), requires_grad=False)
        self.shift = nn.Parameter(step.shift.float().view(-1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        return torch.addcmul(self.shift, x, self.scale)


class Normalise(nn.Module):
    """A LayerNorm over channels; without its scale and shift where the next layer has taken them over."""

    def __init__(self, norm: nn.LayerNorm, *, learned: bool) -> None:
        super().__init__()
        self.width, self.eps = list(norm.normalized_shape), norm.eps
        self.weight = nn.Parameter(norm.weight.detach().clone(), requires_grad=False) if learned else None
        self.bias = nn.Parameter(norm.bias.detach().clone(), requires_grad=False) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.width, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)
