"""Whether an exported network is the network."""

import torch
from torch import Tensor, nn

from metanet.errors import MetanetError
from metanet.export.formats import Run
from metanet.export.sizes import Sizes

TOLERANCE = 1e-3  # of the spread between images; float32 gives about 1e-5


def difference(net: nn.Module, run: Run, sizes: Sizes) -> float:
    """The largest difference from the network over all checks. Raises MetanetError where it is above TOLERANCE."""
    shares, device = [], next(net.parameters()).device
    for count, height, width in sizes.checks():
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(count, sizes.channels, height, width, generator=generator).to(device)
        wanted = net(images)
        parts = [run(part) for part in torch.split(images, sizes.batch or count)]
        for k, want in enumerate([wanted] if isinstance(wanted, Tensor) else wanted):
            got = torch.cat([part[k] for part in parts]).to(device)
            spread = (want - want.mean(0)).abs().max()
            scale = spread if spread > 0 else want.abs().max().clamp_min(1e-30)
            shares.append((got - want).abs().max() / scale)
    worst = torch.stack(shares).max().item()  # NaN where one is
    if not worst <= TOLERANCE:
        raise MetanetError(
            f"the exported network differs by {worst:.1e} of the spread between images, more than {TOLERANCE:g}: "
            "nothing was written; verify=False (--no-verify) writes it all the same"
        )
    return worst
