"""What the tables on ranking say, and its plot."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rows import ROOT, markdown, stored
from rows import note as source

from metanet.report.chart import Chart, Series
from metanet.report.plots import Plot
from metanet.report.style import BLUE, GREEN, ORANGE, quantity

RESULTS = ROOT / "perf" / "results"
SCORES, COSTS = ("r2", "probe", "accuracy", "likelihood"), ("params", "macs")
NAMES = {
    "r2": "R2 of a probe of shared features",
    "probe": "its accuracy",
    "accuracy": "own accuracy",
    "likelihood": "own log-likelihood",
}
NAMES |= {"params": "parameters", "macs": "MACs"}
SHORT = {"probe": "probe's accuracy", "accuracy": "own accuracy", "likelihood": "own log-likelihood"}
CEILINGS = {"tau": "another training (the ceiling)", "perfect": "a perfect score (estimate)"}
TOLD = "Kendall's tau-b with the truth, intervals of 95 %"
BANDS = ("1 to 2 M MACs", "2 to 4 M MACs", "4 to 8 M MACs")


def truth() -> str:
    """The networks of the comparison and how they did alone."""
    table, rows = pd.read_csv(RESULTS / "truth.csv"), []
    for band, own in [*table.groupby("band"), ("all", table)]:
        by_id = own.groupby("id")
        mean, seeds = by_id["accuracy"].mean(), own.pivot(index="id", columns="seed", values="accuracy").dropna()
        noise = math.sqrt(seeds.var(axis=1, ddof=1).mean()) if seeds.shape[1] > 1 else math.nan
        cells = {"networks": "all" if band == "all" else BANDS[int(band)], "number": len(mean)}
        cells |= {"parameters": f"{quantity(own['params'].min())} to {quantity(own['params'].max())}"}
        cells |= {"accuracy": f"{mean.min():.1%} to {mean.max():.1%}", "mean": f"{mean.mean():.1%}"}
        cells |= {"spread (standard deviation)": f"{100 * mean.std():.2f}", "between seeds": f"{100 * noise:.2f}"}
        rows.append(cells)
    told = f"{len(table)} trainings, {table['seconds'].sum() / 3600:.1f} hours of processor time"
    return markdown(rows, f"{source(stored('truth'), 'python perf/truth.py')}; {told}; deviations in points")


def ranking() -> str:
    """How each rule of training orders the half that rules are compared on, by R2 and by other scores."""
    about, rows = stored("ranking"), []
    for row, other in _pairs(about):
        others = {f"by {SHORT[by]}": f"{_tau(row, by):.2f}" for by in SCORES if by != "r2"}
        above = {"above MACs by": _above(row["taus"], "r2", "macs")}
        rows.append({"rule": row["rule"], "seed": row["seed"], **_taus(row, other, "r2"), **others, **above})
    blank = dict.fromkeys([name for name in rows[0] if name.startswith(("by ", "above "))], "–")
    first = _pairs(about)[0]
    lines = [(NAMES[by], _taus(*first, by)) for by in COSTS] + _ceilings(about)
    rows += [{"rule": name, "seed": "–", **cells, **blank} for name, cells in lines]
    told = f"{TOLD}; of R2 where no other score is named; chosen: {about['options']['chosen']}"
    return markdown(rows, f"{source(about, 'python perf/ranking.py choose')}; {told}")


def ranking_report() -> str:
    """How the chosen rule orders the other half."""
    about = stored("ranking_report")
    told = f"{TOLD}; the rule: {about['options']['rule']}"
    scores = {by: NAMES[by] for by in SCORES}
    return markdown(order_rows(about, scores), f"{source(about, 'python perf/ranking.py report')}; {told}")


def order_rows(about: dict[str, Any], scores: Mapping[str, str]) -> list[dict[str, str]]:
    """A row for each score, with what it is above the costs by, for each cost, and for what no score can exceed.

    scores   by their name in the result, what they are called
    """
    rows = []
    for row, other in _pairs(about):
        seed = "" if row["seed"] is None else f", seed {row['seed']}"
        for by, name in scores.items():
            above = {f"above {NAMES[cost]} by": _above(row["taus"], by, cost) for cost in COSTS}
            rows.append({"order by": f"{name}{seed}", **_taus(row, other, by), **above})
    first, blank = _pairs(about)[0], {f"above {NAMES[cost]} by": "–" for cost in COSTS}
    rows += [{"order by": NAMES[by], **_taus(*first, by), **blank} for by in COSTS]
    return rows + [{"order by": name, **cells, **blank} for name, cells in _ceilings(about)]


def plotted(table: pd.DataFrame, path: Path) -> Path:
    """Draws the truth of networks against the probe's score with the shared weights, the bands in colours.

    table   rows of networks with band, truth (an accuracy), a column for each seed of it, and r2
    """
    seeds = [name for name in table if str(name).startswith("seed ")]
    percent = table.dropna().assign(**{name: 100 * table[name] for name in ("truth", "r2", *seeds)})
    series = []
    for i, colour in enumerate((ORANGE, GREEN, BLUE)):
        own = percent[percent["band"] == i]
        low, high = (own[seeds].agg(end, axis=1).tolist() if len(seeds) > 1 else () for end in ("min", "max"))
        series.append(Series(BANDS[i], own["r2"].tolist(), own["truth"].tolist(), colour, "dots", low, high))
    labels = "R2 of a probe of the shared features, %", "trained alone, % of the test images"
    ticks = range(math.ceil(percent["r2"].min()), math.floor(percent["r2"].max()) + 1)
    return Plot(Chart(*labels, series, x_ticks=ticks)).save_png(path)


def _pairs(about: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of a result: each by accuracy, and the same by cross-entropy."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in about["rows"]:
        found.setdefault((row["rule"], row["seed"]), {})[row["truth"]] = row
    return [(one["accuracy"], one["cross_entropy"]) for one in found.values()]


def _taus(row: dict[str, Any], other: dict[str, Any], by: str) -> dict[str, str]:
    """Tau with the accuracy over all networks, with its interval, and inside each band; and with the cross-entropy."""
    found, crossed = ({one["where"]: one["tau"] for one in rows["taus"] if one["by"] == by} for rows in (row, other))
    cells = {"all": _interval(found["all"])} | {
        name: f"{found[i]['mean']:.2f}" if i in found else "–" for i, name in enumerate(BANDS)
    }
    return cells | {"all, by cross-entropy": _interval(crossed["all"])}


def _tau(row: dict[str, Any], by: str) -> float:
    return float(next(one["tau"]["mean"] for one in row["taus"] if (one["where"], one["by"]) == ("all", by)))


def _ceilings(about: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """What another training and a perfect score would have; nothing where the truth has one seed."""
    found = []
    for by, name in CEILINGS.items():
        named = [
            {"taus": [{"where": one["where"], "by": by, "tau": one[by]} for one in about["ceilings"][truth_by]]}
            for truth_by in ("accuracy", "cross_entropy")
        ]
        if named[0]["taus"]:
            found.append((name, _taus(*named, by)))
    return found


def _above(rows: list[dict[str, Any]], by: str, cost: str) -> str:
    return _interval(next(row for row in rows if (row["where"], row["by"]) == ("all", by))[f"above {cost}"], sign="+")


def _interval(found: dict[str, float], sign: str = "") -> str:
    return f"{found['mean']:{sign}.2f} ({found['low']:{sign}.2f} to {found['high']:{sign}.2f})"
