"""Prices a network exactly, without building it.

MACs count convolutions, linear layers and attention products, a fused multiply-add once; norms and non-linearities
stand beside them, in elements; peak is how many numbers the largest step keeps alive, memory that of inference on one
image in 32 bits, in bytes. Without --classes the network is priced without classifier.

timm:NAME is any network of timm: MACs as torch counts them, activations as fvcore does. --check counts the MACs and
parameters of any network by torch and fvcore, too, and says what makes the difference, operator by operator.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metanet.check import Check

HELP = "the exact cost of a network"
EXAMPLE = "metanet cost MN-B4 --resolution 224 --check"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("network", metavar="NETWORK", help="name, spec.json, weights.safetensors or timm:NAME")
    parser.add_argument("--resolution", type=int, help="side of the input in pixels (default: the network's own)")
    parser.add_argument("--classes", type=int, default=0, help="width of the classifier (default: none)")
    parser.add_argument("--check", action="store_true", help="count by torch and fvcore, too (builds the network)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the cost, or the check."""
    from dataclasses import asdict

    from metanet.cli.output import emit, table
    from metanet.factory import cost

    timm_name = args.network.removeprefix("timm:") if args.network.startswith("timm:") else None
    asked = {"resolution": args.resolution, "num_classes": args.classes}
    if args.check:
        from metanet.check import check, check_timm

        found = check_timm(timm_name, **asked) if timm_name is not None else check(args.network, **asked)
        return emit(asdict(found)) if args.json else _show(found)
    if timm_name is not None:
        from metanet.check import timm_cost

        values = timm_cost(timm_name, **asked)
    else:
        price = cost(args.network, **asked)
        values = {**asdict(price), "memory": price.memory()}
    if args.json:
        return emit(values)
    return table([{"cost": name, "value": f"{value:,}"} for name, value in values.items()])


def _show(found: "Check") -> int:
    """Prints the counts side by side and the lines that explain their differences."""
    from metanet.cli.output import table

    table([{"counted by": name, "MACs": macs, "params": found.params[name]} for name, macs in found.macs.items()])
    print(f"fvcore's MACs less torch's: {found.macs['fvcore'] - found.macs['torch']:+,}")
    for one in found.differences:
        print(f"  {one.operator}: {one.macs:+,} ({one.reason})")
    for what, count in found.unexplained.items():
        print(f"unexplained: {what}: {count:+,}")
    if not found.unexplained:
        print("nothing is unexplained")
    return 0
