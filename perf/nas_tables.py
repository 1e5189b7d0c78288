"""Benchmark tables of trained networks: every architecture of a small space with its results, read from a file.

A file is JSON, {architecture: {column: number, or a list of one number a training run}}, or CSV with a row for each
training run; either may be packed with gzip. Networks may have been trained more or less often. An architecture is a
text with one word a gene between other signs ("(1, 0, 2)", "|conv_3x3~0|+|none~1|"), or with one character a gene
("02012100"): of the ways to read it that make a whole table the one with the most genes is taken.
"""

import csv
import gzip
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metanet.errors import MetanetError, unknown
from metanet.searchers import ChoiceTable

Floats = NDArray[np.float64]

WORDS, PARTS = re.compile(r"\w+"), re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Bench:
    """A table of choices with a result for every row, in the lexical order of the rows; more is better.

    runs   (rows, runs) one number a training run: a query returns one of them; NaN after the last one of a row
    """

    table: ChoiceTable
    runs: Floats

    @cached_property
    def truth(self) -> Floats:
        """(rows,) the mean over runs, which nobody sees who searches."""
        return np.asarray(np.nanmean(self.runs, 1))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(rows,) how many training runs each row has."""
        return np.asarray(np.isfinite(self.runs).sum(1))

    def place(self, indices: Sequence[int]) -> int:
        """Which row it is."""
        return int(np.ravel_multi_index(tuple(indices), self.table.counts))

    def query(self, place: int, seed: int, times: int) -> float:
        """What the search with this seed sees when it evaluates a row for the (times + 1)th time."""
        if self.counts[place] == 1:
            return float(self.runs[place, 0])
        return float(self.runs[place, np.random.default_rng([seed, place, times]).integers(self.counts[place])])


def load(
    path: Path,
    columns: Sequence[str],
    *,
    key: str | None = None,
    cost: str | None = None,
    unit: float = 1,
    sign: int = 1,
) -> Bench:
    """Reads a table: what is climbed is the one column, or of several the mean rank, which needs no common unit.

    key    the column of a CSV file that names the architecture; the first one where not given
    cost   the column that the table's MACs are
    unit   what a cost of 1 stands for, as 1e6 where the column counts millions
    sign   -1 where less is better

    Raises MetanetError for what is no such table.
    """
    records = _records(path, key)
    words = _genes_of(path, list(records))
    genes = {f"g{i}": tuple(sorted(set(values))) for i, values in enumerate(zip(*words.values(), strict=True))}
    costs = None if cost is None else {"macs": {words[n]: _cost(n, r, cost, unit) for n, r in records.items()}}
    table = ChoiceTable(path.name.partition(".")[0], genes, row_costs=costs)
    places = [table.genes[i].choices.index(w) for name in records for i, w in enumerate(words[name])]
    order = np.lexsort(np.array(places).reshape(len(records), -1).T[::-1])
    measured = [_padded([_runs(name, record, column) for name, record in records.items()])[order] for column in columns]
    if len(columns) == 1:
        return Bench(table, sign * measured[0])
    ranks = [_ranks(-sign * np.nanmean(one, 1)) for one in measured]
    return Bench(table, -np.mean(ranks, axis=0)[:, None])


def _records(path: Path, key: str | None) -> dict[str, Mapping[str, Any]]:
    """What is known of each architecture, by its text."""
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        if text.lstrip().startswith(("{", "[")):
            found = json.loads(text)
            if not (isinstance(found, dict) and all(isinstance(record, dict) for record in found.values())):
                raise ValueError("its JSON is not {architecture: {column: number}}")
            return found
    except (ValueError, OSError, EOFError) as error:
        raise MetanetError(f"{path.name} cannot be read as a table: {error}") from None
    rows = list(csv.DictReader(io.StringIO(text)))
    by = key or next(iter(rows[0] if rows else {"": ""}))
    if rows and by not in rows[0]:
        raise unknown("column", by, rows[0])
    known: dict[str, dict[str, list[Any]]] = {}
    for row in rows:  # an architecture that has several was trained several times
        for column, value in row.items():
            known.setdefault(row[by], {}).setdefault(column, []).append(value)
    return dict(known)


def _genes_of(path: Path, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The choice of each gene, by the text of an architecture."""
    ways = [[tuple(split(name)) for name in names] for split in (WORDS.findall, PARTS.findall, list)]
    whole = [way for way in ways if math.prod(map(len, _choices(way))) == len(names) == len(set(way))]
    most = max(whole, key=_searchable, default=None)
    # Whatever the texts are, taken as one gene each they make a whole table.
    if not names or most is None or (_searchable(most) == 1 < max(map(_searchable, ways))):
        raise MetanetError(_incomplete(path, names, ways))
    return dict(zip(names, most, strict=True))


def _searchable(rows: Sequence[tuple[str, ...]]) -> int:
    """How many genes have a choice."""
    return sum(len(choices) > 1 for choices in _choices(rows))


def _choices(rows: Sequence[tuple[str, ...]]) -> list[set[str]]:
    """The choices of each gene; none where not all rows have the same genes."""
    return [set(values) for values in zip(*rows, strict=True)] if len(set(map(len, rows))) == 1 else [set()]


def _incomplete(path: Path, names: Sequence[str], ways: Sequence[Sequence[tuple[str, ...]]]) -> str:
    """Why no way of reading makes a whole table."""
    words, _, letters = ways
    way = words if any(len(row) > 1 for row in words) else letters
    lengths = {len(row): name for name, row in zip(names, way, strict=True)}
    if len(lengths) != 1:
        told = ", ".join(f"{name!r} has {length}" for length, name in sorted(lengths.items())) or "there are none"
        return f"the architectures of {path.name} must be texts of equally many genes: {told}"
    rows = math.prod(map(len, _choices(way)))
    return f"{path.name} has {len(names)} of the {rows} rows that its choices make: give all"


def _cost(name: str, record: Mapping[str, Any], column: str, unit: float) -> int:
    """The cost of a row in single MACs."""
    value = _runs(name, record, column)[0] * unit
    if abs(value - round(value)) > 1e-6 * abs(value):
        raise MetanetError(
            f"{column!r} of {name!r} must be a whole number of MACs, got {value!r}: say what it counts, as --unit 1e6 "
            "where it counts millions"
        )
    return round(value)


def _runs(name: str, record: Mapping[str, Any], column: str) -> list[float]:
    """The finite numbers that a row has in a column."""
    if column not in record:
        raise unknown("column", column, record)
    value = record[column]
    values = value if isinstance(value, list) else [value]
    try:
        found = [float(one) for one in values]
    except (TypeError, ValueError):
        found = []
    if not (found and np.isfinite(found).all()):
        shown = values[0] if len(values) == 1 else values
        raise MetanetError(f"{column!r} of {name!r} must be a number, or a list of one a training run, got {shown!r}")
    return found


def _padded(runs: Sequence[Sequence[float]]) -> Floats:
    """(rows, most runs) NaN where a row has fewer."""
    found = np.full((len(runs), max(map(len, runs))), np.nan)
    for row, values in zip(found, runs, strict=True):
        row[: len(values)] = values
    return found


def _ranks(losses: Floats) -> Floats:
    """Rank of each row, 1 for the least; the mean rank of equals."""
    _, inverse, counts = np.unique(losses, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[inverse])
