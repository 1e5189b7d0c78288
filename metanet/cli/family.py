"""Makes families: networks on a ladder of parameters and MACs, by compound scaling that meets the totals.

From one anchor it scales to the totals of --to, between two anchors it fills the ladder. NETWORK is a name, a spec
file (.json) or its one-line text; totals are without classifier. Without an anchor it shows MN-B4 to MN-B15; `build`
makes their file anew. With --evaluate each rung is the best of the networks near its totals that a search finds, beside
what random search and the rule choose; killed and run again with the same command, it goes on where it was.
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metanet.cli.setting import budget_arguments, data_argument
from metanet.errors import MetanetError

if TYPE_CHECKING:
    from metanet.search_spaces.family import Family, Rung

HELP = "families of networks: the MN-B ladder, or one of your own"
EXAMPLE = "metanet family --anchor runs/demo/winner.json --to 'params = 1M' --rungs 4 --out runs/family"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "action", nargs="?", choices=("build",), help="build: make the file of MN-B5 to MN-B14 anew, and compare"
    )
    own = parser.add_argument_group("a family of your own")
    own.add_argument(
        "--anchor", metavar="NETWORK", action="append", default=[], help="where it begins; a second one: where it ends"
    )
    own.add_argument("--to", metavar="TOTALS", help="of the last rung, as 'params = 1G' or 'params = 1G, macs = 90G'")
    own.add_argument("--rungs", type=int, default=4, help="networks, the anchors included (default: %(default)s)")
    own.add_argument("--name", default="rung", help="of the networks, before their number (default: %(default)s)")
    own.add_argument(
        "--coefficients",
        metavar="D,W",
        help="how many times as deep and as wide a step makes a network, from one anchor (default: 1.2,1.1)",
    )
    own.add_argument("--tolerance", type=float, default=0.01, help="of the totals, as a share (default: %(default)s)")
    score = parser.add_argument_group("rungs chosen by score")
    data_argument(score, "--evaluate", said="; they choose and test")
    score.add_argument(
        "--space",
        default="metanet-tiny",
        help="whose networks are chosen from (default: %(default)s); `none`: choose the coefficients of one anchor "
        "alone, from a small grid",
    )
    score.add_argument("--resolution", type=int, help="of the whole family (default: the anchors' own)")
    score.add_argument(
        "--within", type=float, default=0.05, help="how far from a rung's totals, as a share (default: %(default)s)"
    )
    alone = "; 0: each network is trained alone"
    budget_arguments(score, trials=30, scored="architectures to score a rung", shared=alone)
    score.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="folder of the family, or with build its file (default: with --evaluate runs/family, else nothing is "
        "written)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Shows, builds or makes a family."""
    if args.action == "build":
        return _build(args)
    if args.evaluate:
        return _by_score(args)
    if not args.anchor:
        return _shipped(args)
    from metanet.cli.family_made import Made, draw, show, write
    from metanet.runs import open_run

    family = _family(args)
    made = Made(family, dict(_tracked(family, args.tolerance)))
    if args.out:
        anchors = " and ".join(args.anchor)
        how = f"between {anchors}" if family.path.large else f"from {anchors} to {args.to}"
        folder = open_run(args.out)
        write(folder, made.rungs, f"metanet family, {how}", made.specs)
        draw(folder / "family.png", made)
    return show(made, args.out, json=args.json)


def _by_score(args: argparse.Namespace) -> int:
    """Runs the job that chooses each rung by score; says what to look at."""
    from metanet.cli.family_score import FamilyOptions, run_family_job
    from metanet.cli.setting import names_in

    options = FamilyOptions(
        anchors=tuple(args.anchor),
        to=args.to,
        rungs=args.rungs,
        name=args.name,
        coefficients=_coefficients(args.coefficients) if args.coefficients else None,
        tolerance=args.tolerance,
        data=args.evaluate,
        space=None if args.space == "none" else args.space,
        resolution=args.resolution,
        within=args.within,
        sampler=args.sampler,
        trials=args.trials,
        supernet_steps=args.supernet_steps,
        epochs=args.epochs,
        retrain_seeds=args.retrain_seeds,
        seed=args.seed,
        rules=names_in(args.rules),
    )
    out = args.out or "runs/family"
    print(run_family_job(options, out, quiet=args.quiet or None))
    print(f"open {out}/report.html; the networks are in {out}/family.json")
    return 0


