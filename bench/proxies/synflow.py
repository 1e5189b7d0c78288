"""How much flows through a network's weights: the log of SynFlow's score."""

import math

import torch
from torch import Tensor, nn

from metanet.bench.proxies.functions import (
    ATTENTION,
    GATES,
    NORMS,
    RECTIFIERS,
    SOFTMAXES,
    Function,
    Replacing,
    averaged,
    opened,
    same,
    shared,
)
from metanet.bench.proxies.protocol import copied, device_of, weights

# Of numbers that are not negative all of this is linear, or at least grows as they do.
LINEAR: dict[Function, Function] = {
    **dict.fromkeys(RECTIFIERS + NORMS, same),
    **dict.fromkeys(GATES, opened),
    **dict.fromkeys(SOFTMAXES, shared),
    **dict.fromkeys(ATTENTION, averaged),
}


def synflow(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """The log of the sum of theta * dR / dtheta over all weights, where R is the sum of what the network answers to an
    image of ones with the absolute values of its weights: R = 1^T (prod |theta|) 1.

    Source: Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow",
    Algorithm 1; as the score of a network Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS", section 3.
    The log keeps the order; R grows by a factor with each layer, so that it is computed in 64 bits. Of `images` only
    the size counts.

    Our reading: the paper's network is linear, since ReLU is the identity where nothing is negative. So are the other
    rectifiers here; there are no norms and no biases, gates are open, and attention takes the mean of its values. Then
    each layer that all paths cross adds exactly R (Theorem 2).
    """
    total = sum(saliencies(network, images).values())
    return math.log(total) if total > 0 else -math.inf


def saliencies(network: nn.Module, images: Tensor) -> dict[str, float]:
    """The sum of theta * dR / dtheta over each weight, by name."""
    own = copied(network, torch.float64)
    with torch.no_grad():
        for name, value in own.named_parameters():
            value.copy_(torch.zeros_like(value) if name.endswith("bias") else value.abs())
    ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=device_of(own))
    known = weights(own)
    with torch.enable_grad(), Replacing(LINEAR):
        flow = own(ones).sum()
    found = torch.autograd.grad(flow, list(known.values()), allow_unused=True)
    return {
        name: 0.0 if gradient is None else float((gradient * value.detach()).sum())
        for (name, value), gradient in zip(known.items(), found, strict=True)
    }
