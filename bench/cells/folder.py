"""A folder of cells: which of them its tables are made of, which are finished, which are damaged.

`cells/KEY.json` holds a cell, named by what decides its answers alone. `index.json` says which cells the tables hold
and under which names: a renamed backbone is not scored again, and the cells of weights that have changed since under
one name are left out of its means. `opened.jsonl` says when test images were opened for which cell, also by runs that
were killed before the cell was finished.
"""

import json
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from time import time

from filelock import FileLock

from metanet.bench.cells.cell import Cell, read_cell, setting_of, write_cell
from metanet.errors import MetanetError
from metanet.runs import open_run, write_json

INDEX, CELLS, OPENINGS, LOCK = "index.json", "cells", "opened.jsonl", ".lock"
LITTER = 3600.0  # seconds after which a file that was being written belongs to a process that was killed


@dataclass(frozen=True)
class Row:
    """One place of a table: the names, and the key of the cell that fills it.

    metric     the task's: it decides no answer, so it is no part of the key
    question   names what is asked of every backbone: the images to learn from and to be tested on, their resolution
    baseline   whether the backbone is there for comparison alone
    setting    what it shares with the other cells of its backbone, task and probe
    """

    backbone: str
    task: str
    probe: str
    percent: float
    seed: int
    metric: str
    question: str
    baseline: bool
    setting: str
    key: str

    @property
    def line(self) -> tuple[str, str, str]:
        """Whose cells it is averaged with."""
        return self.backbone, self.task, self.probe


@dataclass(frozen=True, eq=False)
class Results:
    """The finished cells of a folder in the order of their tables, and the rows that have none yet."""

    folder: Path
    rows: tuple[Row, ...]
    cells: tuple[Cell, ...]
    missing: tuple[Row, ...]


class CellFolder:
    """Where cells are written and found again. Many processes may share it, and any of them may be killed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = open_run(path)
        self.cells = open_run(self.path / CELLS)
        for litter in self.cells.glob(".*.tmp"):
            with suppress(OSError):  # another process may be as quick
                if time() - litter.stat().st_mtime > LITTER:
                    litter.unlink()

    def plan(self, rows: Sequence[Row]) -> None:
        """Adds rows to the index; those of an earlier setting of the same backbone, task and probe leave it, those of
        another metric take the new one.

        Raises:
            MetanetError: the folder holds results of another task of the same name.
        """
        with FileLock(self.path / LOCK):
            settings = {row.line: row.setting for row in rows}
            metrics = {row.task: row.metric for row in rows}
            new = {(*row.line, row.percent, row.seed) for row in rows}
            questions = {row.task: row.question for row in rows}
            kept = [
                replace(row, metric=metrics.get(row.task, row.metric))
                for row in _index(self.path)
                if settings.get(row.line, row.setting) == row.setting and (*row.line, row.percent, row.seed) not in new
            ]
            if torn := [row for row in kept if questions.get(row.task, row.question) != row.question]:
                raise MetanetError(
                    f"{str(self.path)!r} holds results of {torn[0].backbone!r} on a task {torn[0].task!r} with other "
                    "images, another split or another resolution, which belong into another table: write into another "
                    "folder"
                )
            write_json(self.path / INDEX, {"rows": [asdict(row) for row in [*kept, *rows]]})

    def opening(self, rows: Sequence[Row]) -> str:
        """Writes down that test images are opened now for these cells, before they are; returns when that is."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        lines = [
            json.dumps({"opened": now, "backbone": row.backbone, "task": row.task, "cell": row.key}) for row in rows
        ]
        with FileLock(self.path / LOCK), open(self.path / OPENINGS, "a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
        return now

    def write(self, cell: Cell) -> None:
        """Writes a finished cell, wholly or not at all."""
        write_cell(self.cells / f"{cell.key}.json", cell)

    def read(self, key: str) -> Cell | None:
        """A finished cell; None where it is not there yet, or damaged, which is told in a warning."""
        return _read(self.cells / f"{key}.json")


def load_results(path: str | os.PathLike[str]) -> Results:
    """What a folder holds, whether its run has ended or not.

    Raises:
        MetanetError: the folder holds no finished cell.
    """
    folder = Path(path)
    rows = _index(folder)
    found = {row.key: _read(folder / CELLS / f"{row.key}.json") for row in rows}
    finished = [(row, replace(cell, metric=row.metric)) for row in rows if (cell := found[row.key]) is not None]
    if not finished:
        raise MetanetError(
            f"{str(folder)!r} holds no finished cell: name a folder that `metanet bench run --out` has filled"
        )
    own, cells = zip(*finished, strict=True)
    return Results(folder, own, cells, tuple(row for row in rows if found[row.key] is None))


def _read(path: Path) -> Cell | None:
    try:
        cell = read_cell(path)
        if cell.key != path.stem:
            raise ValueError(f"it is the cell {cell.key}")
        return cell
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        warnings.warn(f"the cell {str(path)!r} is damaged and counts as not finished: {error}", stacklevel=3)
        return None


def _index(folder: Path) -> list[Row]:
    """The rows of a folder's tables. Where the index is damaged they are those of all cells, under their own names."""
    try:
        return [Row(**row) for row in json.loads((folder / INDEX).read_bytes())["rows"]]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError):
        warnings.warn(f"{str(folder / INDEX)!r} is damaged: its rows are taken from the cells", stacklevel=3)
    cells = [cell for path in sorted((folder / CELLS).glob("*.json")) if (cell := _read(path)) is not None]
    cells.sort(key=lambda cell: (cell.backbone, cell.task, cell.percent, cell.seed))
    return [row_of(cell, baseline=bool(cell.record.get("baseline"))) for cell in cells]


def row_of(cell: Cell, *, baseline: bool) -> Row:
    """The row that a cell fills under its own names."""
    return Row(
        backbone=cell.backbone,
        task=cell.task,
        probe=cell.probe,
        percent=cell.percent,
        seed=cell.seed,
        metric=cell.metric,
        question=cell.question,
        baseline=baseline,
        setting=setting_of(cell.about),
        key=cell.key,
    )
