"""What a network's functions are replaced by while it runs: `torch` is asked, so that it does not matter whether they
are modules or are called inside of one."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Function = Callable[..., Any]

# Zero, or nearly so, for negative numbers and nearly the identity for positive ones.
RECTIFIERS: tuple[Function, ...] = (
    F.relu,
    F.relu_,
    F.relu6,
    F.hardtanh,  # what torch runs for a module ReLU6
    F.leaky_relu,
    F.prelu,
    F.rrelu,
    F.elu,
    F.selu,
    F.celu,
    F.gelu,
    F.silu,
    F.mish,
    F.hardswish,
    F.softplus,
    torch.relu,
    Tensor.relu,
    Tensor.relu_,
)
# From 0 to 1: what multiplies something else.
GATES: tuple[Function, ...] = (F.sigmoid, F.hardsigmoid, torch.sigmoid, Tensor.sigmoid, Tensor.sigmoid_)
NORMS: tuple[Function, ...] = (F.batch_norm, F.layer_norm, F.group_norm, F.instance_norm, F.rms_norm)
SOFTMAXES: tuple[Function, ...] = (F.softmax, torch.softmax, Tensor.softmax)
ATTENTION: tuple[Function, ...] = (F.scaled_dot_product_attention,)


class Replacing(TorchFunctionMode):
    """Within a `with` block, calls what a table has in the place of a function, with the same arguments.

    What a replacement calls itself is not replaced.
    """

    def __init__(self, table: Mapping[Function, Function]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.table.get(func, func)(*args, **(kwargs or {}))


def same(x: Tensor, *_: Any, **__: Any) -> Tensor:
    """The input itself."""
    return x


def opened(x: Tensor, *_: Any, **__: Any) -> Tensor:
    """A gate that lets everything through."""
    return torch.ones_like(x)


def rectified(x: Tensor, *_: Any, **__: Any) -> Tensor:
    """ReLU, whatever stood there."""
    return F.relu(x)


def shared(x: Tensor, dim: int, *_: Any, **__: Any) -> Tensor:
    """A softmax that prefers nothing: equal shares."""
    return torch.full_like(x, 1 / x.shape[dim])


def averaged(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *_: Any, **more: Any) -> Tensor:
    """Attention that prefers nothing: the mean of the values that the mask leaves to each query."""
    if attn_mask is not None and attn_mask.is_floating_point():
        attn_mask = torch.zeros_like(attn_mask).masked_fill(attn_mask == -torch.inf, -torch.inf)
    causal = more.get("is_causal", False)
    return F.scaled_dot_product_attention(torch.zeros_like(q), torch.zeros_like(k), v, attn_mask, is_causal=causal)
