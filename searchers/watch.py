"""A search in the terminal: a live table of the best and the last trials, counts, times and the control beside it.

search(space, evaluate, store="runs/first/study.journal", watch=LiveTable())

The table reads the study as anybody else may, once a second: `look_on` shows the same for a search of another process.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from metanet.errors import MetanetError, check_whole
from metanet.searchers.live_table import line_of, table_of
from metanet.searchers.progress import Progress
from metanet.searchers.result import SearchResult
from metanet.searchers.search import load_result
from metanet.searchers.space import SearchSpace
from metanet.searchers.standing import Standing, standing

if TYPE_CHECKING:
    from rich.console import Console

Store = str | os.PathLike[str]


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

    def __post_init__(self) -> None:
        check_whole("every", self.every, 1, "LiveTable")

    @contextmanager
    def __call__(self, store: Store, space: SearchSpace[Any], total: int) -> Iterator[Progress]:
        """Shows how the study in a store grows to `total` trials, for the length of a `with` block."""
        from rich.console import Console

        console = self.console or Console(stderr=True)
        look = Watched(
            self.name, _reader(store, space), {n: _reader(s, space) for n, s in (self.others or {}).items()}, total
        )
        if console.is_terminal:
            with _live(look, console):
                yield lambda done, said: look.find()
            return
        told = 0

        def tell(done: int, said: str) -> None:
            nonlocal told
            if done // self.every > told // self.every or told < done == total:
                look.find()
                console.print(look.line(), markup=False, highlight=False, soft_wrap=True)
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
    look = Watched("search", lambda: result, others or {}, None)
    if not console.is_terminal:
        console.print(look.line(), markup=False, highlight=False, soft_wrap=True)
        return
    with _live(look, console):
        try:
            while True:
                time.sleep(1)
                look.find()
        except KeyboardInterrupt:
            return


class Watched:
    """A study and those beside it, read anew each time that something is asked of them. Whatever goes wrong is not
    raised: what is shown must never end a search.

    name   of the study
    read   what opens it, and `others` by name; a MetanetError means that it is not there (yet)
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
        self._table: Any = f"{name}: the study cannot be read"
        self.find()

    def find(self) -> None:
        """Opens what was not there before. For the main thread alone: opening changes what Optuna logs and warns."""
        for name, read in self._read.items():
            if name not in self._studies:
                with suppress(MetanetError):
                    self._studies[name] = read().study

    def table(self) -> Any:
        """The table now, or the last one where the study cannot be read at this moment."""
        if (now := self._standing()) is not None:
            self._table = table_of(now)
        return self._table

    def line(self) -> str:
        """The same in one line."""
        now = self._standing()
        return f"{self.name}: the study cannot be read" if now is None else line_of(now)

    def _standing(self) -> Standing | None:
        studies = dict(self._studies)
        own = studies.pop(self.name, None)
        if own is None:
            return None
        try:
            return standing(own, name=self.name, total=self.total, other=studies)
        except Exception:  # half of a record that is being written, a database that went away …
            self._studies.clear()  # to be opened again
            return None


@contextmanager
def _live(look: Watched, console: "Console") -> Iterator[None]:
    from rich.live import Live

    with Live(get_renderable=look.table, console=console, refresh_per_second=1) as live:
        live.refresh()
        yield


def _reader(store: Store, space: SearchSpace[Any]) -> Callable[[], SearchResult[Any]]:
    """What reads a store, wherever the process has gone since."""
    place = store if "://" in str(store) else Path(store).absolute()
    return lambda: load_result(place, space)
