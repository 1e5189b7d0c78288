"""How alike gradients of different batches are: ZiCo."""

import math

import torch
from torch import Tensor, nn

from metanet.bench.proxies.protocol import copied, gradients
from metanet.errors import MetanetError


def zico(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0, batches: int = 2) -> float:
    """The sum over layers of log(sum over weights of mean(|g|) / std(|g|)), where g are the gradients of the loss on
    each batch.

    Source: Li et al. 2023, "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients", eq. 15. A layer is
    a weight tensor. Weights whose gradient has the same size on all batches have no such ratio and are left out; they
    are those that no gradient reaches.

    batches   that the images are cut into; the paper takes two, of 128 images each (section 4.5)

    Raises:
        MetanetError: a batch would have fewer than two images, or no gradient reaches any weight.
    """
    if batches < 2 or len(images) < 2 * batches:
        raise MetanetError(
            f"zico compares two batches or more of two images or more, got {batches} of {len(images)} images: give more"
        )
    own = copied(network)
    found = [gradients(own, *part) for part in zip(images.chunk(batches), labels.chunk(batches), strict=True)]
    layers = [_ratios(torch.stack([one[name] for one in found])) for name in found[0]]
    if not any(layers):
        raise MetanetError("zico needs gradients that differ between batches, got none: give other images")
    return sum(math.log(layer) for layer in layers if layer)


def _ratios(gradients: Tensor) -> float:
    """The sum of mean(|g|) / std(|g|) over a weight, (batches, ...)."""
    sizes = gradients.double().abs()
    mean, deviation = sizes.mean(0), sizes.std(0, correction=0)
    return float((mean / deviation)[deviation > 0].sum())
