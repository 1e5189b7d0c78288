"""Shows a network stage by stage: op, depth, width, map, what is in a block, and shares of the cost.

NETWORK is a name (`metanet list`), a spec file (.json), a spec as one line (mn1/…, printed with the network) or a saved
network (.safetensors). With two of them, what differs is shown.
"""

import argparse
import os
from collections.abc import Sequence
from typing import Any

HELP = "a network, stage by stage"
EXAMPLE = "metanet show MN-B4 --png mn-b4.png"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("networks", metavar="NETWORK", nargs="+", help="name, spec.json or weights.safetensors")
    parser.add_argument("--resolution", type=int, help="side of the input in pixels (default: the network's own)")
    parser.add_argument("--png", metavar="FILE", help="also draw it into a PNG file")
    parser.add_argument("--pdf", metavar="FILE", help="also draw it into a PDF file (vectors, for papers)")
    parser.add_argument("--html", metavar="FILE", help="also write it into one HTML file: drawing and table")
    parser.add_argument("--json", action="store_true", help="print the spec as JSON (of two networks, a list)")


def run(args: argparse.Namespace) -> int:
    """Prints the network, or what differs between two."""
    from metanet.cli.output import emit, table
    from metanet.cli.stages import print_network
    from metanet.cost import describe, price
    from metanet.factory import find
    from metanet.report.compare import differences
    from metanet.report.words import SHARES, size, totals

    _check(args)
    shown = []
    for name in args.networks:
        member = find(name)
        price(member.spec, resolution=args.resolution)  # refuses a resolution that is none
        shown.append((os.path.basename(name), member, describe(member.spec, resolution=args.resolution)))
    _write(args, shown)
    if args.json:
        specs = [member.spec.to_dict() for _, member, _ in shown]
        return emit(specs[0] if len(specs) == 1 else specs)
    if len(shown) == 1:
        ((name, member, rows),) = shown
        exact = ", ".join(f"{sum(row[key] for row in rows):,} {text}" for key, text in SHARES.items())
        pixels = f"{size(rows[0]['input'])} px, {totals(rows).rpartition(' · ')[2]} (fp32, one image)"
        print_network(rows, [name, exact, f"{pixels}, id {member.spec.id}, {member.provenance}", member.spec.to_text()])
        return 0
    title = "\n".join(f"{letter}: {name}, {_lead(rows)}" for letter, (name, _, rows) in zip("AB", shown, strict=True))
    return table(differences(*(rows for _, _, rows in shown)), title=title)


def _check(args: argparse.Namespace) -> None:
    """Refuses what cannot be done before anything is read or written."""
    from metanet.errors import MetanetError

    if len(args.networks) > 2:
        raise MetanetError(f"one network is shown or two are compared, got {len(args.networks)}: name one or two")
    for kind in ("png", "pdf", "html"):
        path = getattr(args, kind)
        if path and not path.lower().endswith(f".{kind}"):
            raise MetanetError(f"--{kind} writes a file whose name ends in .{kind}, got {path!r}")
    if len(args.networks) == 2 and (args.png or args.pdf):
        raise MetanetError("a PNG or PDF file shows one network, got two: name one, or write both with --html")


def _lead(rows: Sequence[dict[str, Any]]) -> str:
    from metanet.report.words import size, totals

    return f"{totals(rows)} · {size(rows[0]['input'])} px"


def _write(args: argparse.Namespace, shown: Sequence[tuple[str, Any, list[dict[str, Any]]]]) -> None:
    """The files that were asked for."""
    from metanet.report import draw
    from metanet.report.network_page import network_page
    from metanet.runs import atomic_write

    name, _, rows = shown[0]
    if args.png or args.pdf:
        drawing = draw(rows, title=name, lead=_lead(rows))
        for path in filter(None, (args.png, args.pdf)):
            drawing.save(path)
    if args.html:
        atomic_write(args.html, network_page([(name, m.provenance, m.spec, rows) for name, m, rows in shown]))
