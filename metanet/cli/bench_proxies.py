"""`metanet bench proxies`: scores of architectures that nobody has trained."""

import argparse
from collections.abc import Mapping


def run(args: argparse.Namespace) -> int:
    """Prints the proxies of each architecture, and how sure the means over initialisations are."""
    from metanet.bench.proxies import PROXIES, proxy_evaluator
    from metanet.cli.bench_data import names_of
    from metanet.cli.output import emit, table
    from metanet.cli.setting import images_of, split
    from metanet.data import Labelled
    from metanet.factory import find
    from metanet.runs import track

    specs = {name: find(name).spec for name in args.networks}
    images = images_of(args.data)
    data = Labelled(images, split(images, args.seed)["weights"])
    names = names_of(args.proxies) or list(PROXIES)
    evaluate = proxy_evaluator(names, data, seed=args.seed, batch=args.batch, repeats=args.repeats)
    found = {name: evaluate(specs[name]) for name in track(list(specs), "networks")}
    if args.json:
        return emit([{"network": name, "id": specs[name].id, **scores} for name, scores in found.items()])
    told = f"{args.repeats} initialisations, {args.batch} images of {images.name} for each; more is meant to be better"
    rows = [
        {"proxy": proxy, **{name: _shown(scores, proxy) for name, scores in found.items()}} for proxy in evaluate.names
    ]
    return table(rows, title=told)


def _shown(scores: Mapping[str, float], name: str) -> str:
    """A mean and, where there is one that is not 0, its standard error."""
    value = f"{scores[name]:,.0f}" if scores[name].is_integer() else f"{scores[name]:.4g}"
    return f"{value} ± {error:.2g}" if (error := scores.get(f"{name}.se", 0.0)) else value
