"""How far a search is: trial, best so far, time left."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from metanet.searchers.space import SearchSpace

Progress = Callable[[int, str], None]  # trials done, what stands
Watch = Callable[
    [str | os.PathLike[str], SearchSpace[Any], int], AbstractContextManager[Progress]
]  # store, space, total


@contextmanager
def progress(total: int, quiet: bool | None) -> Iterator[Progress]:
    """A bar on stderr for the length of a `with` block; nothing where quiet (None: where stderr is no terminal)."""
    if quiet or (quiet is None and not sys.stderr.isatty()):
        yield lambda done, standing: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("search"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[standing]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("search", total=total, standing="")
        yield lambda done, standing: bar.update(task, completed=done, standing=standing)
