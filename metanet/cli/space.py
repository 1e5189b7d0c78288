"""Shows search spaces, draws networks from them, starts new ones.

SPACE is a name (`metanet space list`) or a YAML or JSON file (`metanet space new`). RULES are constraints as
'macs in [1M, 5M], params <= 400k'.
"""

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanet.cli.setting import add_actions
from metanet.errors import MetanetError

if TYPE_CHECKING:
    from metanet.spec import ArchSpec

SHORT = {
    "mbconv": "MB",
    "fused_mbconv": "FusedMB",
    "self_attention": "SA",
    "channel_attention": "XCA",
    "window_attention": "WA",
    "token_mlp": "TM",
}
HELP = "search spaces: list, show, draw from, start one"
EXAMPLE = "metanet space show metanet-tiny --where 'macs in [1M, 5M], params <= 400k' --png space.png"
ACTIONS = {
    "list": ("the spaces by name", "Lists the spaces with what they are, their sizes and costs.", "list"),
    "show": (
        "what a space holds",
        "Shows a space under rules: how many architectures there are, the cheapest, the\n"
        "median and the dearest, how often each choice of each gene occurs, and which\n"
        "networks known by name are inside. Shares are of the architectures in which the\n"
        "gene has an effect; beside them, dim, those in all of the space without rules.",
        "show metanet --where 'macs in [500M, 600M]' --png space.png",
    ),
    "sample": (
        "networks drawn from a space",
        "Draws networks uniformly from those of a space that keep rules.",
        "sample metanet-tiny 5 --where 'macs in [1M, 5M], params <= 400k'",
    ),
    "new": ("a file to start from", "Writes an example of a space, with comments, to be changed.", "new mine.yaml"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    made = add_actions(parser, "space", ACTIONS)
    for name in ("show", "sample"):
        made[name].add_argument("space", metavar="SPACE", help="name of a space, or its YAML or JSON file")
        if name == "sample":
            made[name].add_argument("number", metavar="N", type=int, help="how many")
        made[name].add_argument("--where", metavar="RULES", help="constraints on the networks")
        made[name].add_argument("--resolution", type=int, help="this resolution alone (default: all of the space)")
        made[name].add_argument(
            "--latency", metavar="TABLE", help="file of `metanet latency build`: latency as one more cost"
        )
        made[name].add_argument("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    made["show"].add_argument("--png", metavar="FILE", help="also draw the shares into a PNG file")
    made["new"].add_argument("file", metavar="FILE", help="file to write, .yaml")
    made["new"].add_argument("--name", help="of the space (default: that of the file)")
    for name in ("list", "show", "sample"):
        made[name].add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Lists, shows, draws or starts."""
    if args.action == "list":
        return _list(args)
    if args.action == "new":
        return _new(args)
    if args.seed < 0:
        raise MetanetError(f"--seed must be 0 or more, got {args.seed}")
    if args.action == "sample":
        return _sample(args)
    from metanet.cli.space_show import show

    return show(args)


def _list(args: argparse.Namespace) -> int:
    from metanet.cli.output import emit, table
    from metanet.report.style import quantity
    from metanet.search_spaces import SPACES

    rows: list[dict[str, Any]] = []
    for name, space in SPACES.items():
        reach = {metric: list(space.table.extremes(metric)) for metric in ("params", "macs")}
        rows.append({"name": name, "about": space.about, "size": space.size, "stages": len(space.stages), **reach})
    if args.json:
        return emit(rows)
    for row in rows:
        row["size"] = power(row["size"])
        for metric in ("params", "macs"):
            row[metric] = " to ".join(map(quantity, row[metric]))
    about = [(row["name"], row.pop("about")) for row in rows]
    table([{{"macs": "MACs"}.get(key, key): cell for key, cell in row.items()} for row in rows])
    for name, text in about:
        print(f"{name}: {text}")
    print("more: metanet space show NAME; your own: metanet space new mine.yaml")
    return 0


def power(number: float) -> str:
    """A number of architectures for people: in full up to seven digits, else as "9.44 × 10^23"."""
    if number < 10**7:
        return f"{number:,.0f}"
    digits, _, exponent = f"{number:.2e}".partition("e+")
    return f"{digits} × 10^{int(exponent)}"


def stages_line(spec: "ArchSpec") -> str:
    """The stages of a network in short: "MB 2x32, SA 6x192", depth x width."""
    return ", ".join(f"{SHORT[stage.op]} {stage.depth}x{stage.width}" for stage in spec.stages)


def _sample(args: argparse.Namespace) -> int:
    from metanet.cli.output import emit, table
    from metanet.cli.setting import space_of
    from metanet.report.style import quantity

    space = space_of(args.space, args.resolution, args.latency)
    specs = space.sample(args.number, args.where, seed=args.seed)
    if args.json:
        return emit([spec.to_dict() for spec in specs])
    rows = []
    for spec in specs:
        costs: Mapping[str, int] = space.price(spec)
        row = {"id": spec.id, "px": spec.resolution, "MACs": quantity(costs["macs"])}
        row |= {"params": quantity(costs["params"])}
        row |= {"ms": f"{costs['latency'] / 1e6:.3f}"} if args.latency else {}
        rows.append(row | {"stages (depth x width)": stages_line(spec)})
    return table(rows)


def _new(args: argparse.Namespace) -> int:
    from metanet.search_spaces import files

    path = Path(args.file)
    if path.suffix not in (".yaml", ".yml"):
        raise MetanetError(f"a new space is written as YAML: name the file something.yaml, got {args.file!r}")
    name = path.stem if args.name is None else args.name
    if not name.strip():
        raise MetanetError(f"the name of a space must be a text, got {name!r}")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(files.template(path, name))
    except FileExistsError:
        raise MetanetError(f"{args.file!r} is there already: name another file, or remove it first") from None
    file_name = shlex.quote(args.file)
    print(f"wrote {args.file}: change it, then type: metanet space show {file_name}")
    print(f"and to search it: metanet search --space {file_name} --resolution 0")
    return 0
