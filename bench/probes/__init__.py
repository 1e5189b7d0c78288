"""What is learnt from frozen features: classifiers as probes."""

from metanet.bench.probes.linear import LinearProbe
from metanet.bench.probes.registry import PROBES
from metanet.bench.probes.ridge import RidgeLoo

__all__ = ["PROBES", "LinearProbe", "RidgeLoo"]
