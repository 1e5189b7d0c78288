"""Scores frozen networks with the linear probe on packaged data, beside the majority class, raw pixels and the same
network with random weights.

NETWORK is a name, a spec file (.json), a saved network (.safetensors), or timm:NAME for any network of timm.
"""

import argparse
from typing import Any

HELP = "score frozen networks with a linear probe"
EXAMPLE = "metanet bench runs/demo/winner.safetensors timm:convnext_atto --percents 1 10 100"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="networks to score")
    parser.add_argument("--data", default="mnist-5k", help="images (default: %(default)s)")
    parser.add_argument(
        "--percents", type=float, nargs="+", default=[1, 10, 100], help="of the training images (default: 1 10 100)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="draws of the training images (default: %(default)s)")
    parser.add_argument("--resolution", type=int, default=32, help="of networks without their own (default: 32)")
    parser.add_argument("--pretrained", action="store_true", help="timm networks with pretrained weights")
    parser.add_argument("--seed", type=int, default=0, help="of the split, as in `metanet search`")
    parser.add_argument("--csv", metavar="FILE", help="also write every cell into a CSV file")
    parser.add_argument("--json", action="store_true", help="print every cell as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the score table."""
    from metanet.bench import Task, score
    from metanet.cli.output import emit, table
    from metanet.cli.setting import split
    from metanet.data import load_images
    from metanet.runs import atomic_write

    images = load_images(args.data)
    parts = split(images, args.seed)
    task = Task(args.data, "classification", "accuracy", images, parts["selection"], parts["test"], args.resolution)
    networks = {name: _backbone(name, args.pretrained) for name in args.networks}
    cells = score(networks, task, percents=args.percents, seeds=tuple(range(args.seeds)))
    if args.csv:
        atomic_write(args.csv, cells.to_csv(index=False))
    if args.json:
        return emit(cells.to_dict("records"))
    means = cells.groupby(["backbone", "percent"], sort=False)["value"].mean().unstack()
    rows = [
        {"network": name, **{f"{percent:g} %": f"{100 * value:.1f}" for percent, value in row.items()}}
        for name, row in means.iterrows()
    ]
    return table(rows, title=f"test accuracy on {args.data} (%), mean of {args.seeds} draws of the training images")


def _backbone(name: str, pretrained: bool) -> Any:
    from metanet.bench import timm_backbone
    from metanet.factory import create

    if name.startswith("timm:"):
        return timm_backbone(name.removeprefix("timm:"), pretrained=pretrained)
    return create(name, seed=0) if not name.endswith(".safetensors") else create(name)
