"""A network as text: stage by stage, with small bars for the shares."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

BAR, EIGHTHS = 5, " ▏▎▍▌▋▊▉"


def print_network(rows: Sequence[Row], heads: Sequence[str]) -> None:
    """Prints a network in 80 columns.

    rows   of `metanet.cost.describe`
    heads  lines to print before it; the first one is its name
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from metanet.report.style import colours
    from metanet.report.words import SHARES, notes, op_name, share, size

    console = Console()
    for i, line in enumerate(heads):
        console.print(line, style="bold" if i == 0 else "dim", highlight=False, markup=False)
    colour = colours([row["op"] for row in rows])
    grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=0, header_style="dim")
    for name in ("part", "op", "", "width", "map", "MACs", "params", "acts"):
        grid.add_column(name, justify="right" if name in ("", "width", "map") else "left")
    for row in rows:
        cells: list[Text | str] = [
            "" if row["name"] == row["op"] else f"{row['name']} ",
            Text.assemble((op_name(row), f"bold {colour[row['op']]}"), *((f"\n{line}", "dim") for line in notes(row))),
            "" if row["op"] in ("stem", "head") else f"x{row['depth']}",
            f"{row['width']:,}",
            f"{size(row['map'], 'x')} ",
        ]
        for key in SHARES:
            total = sum(r[key] for r in rows)
            bar = bar_of(row[key] / (total or 1), console.options.ascii_only)
            cells.append(Text.assemble((bar, colour[row["op"]]), f"{share(row[key], total):>4} "))
        grid.add_row(*cells)
    console.print(grid)


def bar_of(part: float, plain: bool, length: int = BAR) -> str:
    """A share as a bar of so many characters, to the eighth of one; `plain`, in ASCII."""
    if plain:
        return ("#" * round(length * part)).ljust(length)
    eighths = max(1, round(8 * length * part)) if part else 0
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()).ljust(length)
