"""A search in the terminal: a live table of the best and the last trials, counts, times and the control beside it.

search(space, evaluate, store="runs/first/study.journal", watch=LiveTable())

The table reads the study as anybody else may, once a second: `look_on` shows the same for a search of another process.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from metanet.errors import MetanetError
from metanet.report.style import quantity
from metanet.searchers.progress import Progress
from metanet.searchers.result import SearchResult
from metanet.searchers.search import load_result
from metanet.searchers.space import SearchSpace
from metanet.searchers.standing import Line, Standing, standing

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

Store = str | os.PathLike[str]
STYLES = {"scored": "green", "failed": "red", "pruned": "yellow", "running": "cyan"}


@dataclass(frozen=True)
class LiveTable:
    """What `search` shows in place of its bar.

    name     of the search
    others   stores of studies to compare with, by name, as {"random search": "random.journal"}; they may come later
    every    trials a line, where there is no terminal
    console  where to show it; stderr when not given
    """

    name: str = "search"
    others: "Mapping[str, Store] | None" = None
    every: int = 10
    console: "Console | None" = None

    @contextmanager
    def __call__(self, store: Store, space: SearchSpace[Any], total: int) -> Iterator[Progress]:
        """Shows how the study in a store grows to `total` trials, for the length of a `with` block."""
        from rich.console import Console

        console = self.console or Console(stderr=True)
        look = Look(
            self.name, _reader(store, space), {n: _reader(s, space) for n, s in (self.others or {}).items()}, total
        )
        if console.is_terminal:
            with _live(look, console):
                yield lambda done, said: None
            return
        told = 0

        def tell(done: int, said: str) -> None:
            nonlocal told
            if done // self.every > told // self.every or told < done == total:
                console.print(line_of(look.standing()), markup=False, highlight=False, soft_wrap=True)
            told = done

        yield tell


def look_on(
    result: SearchResult[Any],
    others: Mapping[str, Callable[[], SearchResult[Any]]] | None = None,
    console: "Console | None" = None,
) -> None:
    """Shows how the study of another process grows, until Ctrl-C; one line where there is no terminal.

    others    what reads the studies to compare with, by name; a MetanetError of theirs means that there is none yet
    console   where to show it; stdout when not given
    """
    from rich.console import Console

    console = console or Console()
    look = Look("search", lambda: result, others or {}, None)
    if not console.is_terminal:
        console.print(line_of(look.standing()), markup=False, highlight=False, soft_wrap=True)
        return
    with _live(look, console):
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            return


class Look:
    """Reads a study and those beside it, anew each time it is asked.

    name   of the study
    read   what reads it, and `others` by name
    total  trials that it is to hold, where that is known
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], SearchResult[Any]],
        others: Mapping[str, Callable[[], SearchResult[Any]]],
        total: int | None,
    ) -> None:
        self.name, self.total = name, total
        self._read = {name: read, **others}
        self._studies: dict[str, optuna.Study] = {}
        self._shown: Any = ""

    def standing(self) -> Standing:
        """How the study stands now. Raises MetanetError where it cannot be read."""
        for name, read in self._read.items():
            if name not in self._studies:
                try:
                    self._studies[name] = read().study
                except MetanetError:
                    if name == self.name:
                        raise
        others = {name: study for name, study in self._studies.items() if name != self.name}
        return standing(self._studies[self.name], name=self.name, total=self.total, other=others)

    def shown(self) -> Any:
        """The table now; where the study cannot be read at this moment, the last one."""
        try:
            self._shown = table_of(self.standing())
        except Exception:  # what is shown must never end a search
            self._studies.clear()
        return self._shown


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


def _grid(title: str, now: Standing, lines: "list[Line] | Any", *, costs: bool) -> "Table":
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


@contextmanager
def _live(look: Look, console: "Console") -> Iterator[None]:
    from rich.live import Live

    with Live(get_renderable=look.shown, console=console, refresh_per_second=1):
        yield


def _reader(store: Store, space: SearchSpace[Any]) -> Callable[[], SearchResult[Any]]:
    """What reads a store, wherever the process has gone since."""
    place = store if "://" in str(store) else Path(store).absolute()
    return lambda: load_result(place, space)
