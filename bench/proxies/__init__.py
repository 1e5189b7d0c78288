"""Zero-cost proxies: scores of networks that nobody has trained, each from its paper, with parameters and MACs as
controls."""

from metanet.bench.proxies.evaluate import PLAIN, Build, Fresh, ProxyEvaluator, proxy_evaluator
from metanet.bench.proxies.protocol import Proxy
from metanet.bench.proxies.registry import PROXIES, proxy_scores

__all__ = ["PLAIN", "PROXIES", "Build", "Fresh", "Proxy", "ProxyEvaluator", "proxy_evaluator", "proxy_scores"]
