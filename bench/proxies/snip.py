"""How sensitive the loss is to the presence of each weight: SNIP's score."""

from torch import Tensor, nn

from metanet.bench.proxies.protocol import copied, gradients, weights


def snip(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """The sum of |theta * dL / dtheta| over all weights, for the loss L on one batch.

    Source: Lee et al. 2019, "SNIP: Single-shot network pruning based on connection sensitivity", section 4.1, before
    they divide by this sum; as the score of a network Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS",
    section 3.
    """
    own = copied(network)
    values = weights(own)
    found = gradients(own, images, labels)
    return sum(float((gradient * values[name].detach()).abs().double().sum()) for name, gradient in found.items())
