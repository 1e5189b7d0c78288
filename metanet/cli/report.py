"""Writes what a study tells: best and non-dominated architectures, the controls at equal budget, the volume dominated,
the genes that mattered, failures and times. The search may still be running: nothing but the report is written.

STUDY is a journal file that a search left, the address of a study in PostgreSQL, or the run folder of `metanet search`,
whose random search is the control.
With --watch the terminal shows the best and the last trials instead, until Ctrl-C.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanet.errors import MetanetError

if TYPE_CHECKING:
    from metanet.searchers import SearchResult

HELP = "the report of a study: HTML and PNG; --watch: a live table"
EXAMPLE = "metanet report runs/demo --out runs/demo/study"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "study", metavar="STUDY", help="journal file, run folder of `metanet search`, or postgresql://…#STUDY"
    )
    parser.add_argument(
        "--control", metavar="STUDY", help="random search for the same (default: random.journal of the run folder)"
    )
    parser.add_argument(
        "--out",
        default="study",
        metavar="PATH",
        help="folder of report.html and a PNG file of each plot, or a file .html for the page alone "
        "(default: %(default)s)",
    )
    parser.add_argument("--watch", action="store_true", help="show a live table in place of writing the report")
    old = parser.add_argument_group("for a study that does not tell what space it searched")
    old.add_argument("--space", help="space that was searched, or its YAML or JSON file")
    old.add_argument("--resolution", type=int, help="resolution that the space was fixed at")
    old.add_argument("--latency", metavar="TABLE", help="latency table that the space was searched with")


def run(args: argparse.Namespace) -> int:
    """Writes the report and says where it is, or shows how the study grows."""
    study, control = _stores(args)
    result = _load(args, study)
    if args.watch:
        from metanet.searchers.watch import look_on

        look_on(result, {} if control is None else {"random search": partial(_load, args, control)})
        return 0
    if control and not args.control and not Path(control).exists():
        control = None
    page = result.report(args.out, _load(args, control) if control else None)
    print(f"wrote {page}")
    return 0


def _stores(args: argparse.Namespace) -> tuple[str, str | None]:
    """Where the study is, and where its control is or, in a run folder, will be."""
    folder = Path(args.study)
    if not folder.is_dir():
        return args.study, args.control
    if not (folder / "search.journal").exists():
        raise MetanetError(
            f"the folder {args.study!r} holds no search.journal: name a run folder of `metanet search`, or a journal; "
            "with --store URL#NAME the studies are URL#NAME-search and URL#NAME-random"
        )
    return str(folder / "search.journal"), args.control or str(folder / "random.journal")


def _load(args: argparse.Namespace, store: str) -> "SearchResult[Any]":
    """The result in a store, of the space that is named or else of the one that the study tells."""
    from metanet.cli.setting import space_of
    from metanet.searchers import load_result

    if args.space is not None:
        return load_result(store, space_of(args.space, args.resolution, args.latency))
    if args.resolution is not None or args.latency is not None:
        raise MetanetError("--resolution and --latency belong to a space that is named: add --space")
    return load_result(store)
