"""Shows a network stage by stage: op, depth, width, map size, and shares of MACs and parameters.

NETWORK is a name (`metanet list`), a spec file (.json) or a saved network (.safetensors).
"""

import argparse

HELP = "a network, stage by stage"
EXAMPLE = "metanet show MN-B4 --png mn-b4.png"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("network", metavar="NETWORK", help="name, spec.json or weights.safetensors")
    parser.add_argument("--resolution", type=int, help="side of the input in pixels (default: the network's own)")
    parser.add_argument("--png", metavar="FILE", help="also draw it into a PNG file")
    parser.add_argument("--json", action="store_true", help="print the spec as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the network."""
    from metanet.cli.output import table
    from metanet.cost import describe, price
    from metanet.factory import find
    from metanet.report.style import quantity

    member = find(args.network)
    price(member.spec, resolution=args.resolution)  # refuses a resolution that is none
    rows = describe(member.spec, resolution=args.resolution)
    if args.png:
        from metanet.report import draw

        draw(rows).save_png(args.png)
    if args.json:
        print(member.spec.to_json())
        return 0
    totals = {key: sum(row[key] for row in rows) for key in ("macs", "params")}
    shown = [
        {
            "part": row["name"],
            "op": row["op"].replace("_", " "),
            "depth": row["depth"],
            "width": row["width"],
            "map": f"{row['map'][0]}x{row['map'][1]}",
            "MACs": f"{quantity(row['macs'])} ({row['macs'] / totals['macs']:.0%})",
            "params": f"{quantity(row['params'])} ({row['params'] / totals['params']:.0%})",
        }
        for row in rows
    ]
    side = args.resolution or member.spec.resolution
    return table(
        shown,
        title=f"{args.network} at {side} px: {totals['macs']:,} MACs, {totals['params']:,} parameters "
        f"(id {member.spec.id}; {member.provenance})",
    )
