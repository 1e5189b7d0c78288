"""Lists the networks that `metanet.create` knows by name."""

import argparse
from typing import Any

HELP = "the networks that metanet knows by name"
EXAMPLE = "metanet list 'MN-*'"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern of names (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints name, costs and provenance of each network."""
    from metanet.cli.output import emit, table
    from metanet.factory import MODELS, cost, list_models
    from metanet.report.style import quantity

    rows: list[dict[str, Any]] = []
    for name in list_models(args.pattern):
        price = cost(name)
        side = MODELS[name].spec.resolution
        rows.append(
            {
                "name": name,
                "params": price.params,
                "macs": price.macs,
                "resolution": side,
                "provenance": MODELS[name].provenance,
            }
        )
    if args.json:
        return emit(rows)
    shown = [{**row, "params": quantity(row["params"]), "macs": quantity(row["macs"])} for row in rows]
    return table(shown, title="without classifier; MACs at the resolution shown")
