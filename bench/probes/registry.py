"""The probes by name."""

from collections.abc import Callable

from metanet.bench.probes.linear import LinearProbe
from metanet.bench.probes.logistic import LogisticProbe
from metanet.bench.probes.nearest import NearestProbe
from metanet.bench.task import Probe

PROBES: dict[str, Callable[..., Probe]] = {
    "linear": LinearProbe,
    "logistic": LogisticProbe,
    "knn": NearestProbe,
}
