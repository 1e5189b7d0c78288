"""The proxies by name, and several of one network."""

import math
from collections.abc import Iterable

from torch import Tensor, nn

from metanet.bench.proxies.costs import macs, params
from metanet.bench.proxies.grad_norm import grad_norm
from metanet.bench.proxies.naswot import naswot
from metanet.bench.proxies.protocol import Proxy
from metanet.bench.proxies.snip import snip
from metanet.bench.proxies.synflow import synflow
from metanet.bench.proxies.zen import zen
from metanet.bench.proxies.zico import zico
from metanet.errors import MetanetError, unknown

PROXIES: dict[str, Proxy] = {
    "synflow": synflow,
    "naswot": naswot,
    "grad_norm": grad_norm,
    "snip": snip,
    "zen": zen,
    "zico": zico,
    "params": params,
    "macs": macs,
}


def check_proxies(names: Iterable[str]) -> tuple[str, ...]:
    """The names as they are. Raises MetanetError for one that is unknown, for one given twice, and for none."""
    given = tuple(names)
    for name in given:
        if name not in PROXIES:
            raise unknown("proxy", name, PROXIES)
    if not given or len(set(given)) < len(given):
        raise MetanetError(f"networks are scored by one proxy or several different ones, got {list(given)}")
    return given


def proxy_scores(
    network: nn.Module, images: Tensor, labels: Tensor, names: Iterable[str] = tuple(PROXIES), *, seed: int = 0
) -> dict[str, float]:
    """The scores of a network by name; it is left as it was.

    images   (b, 3, h, w), at least four
    labels   (b,) their classes
    names    of PROXIES
    seed     of what a proxy draws

    Raises:
        MetanetError: a name is unknown or given twice, a proxy cannot score the network, or its score is no finite
            number.
    """
    scores = {}
    for name in check_proxies(names):
        scores[name] = PROXIES[name](network, images, labels, seed=seed)
        if not math.isfinite(scores[name]):
            raise MetanetError(
                f"a score must be a finite number, {name} gives {scores[name]} with seed {seed} on {len(images)} "
                "images: take other images or another proxy"
            )
    return scores
