"""What commands print: tables for people, JSON for scripts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def emit(value: Any) -> int:
    """Prints a value as JSON on stdout; returns exit code 0."""
    from metanet.runs import plain

    print(json.dumps(plain(value), indent=2))
    return 0


def table(rows: Sequence[Mapping[str, Any]], *, title: str = "") -> int:
    """Prints rows as a table on stdout, numbers to the right; returns exit code 0."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not rows:
        console.print("nothing to show")
        return 0
    look: dict[str, Any] = {
        "title_justify": "left",
        "title_style": "dim",
        "header_style": "bold",
        "padding": (0, 1, 0, 0),
    }
    grid = Table(box=SIMPLE, pad_edge=False, title=title or None, **look)
    first = next(iter(rows[0]))
    for name in rows[0]:
        cells = [str(row[name]) for row in rows]
        right = all(cell[:1].isdigit() or cell[:1] in "-–" for cell in cells)
        least = min(16, max(map(len, cells))) if name == first else None  # names are not broken for numbers' sake
        grid.add_column(name, justify="right" if right else "left", overflow="fold", min_width=least)
    for row in rows:
        grid.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row.values()))
    console.print(grid)
    return 0
