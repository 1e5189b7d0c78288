"""Shows a search space: its genes, its exact size, its cheapest and dearest network; or draws networks from it."""

import argparse

SHORT = {
    "mbconv": "MB",
    "fused_mbconv": "FusedMB",
    "self_attention": "SA",
    "channel_attention": "XCA",
    "window_attention": "WA",
    "token_mlp": "TM",
}
HELP = "a search space, or networks drawn from it"
EXAMPLE = "metanet space metanet-tiny --where 'macs in [1M, 5M], params <= 400k' --sample 5"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("space", nargs="?", default="metanet-tiny", help="name of the space (default: %(default)s)")
    parser.add_argument("--where", metavar="RULES", help="constraints on the networks that are drawn")
    parser.add_argument("--latency", metavar="TABLE", help="file of `metanet latency build`: latency as one more cost")
    parser.add_argument("--sample", type=int, metavar="N", help="draw N networks and print their specs and costs")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, one spec a network that was drawn")


def run(args: argparse.Namespace) -> int:
    """Prints the space or the drawn networks."""
    from metanet.cli.output import emit, table
    from metanet.cli.setting import space_of
    from metanet.report.style import quantity

    space = space_of(args.space, latency=args.latency)
    if args.sample is not None:
        specs = space.sample(args.sample, args.where, seed=args.seed)
        if args.json:
            return emit([spec.to_dict() for spec in specs])
        rows = [
            {
                "id": spec.id,
                "px": spec.resolution,
                "MACs": quantity(space.price(spec)["macs"]),
                "params": quantity(space.price(spec)["params"]),
                **({"ms": f"{space.price(spec)['latency'] / 1e6:.3f}"} if args.latency else {}),
                "stages (depth x width)": ", ".join(f"{SHORT[s.op]} {s.depth}x{s.width}" for s in spec.stages),
            }
            for spec in specs
        ]
        return table(rows)
    metrics = ("macs", "params", *(("latency",) if args.latency else ()))
    extremes = {metric: space.table.extremes(metric) for metric in metrics}
    if args.json:
        genes = {gene.name: list(gene.choices) for gene in space.genes}
        return emit({"name": space.name, "size": space.size, "extremes": extremes, "genes": genes})
    table([{"gene": gene.name, "choices": ", ".join(map(str, gene.choices))} for gene in space.genes])
    print(f"{space.name}: {space.size:,} distinct architectures")
    for metric, (low, high) in extremes.items():
        print(f"{metric}: {low:,} to {high:,}{' ns' * (metric == 'latency')}")
    return 0
