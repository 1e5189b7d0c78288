"""Benchmark tables of trained networks: every architecture of a small space with its results, read from a file.

A file is JSON, {architecture: {column: number, or a list of one number a training run}}, or CSV with one row an
architecture; either may be packed with gzip. An architecture is a text with one character a gene ("02012100"), or with
one word a gene between other signs ("(1, 0, 2)"). Networks may have been trained more or less often.
"""

import csv
import gzip
import io
import json
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
    path: Path, columns: Sequence[str], *, key: str | None = None, cost: str | None = None, sign: int = 1
) -> Bench:
    """Reads a table: what is climbed is the one column, or of several the mean rank, which needs no common unit.

    key    the column of a CSV file that names the architecture; the first one where not given
    cost   the column that the table's MACs are
    sign   -1 where less is better
    """
    records = _records(path, key)
    words = {name: tuple(_words(name)) for name in records}
    _check_lengths(path, words)
    genes = {f"g{i}": tuple(sorted(set(values))) for i, values in enumerate(zip(*words.values(), strict=True))}
    costs = None if cost is None else {"macs": {words[n]: round(_runs(n, r, cost)[0]) for n, r in records.items()}}
    table = ChoiceTable(path.name.partition(".")[0], genes, row_costs=costs)
    if len(records) != table.size:
        raise MetanetError(f"{path.name} has {len(records)} of the {table.size} rows that its choices make: give all")
    places = [table.genes[i].choices.index(w) for name in records for i, w in enumerate(words[name])]
    order = np.lexsort(np.array(places).reshape(len(records), -1).T[::-1])
    measured = [_padded([_runs(name, record, column) for name, record in records.items()])[order] for column in columns]
    if len(columns) == 1:
        return Bench(table, sign * measured[0])
    ranks = [_ranks(-sign * np.nanmean(one, 1)) for one in measured]
    return Bench(table, -np.mean(ranks, axis=0)[:, None])


def _records(path: Path, key: str | None) -> dict[str, Mapping[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    if text.lstrip().startswith("{"):
        return dict(json.loads(text))
    rows = list(csv.DictReader(io.StringIO(text)))
    return {row[key or next(iter(row))]: row for row in rows}


def _words(name: str) -> list[str]:
    words = re.findall(r"\w+", name)
    return words if len(words) > 1 else list(name)


def _check_lengths(path: Path, words: Mapping[str, tuple[str, ...]]) -> None:
    names = {len(genes): name for name, genes in words.items()}
    if len(names) != 1:
        told = ", ".join(f"{name!r} has {length}" for length, name in sorted(names.items())) or "there are none"
        raise MetanetError(f"the architectures of {path.name} must be texts of equally many genes: {told}")


def _runs(name: str, record: Mapping[str, Any], column: str) -> list[float]:
    """The finite numbers that a row has in a column."""
    if column not in record:
        raise unknown("column", column, record)
    value = record[column]
    try:
        found = [float(one) for one in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError):
        found = []
    if not (found and np.isfinite(found).all()):
        raise MetanetError(f"{column!r} of {name!r} must be a number, or a list of one a training run, got {value!r}")
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
