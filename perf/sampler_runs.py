"""The runs of `perf/samplers.py`: a CSV file for each case in perf/results/samplers, a row for each run.

Processes append to the same file, each row under a lock and at once, so that a kill costs no more than the run that it
was at; a torn line is none. A row holds one number for each budget, with five digits.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from metanet.runs import atomic_write
from metanet.stats import seeds_interval

MEASURES = ("regret", "excess", "missing")
NAMES = ("case", "settings", "sampler", "seed", "evaluations", "seconds", *MEASURES)


def stored(folder: Path) -> Iterator[dict[str, Any]]:
    """Every run that ended: case, settings (a digest of the table and of all that the case asks of it), sampler, seed,
    evaluations, seconds of all proposals, and of each measure that it has the list of one number a budget."""
    for path in sorted(folder.glob("*.csv")):
        yield from _read(path)


def add(folder: Path, run: dict[str, Any]) -> None:
    """Appends a run to the file of its case."""
    path = folder / f"{re.sub(r'[^a-z0-9]+', '-', run['case'].lower())}.csv"
    with _alone(folder):
        before = path.read_text() if path.exists() else _line(NAMES)
        begin = "" if before.endswith("\n") else "\n"  # after a torn line
        with path.open("a") as file:
            file.write(("" if file.tell() else before) + begin + _line(_cells(run)))


def tidy(folder: Path) -> None:
    """Puts the rows of every file in order, and keeps the longest of equal runs. Cases whose names differ in signs
    alone share a file."""
    with _alone(folder):
        for path in sorted(folder.glob("*.csv")):
            runs = sorted(_read(path), key=lambda run: run["evaluations"])
            rows = {tuple(run[name] for name in ("case", "settings", "sampler", "seed")): run for run in runs}
            lines = [_line(_cells(rows[key])) for key in sorted(rows)]
            atomic_write(path, "".join([_line(NAMES), *lines]))


def summary(folder: Path, default: str) -> dict[str, Any]:
    """By case, measure and sampler: mean and interval at each budget, and its paired difference from the default."""
    runs: dict[tuple[str, str], dict[str, dict[int, list[float]]]] = {}
    seconds: dict[str, list[float]] = {}
    for piece in stored(folder):
        seconds.setdefault(piece["sampler"], []).append(piece["seconds"] / piece["evaluations"])
        for measure in MEASURES:
            if measure in piece:
                by_seed = runs.setdefault((piece["case"], measure), {}).setdefault(piece["sampler"], {})
                by_seed[piece["seed"]] = max(piece[measure], by_seed.get(piece["seed"], []), key=len)
    cases: dict[str, Any] = {}
    for (case, measure), samplers in runs.items():
        for name, by_seed in samplers.items():
            base = samplers.get(default, {})
            told = {"seeds": len(by_seed), "mean": _intervals([by_seed[seed] for seed in sorted(by_seed)])}
            if name != default and len(by_seed.keys() & base.keys()) > 1:
                pairs = [zip(by_seed[seed], base[seed], strict=False) for seed in sorted(by_seed.keys() & base.keys())]
                told["over default"] = _intervals([[a - b for a, b in pair] for pair in pairs])
            cases.setdefault(case, {}).setdefault(measure, {})[name] = told
    for measures in cases.values():
        if measures.get("excess") == measures.get("regret"):  # nothing was noisy
            measures.pop("excess", None)
    return {"cases": cases, "seconds a proposal": {name: float(np.mean(took)) for name, took in seconds.items()}}


def _intervals(values: list[list[float]]) -> list[list[float]]:
    """Mean and the ends of its interval of 95 %, for each budget that two seeds or more went to; over those seeds."""
    columns = [[value[i] for value in values if len(value) > i] for i in range(max(map(len, values)))]
    found = [seeds_interval(column) for column in columns if len(column) > 1]
    return [[float(f"{number:.5g}") for number in (one.mean, one.low, one.high)] for one in found]


def _alone(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines()[1:]:
        cells = next(csv.reader([line]), [])  # line by line: a torn one may have an open quote
        if len(cells) != len(NAMES):
            continue
        row = dict(zip(NAMES, cells, strict=True))
        told = {name: [float(value) for value in row[name].split()] for name in MEASURES if row[name]}
        seen = {"seed": int(row["seed"]), "evaluations": int(row["evaluations"]), "seconds": float(row["seconds"])}
        yield {**{name: row[name] for name in ("case", "settings", "sampler")}, **seen, **told}


def _cells(run: dict[str, Any]) -> list[Any]:
    told = [" ".join(f"{value:.5g}" for value in run.get(name, ())) for name in MEASURES]
    return [
        run["case"],
        run["settings"],
        run["sampler"],
        run["seed"],
        run["evaluations"],
        round(run["seconds"], 3),
        *told,
    ]


def _line(cells: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
