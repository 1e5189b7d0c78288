"""How long the gradient is: the simplest score by gradients."""

from torch import Tensor, nn

from metanet.bench.proxies.protocol import copied, gradients


def grad_norm(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """The sum over weights of the Euclidean norm of the gradient of the loss on one batch.

    Source: Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS", section 3.
    """
    found = gradients(copied(network), images, labels)
    return sum(float(gradient.double().norm()) for gradient in found.values())
