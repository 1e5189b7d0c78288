"""`metanet bench report | compare`, and the tables that `metanet bench run` ends with."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.bench.cells import Tables


def report(args: argparse.Namespace) -> int:
    """Writes the report and prints its main table."""
    from metanet.bench.cells import load_results, tables_of, write_report

    found = tables_of(load_results(args.folder), targets=None if args.reach is None else args.reach / 100)
    path = write_report(found, args.out)
    show(found)
    print(f"wrote {path}")
    return 0


def show(found: "Tables") -> None:
    """Prints the scores: of one task by percentage, of several by task at the largest one, and their averages."""
    from metanet.cli.output import table

    summary = found.summary
    tasks = list(dict.fromkeys(summary["task"]))
    if len(tasks) > 1:
        largest = found.percents[-1]
        wide = found.wide(largest)
        rows = [{str(name): _shown(cell) for name, cell in row.items()} for row in wide.to_dict("records")]
        table(rows, title=f"test scores with {largest:g} % of the training images (%), mean over draws")
    if len(tasks) == 1:
        _by_percent(summary, f"{summary['metric'].iloc[0]} on {tasks[0]}, test images (%), mean over draws")
    for average, own in found.averages.groupby("average", sort=False) if len(found.averages) else ():
        count = " to ".join(str(number) for number in sorted({own["tasks"].min(), own["tasks"].max()}))
        _by_percent(own, f"{average} over {count} of {own['of'].iloc[0]} tasks, by share of the training images (%)")


def _by_percent(rows: Any, title: str) -> None:
    """A row a network, a column a percentage; with the number of tasks where it differs."""
    from metanet.cli.output import table

    shown: dict[tuple[str, ...], dict[str, str]] = {}
    percents = [f"{percent:g} %" for percent in sorted(set(rows["percent"]))]
    keys = ["backbone", *(["probe"] if rows["probe"].nunique() > 1 else [])]
    keys += ["tasks"] if "tasks" in rows and rows["tasks"].nunique() > 1 else []
    for row in rows.to_dict("records"):
        place = tuple(str(row[key]) for key in keys)
        own = shown.setdefault(place, dict(zip(keys, place, strict=True)) | dict.fromkeys(percents, "–"))
        own[f"{row['percent']:g} %"] = _shown(100 * row["value"])
    table(list(shown.values()), title=title)


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return "–" if cell != cell else f"{cell:.1f}"
    return "–" if cell is None else str(cell)


def compare(args: argparse.Namespace) -> int:
    """Prints the paired comparison."""
    from metanet.bench.cells.compare import POOLED
    from metanet.bench.cells.named import compare_named
    from metanet.cli.output import emit, table

    found = compare_named(args.a, args.b, args.folder)
    if args.json:
        return emit(found.to_dict("records"))
    for (first, second, probe), own in found.groupby(["first", "second", "probe"], sort=False):
        rows = [
            {
                "task": f"all tasks ({row['metric']})" if row["task"] == POOLED else row["task"],
                "%": f"{row['percent']:g}",
                "A": f"{100 * row['a']:.1f}",
                "B": f"{100 * row['b']:.1f}",
                "A - B": f"{100 * row['difference']:+.1f}",
                "95 % interval": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
                "only A": row["a_alone"],
                "only B": row["b_alone"],
                "p": f"{row['p']:.2g}" if row["p"] >= 1e-4 else "<0.0001",
            }
            for row in own.to_dict("records")
        ]
        table(rows, title=f"A: {first}, B: {second}; {probe} probe, paired over test images")
    return 0
