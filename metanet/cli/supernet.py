"""Trains shared weights for all networks of a space, by rules that are chosen by name.

Killed at any moment and run again with the same command, a training goes on where it was and ends the same.
"""

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanet.cli.setting import STEPS, add_actions, data_argument, rules_argument

if TYPE_CHECKING:
    from metanet.search_spaces import TrainingConfig

HELP = "shared weights: train a supernet, list the rules, report"
EXAMPLE = "metanet supernet train --rules sandwich,alpha-divergence,best-up --out runs/search/supernet"
ACTIONS = {
    "train": (
        "train a supernet",
        "Trains a supernet on the images that `metanet search` trains weights on, and writes its\n"
        "checkpoint, history.csv, report.html and PNG files of the plots. `metanet search` with the\n"
        "same options takes the weights that it finds in the folder `supernet` of its own folder (there\n"
        "--steps is --supernet-steps; batch size, samples, candidates, bands and rate must be the defaults).",
        "train --rules sandwich,alpha-divergence,best-up --out runs/search/supernet",
    ),
    "rules": ("the rules by name", "Lists the rules by name: what each does, and the paper it is from.", "rules"),
    "report": (
        "the report of a training",
        "Writes report.html and PNG files of the plots, from the history in a folder.",
        "report runs/search/supernet",
    ),
}
# name -> (default, what for): the defaults are those of TrainingConfig, which `--help` must not import
NUMBERS: Mapping[str, tuple[int | float, str]] = {
    "batch-size": (64, "images an update"),
    "micro-batches": (1, "parts of a batch, each with BatchNorm statistics of its own"),
    "samples": (2, "random networks an update, beside the largest and the smallest"),
    "candidates": (3, "of best-up and worst-up, for each random network"),
    "bands": (4, "of cost, in which cost-band draws and the report tells losses"),
    "lr": (3e-3, "peak learning rate"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    made = add_actions(parser, "supernet", ACTIONS)
    _train_arguments(made["train"])
    made["rules"].add_argument("--json", action="store_true", help="print JSON")
    made["report"].add_argument("folder", metavar="DIR", help="folder of a training that has ended")
    made["report"].add_argument("--out", metavar="FILE", help="page to write (default: report.html in the folder)")


def _train_arguments(train: argparse.ArgumentParser) -> None:
    default = "(default: %(default)s)"
    what = train.add_argument_group("what is trained")
    what.add_argument("--space", default="metanet-tiny", help=f"name of a space, or its YAML or JSON file {default}")
    data_argument(what, default="mnist-5k")
    what.add_argument("--resolution", type=int, default=28, help=f"fixes the resolution; 0 trains all {default}")
    what.add_argument(
        "--constraints",
        default="macs <= 2M, params <= 200k",
        metavar="RULES",
        help=f"that every network keeps; '' is none {default}",
    )
    how = train.add_argument_group("how")
    rules_argument(how)
    how.add_argument("--steps", type=int, default=STEPS, help=f"updates {default}")
    for name, (usual, said) in NUMBERS.items():
        how.add_argument(f"--{name}", type=type(usual), help=f"{said} (default: {usual})")
    how.add_argument("--seed", type=int, default=0, help=f"of everything random {default}")
    train.add_argument("--out", default="runs/search/supernet", metavar="DIR", help=f"run folder {default}")
    train.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Trains, lists or reports."""
    if args.action == "rules":
        return _rules(json=args.json)
    if args.action == "report":
        from metanet.search_spaces import training_report

        print(f"wrote {training_report(args.folder, args.out)}")
        return 0
    return _train(args)


def _rules(*, json: bool) -> int:
    from metanet.cli.output import emit
    from metanet.search_spaces.training import PARTS, RULES

    if json:
        return emit([{"name": n, "part": r.part, "about": r.about, "paper": r.paper} for n, r in RULES.items()])
    for part, about in PARTS.items():
        print(f"{about}:")
        for name, rule in RULES.items():
            if rule.part == part:
                print(f"  {name:<23}{rule.about}\n{'':25}{rule.paper}")
    print("at most one for each: metanet supernet train --rules sandwich,alpha-divergence,best-up")
    return 0


def _train(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from metanet.cli.setting import batch_of, images_of, space_of, split
    from metanet.data import Labelled
    from metanet.search_spaces import Supernet, train_supernet, training_report
    from metanet.search_spaces.training.report import read_history

    config = _config(args)
    space = space_of(args.space, args.resolution or None)
    images = images_of(args.data)
    data = Labelled(images, split(images, args.seed)["weights"])
    if args.batch_size is None:
        config = replace(config, batch_size=batch_of(len(data.ids)))
    supernet = Supernet(space, len(images.classes), seed=args.seed)
    train_supernet(supernet, data, config, out=args.out, quiet=args.quiet or None)
    page = training_report(args.out)
    last = read_history(args.out).tail(20).mean()
    print(
        f"{config.steps:,} steps by {', '.join(config.rules)}: in the last 20 loss {last['loss']:.3f} and accuracy "
        f"{last['accuracy']:.3f} on training images, of the largest network (or the only one) of a step"
    )
    print(f"open {page}{_next(args, config)}")
    return 0


def _config(args: argparse.Namespace) -> "TrainingConfig":
    from metanet.cli.setting import names_in
    from metanet.search_spaces import TrainingConfig

    given = {name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name in NUMBERS}
    numbers: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    shared = {"steps": args.steps, "constraints": args.constraints, "seed": args.seed}
    return TrainingConfig(rules=names_in(args.rules), **shared, **numbers)


def _next(args: argparse.Namespace, config: "TrainingConfig") -> str:
    """What to type next: the search that takes these weights, where there is one."""
    from metanet.search_spaces import TrainingConfig

    folder = Path(args.out)
    batch = config.batch_size if args.batch_size is None else TrainingConfig.batch_size  # as a search takes it
    usual = TrainingConfig(config.rules, args.steps, batch, constraints=args.constraints, seed=args.seed)
    if folder.name != "supernet" or config != usual:
        return ""
    options = {
        "space": args.space,
        "data": args.data,
        "resolution": args.resolution,
        "constraints": args.constraints,
        "rules": args.rules,
        "supernet-steps": args.steps,
        "seed": args.seed,
        "out": folder.parent,
    }
    return ", then type: metanet search " + " ".join(f"--{n} {shlex.quote(str(v))}" for n, v in options.items())
