"""How strongly a network with random weights answers to a small change of its input: the Zen-score."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.bench.proxies.functions import GATES, RECTIFIERS, Replacing, opened, rectified
from metanet.bench.proxies.protocol import copied, device_of, weights
from metanet.blocks import BLOCKS
from metanet.blocks.layers import PooledShortcut
from metanet.model import MetaNet

ALPHA = 0.01
VANILLA = {**dict.fromkeys(RECTIFIERS, rectified), **dict.fromkeys(GATES, opened)}


def zen(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """log E ||f(x) - f(x + alpha e)|| + the sum over BatchNorms of log sqrt(mean over channels of their variance).

    x, e and all weights are standard normal, drawn from the seed, so that neither images (but for their size and
    number) nor the network's own values count. f is the map before the pooling. The second term undoes what the
    BatchNorms divide by.

    Source: Lin et al. 2021, "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", Algorithm 1; as in
    section 3.2 residual links are cut and activations are ReLU.

    Our reading: gates are open; attention, which the paper leaves out, stays, since whole stages consist of it, and
    so do LayerNorms, which are not undone. Residual links of other networks than MetaNets are not known, and stay.
    """
    own = _without_residuals(copied(network))
    generator = torch.Generator().manual_seed(seed)
    _draw(own, generator)
    x, change = (torch.randn(images.shape, generator=generator).to(device_of(own)) for _ in range(2))
    variances: list[Tensor] = []

    def normed(x: Tensor, *args: Any, **more: Any) -> Tensor:
        variances.append(x.double().var([i for i in range(x.ndim) if i != 1], correction=0).mean())
        return F.batch_norm(x, *args, **more)

    with torch.no_grad():
        with Replacing({**VANILLA, F.batch_norm: normed}):
            before = _map(own, x)
        with Replacing(VANILLA):
            after = _map(own, x + ALPHA * change)
    response = (after - before).double().flatten(1).norm(dim=1).mean()
    return float(response.log() + sum(one.log() / 2 for one in variances))


def _draw(network: nn.Module, generator: torch.Generator) -> None:
    """Weights from a standard normal distribution, biases 0, everything else (scales, temperatures) 1."""
    drawn = weights(network)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name in drawn:
                value.copy_(torch.randn(value.shape, generator=generator))
            else:
                value.fill_(0.0 if name.endswith("bias") else 1.0)


def _map(network: nn.Module, x: Tensor) -> Tensor:
    """The last map before pooling; of a network that does not name it, what it gives."""
    if isinstance(network, MetaNet):
        return network.head(network.forward_features(x))  # type: ignore[no-any-return]
    found: Tensor = getattr(network, "forward_features", network)(x)
    return found


def _without_residuals(network: nn.Module) -> nn.Module:
    """Cuts the links around the blocks of a MetaNet, in place."""
    for part in network.modules():
        if isinstance(part, PooledShortcut):
            part.register_forward_hook(lambda _, __, output: torch.zeros_like(output))
        elif isinstance(part, tuple(BLOCKS.values())) and getattr(part, "shortcut", None) is None:
            part.register_forward_hook(lambda _, given, output: output - given[0])
    return network
