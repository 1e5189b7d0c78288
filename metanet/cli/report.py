"""Writes the HTML report of a study: best and non-dominated architectures, trajectory, options.

STUDY is a journal file that a search left, as runs/demo/search.journal.
"""

import argparse

HELP = "the HTML report of a study"
EXAMPLE = "metanet report runs/demo/search.journal --out study.html"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("study", metavar="STUDY", help="journal file of a search")
    parser.add_argument("--space", default="metanet-tiny", help="space that was searched (default: %(default)s)")
    parser.add_argument("--resolution", type=int, help="resolution that the space was fixed at")
    parser.add_argument("--latency", metavar="TABLE", help="latency table that the space was searched with")
    parser.add_argument("--out", default="study.html", help="file to write (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the report and says where it is."""
    from metanet.cli.setting import space_of
    from metanet.searchers import load_result

    load_result(args.study, space_of(args.space, args.resolution, args.latency)).report(args.out)
    print(f"wrote {args.out}")
    return 0
