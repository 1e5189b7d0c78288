"""The report of a folder of cells: one HTML page, its plots as PNG, its tables as CSV and LaTeX."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metanet.bench.cells.compare import compare
from metanet.bench.cells.curves import curves_of, efficiency_table
from metanet.bench.cells.drawn import curve, task_plots
from metanet.bench.cells.folder import Results
from metanet.bench.cells.leaked import doubles_table, read_leaks, tested, without_table
from metanet.bench.cells.page import page_of
from metanet.bench.cells.scores import Point, averages_table, cells_table, points_of, summary_table
from metanet.bench.cells.transfer import transfer_table
from metanet.bench.cells.wide import aggregates_of, latex, wide_table
from metanet.report import Bars, Plot, Radar
from metanet.runs import atomic_write, open_run


@dataclass(frozen=True, eq=False)
class Tables:
    """All that a report tells, as data.

    cells          one row a cell
    summary        one row a backbone, task, probe and percentage
    averages       the same over tasks
    efficiency     how much data a score takes, on a task or an average
    transfer       scores of the features that need no fit; see `transfer_table`
    differences    each backbone against the first one, at the largest percentage
    doubles        how many test images have doubles, where `metanet bench leaks` wrote into the folder; else no row
    without        the scores with and without these images
    """

    results: Results
    cells: pd.DataFrame
    summary: pd.DataFrame
    averages: pd.DataFrame
    efficiency: pd.DataFrame
    transfer: pd.DataFrame
    differences: pd.DataFrame
    doubles: pd.DataFrame
    without: pd.DataFrame

    @property
    def percents(self) -> list[float]:
        """The percentages that were scored, rising."""
        return sorted(set(self.summary["percent"]))

    def wide(self, percent: float) -> pd.DataFrame:
        """The table that one reads; see `wide_table`."""
        return wide_table(self.summary, self.averages, percent)


def tables_of(results: Results, *, targets: Mapping[str, float] | float | None = None) -> Tables:
    """The tables of a folder of cells.

    targets   scores whose need of data is told, as in `efficiency_table`
    """
    points = points_of(results)
    summary = summary_table(points)
    averages = averages_table(points, aggregates_of(list(dict.fromkeys(summary["task"]))))
    curves = (summary, curves_of(averages))
    doubles = [] if results.folder is None else tested(points, read_leaks(results.folder))
    return Tables(
        results,
        cells_table(results),
        summary,
        averages,
        pd.concat([efficiency_table(rows, targets) for rows in curves if len(rows)], ignore_index=True),
        transfer_table(points),
        _differences(points),
        doubles_table(doubles),
        without_table(points, doubles),
    )


def write_report(found: Tables, out: str | os.PathLike[str] | None = None) -> Path:
    """Writes report.html, PNG files, CSV files and scores.tex; returns the page's path.

    out   folder to write into; None: the folder of the cells

    Raises:
        MetanetError: `out` cannot be written.
    """
    place = open_run(found.results.folder if out is None else out)
    for name in ("cells", "summary", "averages", "efficiency", "transfer", "differences"):
        atomic_write(place / f"{name}.csv", getattr(found, name).to_csv(index=False))
    if len(found.without):
        atomic_write(place / "without-doubles.csv", found.without.to_csv(index=False))
    atomic_write(place / "scores.tex", "\n".join(_latex(found, percent) for percent in found.percents))
    plots = plots_of(found)
    for name, plot in plots.items():
        plot.save_png(place / f"{name}.png")
    atomic_write(place / "report.html", page_of(found, plots))
    return place / "report.html"


def plots_of(found: Tables) -> dict[str, Plot | Bars | Radar]:
    """The plots by name: bars and radar at the largest percentage; where there are several, a curve for each average,
    or each task where there is no average."""
    plots: dict[str, Plot | Bars | Radar] = dict(task_plots(found.summary, found.percents[-1]))
    if len(found.percents) > 1:
        for average, rows in found.averages.groupby("average", sort=False) if len(found.averages) else ():
            plots[f"curve-{_file(average)}"] = curve(rows, str(average))
        for task, rows in found.summary.groupby("task", sort=False):
            plots[f"curve-{_file(task)}"] = curve(rows, str(task))
    return plots


def _latex(found: Tables, percent: float) -> str:
    caption = f"Test scores with {percent:g} % of the training images, mean over draws"
    return latex(found.wide(percent), caption=caption, name=f"gvb-{percent:g}")


def _differences(points: Sequence[Point]) -> pd.DataFrame:
    """Each backbone that is no baseline against the first one, at the largest percentage."""
    last = max(point.percent for point in points)
    lines: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if not point.baseline and point.percent == last:
            lines.setdefault((point.backbone, point.probe), []).append(point)
    found = []
    for (backbone, probe), own in list(lines.items())[1:]:
        (first, _), theirs = next(iter(lines.items()))
        alike = {_question(point) for point in own} & {_question(point) for point in theirs}
        ours, others = ([point for point in points if _question(point) in alike] for points in (theirs, own))
        if alike:
            found.append(compare(ours, others).assign(first=first, other=backbone, probe=probe))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _question(point: Point) -> tuple[str, str, str]:
    """The task and its test images: of others nothing can be paired."""
    about = point.cells[0].about
    return point.task, str(about["images"]), str(about["test"])


def _file(name: object) -> str:
    """A name as a part of a file's name."""
    return "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in str(name))
