"""How differently a network's units are switched by different images: NASWOT's score."""

from typing import Any

import torch
from torch import Tensor, nn

from metanet.bench.proxies.functions import RECTIFIERS, Function, Replacing
from metanet.bench.proxies.protocol import copied, device_of
from metanet.errors import MetanetError

UNITS = 1 << 20  # of a layer at a time: counts up to 2^24 are exact in 32 bits


def naswot(network: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """The log of the absolute determinant of `kernel`; minus infinity where two images have the same code.

    Source: Mellor et al. 2021, "Neural Architecture Search without Training", eq. 1 and 2.
    """
    _, log = torch.linalg.slogdet(kernel(network, images))
    return float(log)


def kernel(network: nn.Module, images: Tensor) -> Tensor:
    """For each two images how many units are switched alike: N - d(c_i, c_j), (b, b) in 64 bits, with N units and the
    Hamming distance d of the binary codes c.

    The paper's units are ReLUs, whose bit says whether their input is positive. Our reading: the same of the input of
    every rectifier (GELU, SiLU, ...); gates and softmax switch nothing off and have no bits.

    Raises:
        MetanetError: the network has no such unit.
    """
    own, alike = copied(network), torch.zeros(len(images), len(images), dtype=torch.float64)

    def counted(function: Function) -> Function:
        def count(x: Tensor, *args: Any, **more: Any) -> Tensor:
            for part in (x > 0).reshape(len(images), -1).split(UNITS, dim=1):  # type: ignore[no-untyped-call]
                on, off = part.float(), (~part).float()
                alike.add_((on @ on.T + off @ off.T).cpu())
            found: Tensor = function(x, *args, **more)
            return found

        return count

    with torch.no_grad(), Replacing({function: counted(function) for function in RECTIFIERS}):
        own(images.to(device_of(own)))
    if not alike.any():
        raise MetanetError(
            "naswot codes images by a network's rectifiers (ReLU, GELU, ...), of which a "
            f"{type(network).__name__} has none: take another proxy"
        )
    return alike
