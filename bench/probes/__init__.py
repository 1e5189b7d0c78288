"""What is learnt from frozen features: classifiers as probes, and scores of transfer."""

from metanet.bench.probes.eigen import Eigen, decompose
from metanet.bench.probes.linear import LinearProbe
from metanet.bench.probes.logistic import LogisticCv, LogisticProbe
from metanet.bench.probes.nearest import Nearest, NearestProbe
from metanet.bench.probes.registry import PROBES
from metanet.bench.probes.ridge import RidgeLoo
from metanet.bench.probes.transfer import h_score, log_evidence, transfer_scores

__all__ = [
    "PROBES",
    "Eigen",
    "LinearProbe",
    "LogisticCv",
    "LogisticProbe",
    "Nearest",
    "NearestProbe",
    "RidgeLoo",
    "decompose",
    "h_score",
    "log_evidence",
    "transfer_scores",
]
