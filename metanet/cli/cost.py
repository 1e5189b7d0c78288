"""Prices a network exactly, without building it.

MACs count convolutions, linear layers and attention products, a fused multiply-add once; norms and non-linearities
stand beside them, in elements; peak is how many numbers the largest step keeps alive, memory that of inference on one
image in 32 bits, in bytes. Without --classes the network is priced without classifier.
"""

import argparse

HELP = "the exact cost of a network"
EXAMPLE = "metanet cost MN-B15 --resolution 224"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("network", metavar="NETWORK", help="name, spec.json or weights.safetensors")
    parser.add_argument("--resolution", type=int, help="side of the input in pixels (default: the network's own)")
    parser.add_argument("--classes", type=int, default=0, help="width of the classifier (default: none)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the cost."""
    from dataclasses import asdict

    from metanet.cli.output import emit, table
    from metanet.factory import cost

    price = cost(args.network, resolution=args.resolution, num_classes=args.classes)
    values = {**asdict(price), "memory": price.memory()}
    if args.json:
        return emit(values)
    return table([{"cost": name, "value": f"{value:,}"} for name, value in values.items()])
