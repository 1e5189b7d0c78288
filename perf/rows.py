"""Stored results as tables of Markdown."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def markdown(rows: list[dict[str, Any]], note: str) -> str:
    """Rows as a Markdown table with a line on where they come from."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join([*lines, "", f"<sub>{note}</sub>", ""])


def note(about: dict[str, Any], command: str) -> str:
    """When and with what a result was measured."""
    machine = about["machine"]
    return f"{about['created'][:10]}, torch {about['versions']['torch']}, {machine['cpus']} CPU cores: `{command}`"


def stored(name: str) -> dict[str, Any]:
    """A file of perf/results."""
    return dict(json.loads((ROOT / "perf" / "results" / f"{name}.json").read_text()))


def points(ends: list[float]) -> str:
    """An interval of shares as percentage points."""
    return "{:+.2f} to {:+.2f}".format(*(100 * end for end in ends))
