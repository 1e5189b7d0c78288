"""Initial values of weights, by name and shape: one rule for networks and for the supernet's shared weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from metanet.errors import MetanetError


@dataclass(frozen=True)
class Init:
    """How a network starts.

    layer_scale   initial factor of attention and MLP branches; 1e-6 as released handicaps attention in short runs
    zero_gamma    whether the last BatchNorm of a convolution block starts at 0, as released (the block as identity)
    """

    layer_scale: float = 1e-6
    zero_gamma: bool = True

    def __post_init__(self) -> None:
        if not math.isfinite(self.layer_scale):
            raise MetanetError(f"`layer_scale` must be finite, got {self.layer_scale!r}: the released value is 1e-6")


@torch.no_grad()
def initialise(params: Mapping[str, Tensor], init: Init, generator: torch.Generator | None = None) -> None:
    """Fills parameters in place, in the order of the mapping.

    Linear weights: normal, sd 0.02, cut at two sd; convolutions: PyTorch's default, uniform within 1 / sqrt(fan_in),
    biases too; norms: 1 and 0; as the released code (its other initial values are in `Init`).
    """
    for name, value in params.items():
        owner, _, kind = name.rpartition(".")
        layer = owner.rpartition(".")[2]
        weight = params.get(f"{owner}.weight")
        if kind.startswith("scale_"):
            value.fill_(init.layer_scale)
        elif kind == "temperature":
            value.fill_(1.0)
        elif layer.startswith("norm"):
            zero = kind == "bias" or (layer == "norm_project" and init.zero_gamma)
            value.fill_(0.0 if zero else 1.0)
        elif kind.endswith("_bias"):
            value.zero_()
        elif weight is not None and weight.ndim >= 3:
            bound = math.prod(weight.shape[1:]) ** -0.5
            value.uniform_(-bound, bound, generator=generator)
        elif kind == "bias":
            value.zero_()
        else:
            _cut_normal(value, 0.02, generator)


def _cut_normal(value: Tensor, sd: float, generator: torch.Generator | None) -> None:
    """Fills in place with normal numbers cut at two sd, by the inverse of the distribution function.

    Four passes over the tensor; torch's own trunc_normal_ took fourteen times as long, a minute for MN-B15.
    """
    most = math.erf(2**0.5)
    value.uniform_(-most, most, generator=generator).erfinv_().mul_(sd * 2**0.5).clamp_(-2 * sd, 2 * sd)
