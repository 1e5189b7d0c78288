"""The command line: one file a command, each with `HELP`, `EXAMPLE`, `arguments(parser)` and `run(args) -> exit code`.

Exit codes: 0 done, 1 a failure on our side (with a traceback), 2 input that breaks a rule (with one sentence).
Libraries are imported inside `run`, so that `--help` answers at once.
"""

import argparse
import io
import sys
from collections.abc import Sequence

from metanet.cli import bench, cost, export, family, latency, pretrain, report, search, show, space, supernet
from metanet.cli import list as list_
from metanet.errors import MetanetError

COMMANDS = {
    "list": list_,
    "show": show,
    "cost": cost,
    "space": space,
    "latency": latency,
    "supernet": supernet,
    "search": search,
    "family": family,
    "pretrain": pretrain,
    "bench": bench,
    "export": export,
    "report": report,
}


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="metanet",
        description="Search, build, train and score the vision networks of the MetaNet family.",
        epilog="`metanet COMMAND --help` shows the options of a command and an example.",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=command.HELP,
            description=command.__doc__,
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(own)
        own.set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code."""
    if argv is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where the terminal knows no "×" it shows "?" instead of a traceback
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except MetanetError as error:
        print(f"metanet: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"metanet: cannot read or write {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("metanet: stopped; the same command goes on where it was", file=sys.stderr)
        return 130
