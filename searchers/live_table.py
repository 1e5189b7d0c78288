"""How the standing of a study looks: as a table for a terminal, as a line for a log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metanet.report.style import quantity
from metanet.searchers.standing import Line, Standing

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

STYLES = {"scored": "green", "failed": "red", "pruned": "yellow", "running": "cyan"}


def table_of(now: Standing) -> "Group":
    """The live table."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = [Text(_counts(now), style="bold")]
    if now.total:
        bar = Table.grid()  # a bar alone ends no line
        bar.add_row(ProgressBar(total=now.total, completed=now.done, width=60))
        parts.append(bar)
    if now.beside:
        parts.append(Text(now.beside))
    title = "best so far" if len(now.objectives) == 1 else "no other one beats"
    if now.best:
        parts.append(_grid(title, now, now.best, costs=True))
    if now.last:
        parts.append(_grid("last trials", now, now.last, costs=False))
    return Group(*parts)


def line_of(now: Standing) -> str:
    """The same in one line, for a log."""
    said = _counts(now)
    if now.best and len(now.objectives) == 1:
        best = now.best[0]
        values = ", ".join(f"{name} {value:.4g}" for name, value in best.values.items())
        said += f"; best {values} ({best.spec}, trial {best.number}{_macs(best)})"
    return f"{said}; {now.beside}" if now.beside else said


def duration(seconds: float) -> str:
    """A time for people: "<0.1 s", "0.8 s", "45 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 0.1:
        return "<0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _counts(now: Standing) -> str:
    of = f" of {now.total}" if now.total else ""
    counts = [f"{count} {state}" for state, count in now.counts.items() if count]
    said = f"{now.name}: {now.done}{of} trials"
    said += f" ({', '.join(counts)})" if counts else ""
    if now.each is not None:
        said += f", {duration(now.each)} each"
    return f"{said}, about {duration(now.left)} left" if now.left else said


def _macs(line: Line) -> str:
    return f", {quantity(line.costs['macs'])} MACs" if "macs" in line.costs else ""


def _grid(title: str, now: Standing, lines: Sequence[Line], *, costs: bool) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    look: dict[str, Any] = {
        "title_justify": "left",
        "title_style": "dim",
        "header_style": "bold",
        "padding": (0, 1, 0, 0),
    }
    grid = Table(box=SIMPLE, pad_edge=False, title=title, **look)
    grid.add_column("trial", justify="right")
    grid.add_column("architecture", no_wrap=True)
    for name in now.objectives:
        grid.add_column(name, justify="right", no_wrap=True)
    priced = [name for name in ("macs", "params") if costs and any(name in line.costs for line in lines)]
    for name in priced:
        grid.add_column({"macs": "MACs"}.get(name, name), justify="right", no_wrap=True)
    if not costs:
        grid.add_column("state", no_wrap=True)
        grid.add_column("time", justify="right", no_wrap=True)
        grid.add_column("why", no_wrap=True, overflow="ellipsis", max_width=60)
    for line in lines:
        cells = [str(line.number), line.spec]
        cells += [f"{line.values[name]:.4g}" if name in line.values else "–" for name in now.objectives]
        cells += [quantity(line.costs[name]) if name in line.costs else "–" for name in priced]
        row = [Text(cell) for cell in cells]
        if not costs:
            time_ = "–" if line.seconds is None else duration(line.seconds)
            row += [
                Text(line.state, STYLES.get(line.state, "")),
                Text(time_),
                Text((line.reason or "").replace("\n", " ")),
            ]
        grid.add_row(*row)
    return grid
