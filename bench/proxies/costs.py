"""What a network costs, as scores to compare with: a proxy that orders no better than these says nothing else."""

import copy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from metanet.cost import price
from metanet.model import MetaNet


def params(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """The number of parameters, those of a classifier too."""
    return float(sum(value.numel() for value in network.parameters()))


def macs(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """Multiply-accumulates of one image: those of convolutions, linear layers and both products of attention, a
    classifier's too; of a MetaNet by its price, of other networks as torch counts them on the meta device."""
    height, width = images.shape[2:]
    if isinstance(network, MetaNet):
        return float(price(network.spec, resolution=(height, width), num_classes=network.num_classes).macs)
    own = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        own(torch.empty(1, *images.shape[1:], device="meta"))
    return float(counter.get_total_flops() // 2)
