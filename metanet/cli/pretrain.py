"""Trains a network from scratch on labelled images with the Expert stage and saves it.

Killed at any moment and run again with the same arguments, it ends with the same weights.
"""

import argparse

from metanet.cli.setting import data_argument

HELP = "train a network (the Expert stage)"
EXAMPLE = "metanet pretrain runs/demo/winner.json --out runs/expert"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("network", metavar="NETWORK", help="name, spec.json or weights.safetensors")
    data_argument(parser, default="mnist-5k")
    parser.add_argument("--epochs", type=int, help="passes over the images (default: that of ExpertConfig, 12)")
    parser.add_argument("--resolution", type=int, help="side of the images (default: the network's own)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: 0)")
    parser.add_argument("--out", default="runs/expert", help="run folder (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Trains and says where the weights are."""
    from dataclasses import replace
    from pathlib import Path

    from metanet.blocks.initial import Init
    from metanet.cli.setting import images_of, same_split, split
    from metanet.data import Labelled
    from metanet.factory import create, find
    from metanet.model import MetaNet
    from metanet.pretrain import STAGES, ExpertConfig

    images = images_of(args.data)
    config = ExpertConfig(resolution=args.resolution, seed=args.seed)
    if args.epochs is not None:
        config = replace(config, epochs=args.epochs)
    if args.network.endswith(".safetensors"):
        net = create(args.network)
    else:
        net = MetaNet(find(args.network).spec, init=Init(layer_scale=0.1), seed=args.seed)
    sources = {images.name: Labelled(images, split(images, args.seed)["weights"])}
    result = STAGES["expert"]().run(net, sources, config, Path(args.out))
    last = result.history.tail(20)["accuracy"].mean()
    scored = f"metanet bench run {result.weights}{same_split(args.data, args.seed)}"
    print(f"training accuracy of the last 20 steps {last:.3f}; next: {scored}")
    return 0