def _family(args: argparse.Namespace) -> "Family":
    """The family that the arguments ask for."""
    from metanet.factory import find
    from metanet.search_spaces.family import family_between, family_from

    anchors = [find(name).spec for name in args.anchor]
    if len(anchors) > 2:
        raise MetanetError(f"a family has one anchor or two, got {len(anchors)}")
    if len(anchors) == 2:
        if args.to or args.coefficients:
            raise MetanetError("between two anchors neither --to nor --coefficients has a meaning: leave them out")
        return family_between(anchors[0], anchors[1], args.rungs, name=args.name)
    if not args.to:
        raise MetanetError("from one anchor a family needs --to, as --to 'params = 1G', or a second --anchor")
    depth, width = _coefficients(args.coefficients)
    return family_from(anchors[0], args.to, args.rungs, depth=depth, width=width, name=args.name)


def _coefficients(text: str | None) -> tuple[float, float]:
    from metanet.search_spaces.family.rule import ALPHA, BETA

    if text is None:
        return ALPHA, BETA
    try:
        depth, width = map(float, text.split(","))
    except ValueError:
        raise MetanetError(f"--coefficients must be two numbers as 1.2,1.1 (depth, width), got {text!r}") from None
    return depth, width


def _tracked(family: "Family", tolerance: float) -> "Sequence[tuple[str, Rung]]":
    """The rungs, with a progress bar where it takes long."""
    from metanet.runs import track

    return list(track(family.rungs(tolerance=tolerance), "solving", total=len(family.ladder)))


def _shipped(args: argparse.Namespace) -> int:
    """The table of MN-B4 to MN-B15: what is wanted and what is had."""
    from metanet.cli.output import emit, table
    from metanet.factory import MODELS, cost
    from metanet.report.style import quantity
    from metanet.search_spaces.family.members import CLASSES, POINTS, metanet_ladder

    rows: list[dict[str, Any]] = []
    for name, target in metanet_ladder().items():
        own = cost(name, num_classes=CLASSES)
        row = {"name": name, "params": own.params, "macs": own.macs, "target_params": target.params}
        rows.append({**row, "target_macs": target.macs, "provenance": MODELS[name].provenance})
    if args.json:
        return emit(rows)
    shown = [
        {
            "name": row["name"],
            "params": quantity(row["params"], zeros=True),
            "off": f"{row['params'] / row['target_params'] - 1:+.2%}",
            "MACs": quantity(row["macs"], zeros=True),
            "off ": f"{row['macs'] / row['target_macs'] - 1:+.2%}",
            "origin": row["provenance"].partition(":")[0],
        }
        for row in rows
    ]
    points = ", ".join(f"MN-B{i}" for i in POINTS)
    table(shown, title=f"with {CLASSES} classes at 224 pixels; off: from the ladder through the totals of {points}")
    print("one of your own: metanet family --anchor NETWORK --to 'params = 1G' --rungs 8 --out runs/family")
    return 0


def _build(args: argparse.Namespace) -> int:
    """Makes the zoo's file from scratch; exit code 1 where it is not what the package ships."""
    from importlib.resources import files

    from metanet.runs import atomic_write
    from metanet.search_spaces.family import zoo_file

    if args.anchor:
        raise MetanetError("build makes the family that is shipped: leave --anchor out, or leave build out")
    text = zoo_file()
    same = text == files("metanet.zoo").joinpath("family.json").read_text(encoding="utf-8")
    if args.out:
        atomic_write(args.out, text)
        print(f"wrote {args.out}")
    print(f"the family made anew is {'bit for bit' if same else 'NOT'} what the package ships")
    return 0 if same else 1
