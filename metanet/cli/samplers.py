"""What proposes architectures in a job."""

from metanet.bench.proxies import proxy_evaluator
from metanet.bench.proxies.registry import check_proxies
from metanet.cli.phases import Data
from metanet.cli.setting import batch_of
from metanet.errors import MetanetError, unknown
from metanet.searchers import SAMPLERS, AgingEvolution, PredictorGuided
from metanet.searchers.samplers import NativeSampler


def check_sampler(name: str, proxies: tuple[str, ...] = ()) -> None:
    """Raises MetanetError for an unknown sampler, for unknown proxies, and where it does not learn from any."""
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    if proxies:
        check_proxies(proxies)
    if proxies and name != "predictor":
        raise MetanetError(
            f"of all samplers `predictor` alone learns from proxies, got {','.join(proxies)} for {name!r}: take "
            "--sampler predictor, or leave the proxies out"
        )


def sampler_of(name: str, proxies: tuple[str, ...], data: Data, seed: int) -> NativeSampler:
    """The sampler of a search; proxies score each network once, with fresh weights, on images that train weights."""
    if not proxies:
        return SAMPLERS[name]()
    own = data.weights
    evaluate = proxy_evaluator(proxies, own, seed=seed, batch=batch_of(len(own.ids)), repeats=1)
    return PredictorGuided(proxies=evaluate)


def rung_sampler(name: str, trials: int) -> NativeSampler:
    """The sampler of a family's rung. Evolution begins with random networks, which are the very ones of the control: at
    most a third of the trials."""
    if name != "evolution":
        return SAMPLERS[name]()
    return AgingEvolution(first=max(1, min(AgingEvolution.first, trials // 3)))
