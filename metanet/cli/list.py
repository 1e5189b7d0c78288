"""Lists the networks that `metanet.create` knows by name, with their costs.

Parameters and MACs are without classifier; "with classifier" adds the one of the released form. Memory is that of
inference on one image at the network's own resolution, in 32 bits: the weights and the largest step. --json gives
exact values.
"""

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
    from metanet.factory import list_models
    from metanet.report.members import SIDES, facts
    from metanet.report.style import quantity

    rows = [facts(name) for name in list_models(args.pattern)]
    if args.json:
        return emit(rows)
    shown: list[dict[str, Any]] = []
    for row in rows:
        short = {key: quantity(value, zeros=True) if isinstance(value, int) else "–" for key, value in row.items()}
        cells = {"name": row["name"], "px": row["resolution"], "params": short["params"]}
        cells |= {"with cls.": short["params_with_classifier"]}
        cells |= {f"MACs {side}": short[f"macs_{side}"] for side in SIDES}
        shown.append(cells | {"acts": short["activations"], "memory": f"{short['memory']}B"})
    table(shown, title="without classifier (cls.); activations and memory of one image at the resolution (px) shown")
    return _origins(rows)


def _origins(rows: list[dict[str, Any]]) -> int:
    """Prints where the networks come from, those of one origin together."""
    from rich.console import Console

    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row["provenance"], []).append(row["name"])
    for origin, own in names.items():
        Console().print(f"{', '.join(own)}: {origin}", style="dim", highlight=False, markup=False)
    return 0
