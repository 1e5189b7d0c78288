"""Runs the main job: trains a supernet, searches under constraints with the fit of a probe as the score, retrains the
winner and the winners of two controls (random search, most MACs) from scratch, tests all of them once on images that
nothing else saw, and writes a report. With --inherit all of them begin with the supernet's weights and are fine-tuned.

Killed at any moment and run again with the same command, it goes on where it was; with one evaluation at a time it
ends the same. Once tested, a run folder takes no more trials.
"""

import argparse
from typing import TYPE_CHECKING

from metanet.cli.execution import execution_arguments
from metanet.cli.setting import budget_arguments, data_argument

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

HELP = "search, retrain, test, report"
EXAMPLE = "metanet search --constraints 'macs <= 1M, params <= 100k' --trials 200 --out runs/small"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    _what(parser.add_argument_group("what is searched"))
    _how(parser.add_argument_group("how"))
    execution_arguments(parser)
    parser.add_argument("--out", default="runs/search", help="run folder (default: %(default)s)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="no progress bars")
    watch = "a live table of the best and the last architectures; a line every 10 trials where stderr is no terminal"
    shown.add_argument("--watch", action="store_true", help=watch)


def _what(where: "_ArgumentGroup") -> None:
    where.add_argument(
        "--space", default="metanet-tiny", help="space to search, or its YAML or JSON file (default: %(default)s)"
    )
    data_argument(where, default="mnist-5k")
    where.add_argument(
        "--resolution",
        type=int,
        default=28,
        metavar="PIXELS",
        help="side at which networks see the images: their centred square, resized; larger ones show more and take "
        "longer, 0 searches it (default: %(default)s)",
    )
    where.add_argument(
        "--constraints",
        default="macs <= 2M, params <= 200k",
        metavar="RULES",
        help="that every network keeps (default: %(default)s)",
    )
    where.add_argument(
        "--latency", metavar="TABLE", help="file of `metanet latency build`: rules may name latency, as 'latency <= …'"
    )


def _how(how: "_ArgumentGroup") -> None:
    budget_arguments(how, trials=60, scored="architectures to score")
    how.add_argument(
        "--proxies",
        default="",
        metavar="NAMES",
        help="scores of untrained networks that the sampler predictor learns from, too, separated by commas, as "
        "naswot,snip (default: none; `metanet bench proxies --help` names them)",
    )
    how.add_argument(
        "--inherit",
        action="store_true",
        help="fine-tune all winners from the supernet's weights instead of training them from scratch",
    )
    how.add_argument(
        "--percents",
        type=float,
        nargs="+",
        default=[1, 10, 100],
        help="of the probe's training images (default: 1 10 100)",
    )
    how.add_argument(
        "--fidelities",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="F",
        help="shares of the evaluation, as 0.1 0.3 1: the best third goes on to the next (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the job and says what to look at and what to type next."""
    from metanet.cli.execution import execution_of
    from metanet.cli.job import JobOptions, run_job
    from metanet.cli.setting import names_in, same_split

    options = JobOptions(
        space=args.space,
        data=args.data,
        resolution=args.resolution or None,
        constraints=args.constraints,
        sampler=args.sampler,
        proxies=names_in(args.proxies),
        trials=args.trials,
        supernet_steps=args.supernet_steps,
        epochs=args.epochs,
        retrain_seeds=args.retrain_seeds,
        percents=tuple(args.percents),
        seed=args.seed,
        latency=args.latency,
        rules=names_in(args.rules),
        inherit=args.inherit,
        fidelities=tuple(args.fidelities),
    )
    shown = {"quiet": args.quiet or None, "watch": args.watch}
    verdict = run_job(options, args.out, execution=execution_of(args), **shown)
    print(verdict)
    scored = f"metanet bench run {args.out}/winner.safetensors timm:convnext_atto{same_split(args.data, args.seed)}"
    print(f"open {args.out}/report.html, then type: {scored}")
    return 0
