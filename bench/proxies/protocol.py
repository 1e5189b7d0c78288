"""What a proxy is, and what those that need gradients share. (b: images, h x w: pixels)"""

import copy
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from metanet.errors import MetanetError


class Proxy(Protocol):
    """A score of a network before any training; more is meant to be better."""

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
        """The score, from images (b, 3, h, w), their classes (b,) and, where it draws numbers, a seed.

        The network is left as it was, to the bit: weights, buffers, modes and gradients.
        """
        ...


def copied(network: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy to compute on: BatchNorm takes the statistics of the batch, since a fresh network has no others; dropout
    and stochastic depth are off; all parameters need gradients and have none."""
    found = copy.deepcopy(network).requires_grad_(True)
    found.zero_grad(set_to_none=True)
    for part in found.modules():
        part.training = isinstance(part, _BatchNorm)
    return found if dtype is None else found.to(dtype)


def device_of(network: nn.Module) -> torch.device:
    """Where a network's parameters are."""
    return next((value.device for value in network.parameters()), torch.device("cpu"))


def weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights by name: the parameters of two dimensions and more, but those that a network says are no weights
    (timm's `no_weight_decay`: position tables, temperatures).

    Raises:
        MetanetError: there are none.
    """
    rule = getattr(network, "no_weight_decay", None)
    others = rule() if callable(rule) else ()
    found = {name: value for name, value in network.named_parameters() if value.ndim > 1 and name not in others}
    if not found:
        raise MetanetError(f"a proxy scores the weights of a network, got a {type(network).__name__} without any")
    return found


def gradients(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradient of the mean cross-entropy by each weight; zeros where it does not reach.

    Raises:
        MetanetError: the network has no classifier for the labels, or no weights.
    """
    own, here = weights(network), device_of(network)
    with torch.enable_grad():
        logits = network(images.to(here))
        _check_classes(network, logits, labels)
        loss = F.cross_entropy(logits, labels.to(here))
        found = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(own.items(), found, strict=True)
    }


def _check_classes(network: nn.Module, logits: object, labels: Tensor) -> None:
    classes = int(labels.max()) + 1
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else ()
    if len(shape) != 2 or shape[1] < classes or getattr(network, "num_classes", None) == 0:
        raise MetanetError(
            f"the gradient of a loss needs a network with a classifier for {classes} classes or more, got a "
            f"{type(network).__name__} that gives the shape {shape} without one: build it with `num_classes`"
        )
