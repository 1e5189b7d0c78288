"""Measures the latency of a space's networks part by part, and predicts whole networks from the table.

build times every distinct stem, downsampling module, block and head that networks of the space have, and some networks
whole, in rounds of shuffled order; stopped, the same command goes on. A network's latency is the sum of its parts',
times a factor fitted on networks that the reported error leaves out.
"""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.search_spaces import LatencyTable, Space

HELP = "measured latency: build, show and use a table"
EXAMPLE = "metanet latency build metanet-tiny --resolution 28 --out runs/latency.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="measure a table", description="Measures a latency table of a space.")
    build.add_argument("space", help="name of a space, or its YAML or JSON file")
    build.add_argument("--out", required=True, metavar="FILE", help="table to write (JSON), or to go on with")
    build.add_argument("--resolution", type=int, help="measures this resolution alone (default: all of the space)")
    build.add_argument(
        "--freeze",
        nargs="+",
        default=[],
        metavar="GENE=VALUE[,VALUE]",
        help="measures these choices of a gene alone, as op=mbconv stage0.depth=1,2",
    )
    build.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    build.add_argument("--threads", type=int, default=1, help="of the CPU (default: %(default)s)")
    build.add_argument("--batch", type=int, default=1, help="images a call (default: %(default)s)")
    build.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (default: %(default)s)")
    build.add_argument("--fused", action="store_true", help="times networks that `metanet.fuse` made faster")
    build.add_argument("--rounds", type=int, default=31, help="times of each part (default: %(default)s)")
    build.add_argument(
        "--networks", type=int, default=50, metavar="N", help="measured whole, for the error (default: %(default)s)"
    )
    build.add_argument("--seed", type=int, default=0, help="of these networks (default: %(default)s)")
    build.add_argument("--quiet", action="store_true", help="no progress bar")
    show = actions.add_parser("show", help="what a table holds", description="Shows a table and its own error.")
    predict = actions.add_parser("predict", help="a network's latency", description="Predicts a network's latency.")
    for action in (show, predict):
        action.add_argument("table", help="file that `metanet latency build` wrote")
        action.add_argument("--json", action="store_true", help="print JSON")
    show.add_argument("--slowest", type=int, default=10, metavar="N", help="parts to list (default: %(default)s)")
    predict.add_argument("network", metavar="NETWORK", help="name, spec.json or weights.safetensors")


def run(args: argparse.Namespace) -> int:
    """Builds, shows or predicts."""
    from metanet.search_spaces import LatencyTable

    if args.action == "build":
        return _build(args)
    table = LatencyTable.load(args.table)
    return _show(args, table) if args.action == "show" else _predict(args, table)


def _build(args: argparse.Namespace) -> int:
    from metanet.search_spaces import LatencySetting, build_latency, load_space

    space = load_space(args.space)
    if args.resolution is not None:
        space = space.freeze(resolution=args.resolution)
    for text in args.freeze:
        space = _narrowed(space, text)
    setting = LatencySetting(args.device, args.dtype, args.threads, args.batch, args.fused, args.rounds)
    options = {"networks": args.networks, "seed": args.seed, "quiet": args.quiet or None}
    table = build_latency(space, args.out, setting=setting, **options)
    print("\n".join(_sentences(table)))
    print(f"wrote {args.out}; now type: metanet space show {args.space} --latency {args.out} --where 'latency <= …'")
    return 0


def _narrowed(space: "Space", text: str) -> "Space":
    """The space with the choices of "gene=value,value" alone, values as they are printed."""
    from metanet.errors import MetanetError

    gene, found, values = text.partition("=")
    if not found:
        raise MetanetError(f"cannot read --freeze {text!r}: write GENE=VALUE, as stage0.op=mbconv or depth=1,2")
    known = {
        str(choice): choice
        for one in space.genes
        if gene in (one.name, one.name.partition(".")[2])
        for choice in one.choices
    }
    return space.where(**{gene: [known.get(value, value) for value in values.split(",")]})


def _sentences(table: "LatencyTable") -> list[str]:
    """What the table is of, and how far it is off."""
    about, setting, error = table.about, table.setting, table.error
    machine = about["machine"]
    gpus = ", ".join(machine["gpus"])
    where = gpus if setting.device.startswith("cuda") else f"{machine['processor']}, {setting.threads} threads"
    how = f"batch {setting.batch}, {setting.dtype}, {'fused' if setting.fused else 'eager'}, {setting.rounds} rounds"
    lines = [
        f"{about['space']} ({about['architectures']:,} architectures): {len(table.parts):,} parts",
        f"{setting.device} ({where}), {how}, {about['options']['clock']} clock; {about['created'][:10]}, "
        f"torch {about['versions']['torch']}",
    ]
    if error is None:
        return [*lines, "error not measured: no networks were timed whole"]
    return [
        *lines,
        f"error on {error.networks} networks measured whole: median {error.median:.1f} %, worst {error.worst:.1f} %, "
        f"bias {error.bias:+.1f} %; rank correlation: Spearman {error.spearman:.3f}, Kendall {error.kendall:.3f}",
        f"factor {table.factor:.3f}, fitted on other networks; without it the median error is {error.plain:.1f} %",
    ]


def _show(args: argparse.Namespace, table: "LatencyTable") -> int:
    from metanet.cli.output import emit
    from metanet.cli.output import table as printed

    names = sorted(table.parts, key=lambda name: -table.spread(name)[1])[: max(0, args.slowest)]
    rows: list[dict[str, Any]] = []
    for name in names:
        low, median, high = table.spread(name)
        rows.append({"part": name, "µs": f"{median / 1e3:.1f}", "quartiles": f"{low / 1e3:.1f} to {high / 1e3:.1f}"})
    if args.json:
        about = {"setting": table.setting, "factor": table.factor, "error": table.error, "about": table.about}
        slowest = [{"part": name, "nanoseconds": table.spread(name)} for name in names]
        return emit({**about, "parts": len(table.parts), "slowest": slowest})
    print("\n".join(_sentences(table)))
    return printed(rows, title="slowest parts")


def _predict(args: argparse.Namespace, table: "LatencyTable") -> int:
    from metanet.cli.output import emit
    from metanet.factory import find

    spec = find(args.network).spec
    took = table.nanoseconds(spec)
    if args.json:
        return emit({"id": spec.id, "resolution": spec.resolution, "nanoseconds": took})
    off = "" if table.error is None else f" (median error of the table: {table.error.median:.1f} %)"
    print(f"{took / 1e6:.3f} ms{off}")
    return 0
