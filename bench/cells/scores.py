"""Cells as tables: every cell, means over seeds with two kinds of intervals, averages over tasks.

The interval over seeds says what other draws of the training images would have given, that over test images what other
test images would have; they answer different questions and are never mixed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metanet.bench.cells.cell import Cell
from metanet.bench.cells.folder import Results
from metanet.bench.cells.intervals import images_interval
from metanet.metrics import METRICS
from metanet.stats import Interval, seeds_interval

NORMAL = 1.959964  # standard errors on either side of a normal 95 % interval
BOUNDS = ("images_low", "images_high", "seeds_low", "seeds_high")


@dataclass(frozen=True, eq=False)
class Point:
    """A backbone on a task with one percentage: its cells, seed after seed; `baseline`: it is there for comparison."""

    backbone: str
    task: str
    probe: str
    percent: float
    baseline: bool
    cells: tuple[Cell, ...]

    @property
    def metric(self) -> str:
        """The task's, a name in METRICS."""
        return self.cells[0].metric

    @property
    def draws(self) -> tuple[Cell, ...]:
        """A cell for each draw of training images; all seeds draw the same 100 %."""
        return tuple({cell.about["train"]: cell for cell in reversed(self.cells)}.values())[::-1]

    @property
    def value(self) -> float:
        """The mean of the metric over the draws."""
        return float(np.mean([cell.value for cell in self.draws]))

    @property
    def seeds(self) -> Interval | None:
        """Student's t interval over the draws; None where there is one."""
        return _over_seeds([cell.value for cell in self.draws])

    @property
    def images(self) -> Interval:
        """Bootstrap interval over the test images."""
        draws = self.draws
        return images_interval(self.metric, [cell.answers.predicted for cell in draws], draws[0].answers.truth)


def points_of(results: Results) -> list[Point]:
    """The cells of a folder, those that differ in their seed alone together."""
    grouped: dict[tuple[str, str, str, float, bool], list[Cell]] = {}
    for row, cell in zip(results.rows, results.cells, strict=True):
        grouped.setdefault((row.backbone, row.task, row.probe, row.percent, row.baseline), []).append(cell)
    return [Point(*place, tuple(cells)) for place, cells in grouped.items()]


def cells_table(results: Results) -> pd.DataFrame:
    """One row a cell."""
    rows = []
    for row, cell in zip(results.rows, results.cells, strict=True):
        interval = METRICS[cell.metric].interval(cell.answers.predicted, cell.answers.truth)
        rows.append(
            {
                "backbone": row.backbone,
                "baseline": row.baseline,
                "task": row.task,
                "probe": row.probe,
                "metric": cell.metric,
                "percent": row.percent,
                "seed": row.seed,
                "value": interval.mean,
                "se": interval.se,
                "images_low": interval.low,
                "images_high": interval.high,
                "n_train": cell.n_train,
                "n_test": len(cell.answers.truth),
                **cell.answers.chosen,
                **cell.answers.transfer,
                "ids_sha256": cell.about["train"],
                "key": row.key,
            }
        )
    return pd.DataFrame(rows)


def summary_table(points: Iterable[Point]) -> pd.DataFrame:
    """One row a backbone, task, probe and percentage.

    Columns: backbone, baseline, task, probe, metric, percent, value (mean over draws), draws, images_low, images_high,
    images_se, seeds_low, seeds_high (NaN for one draw), n_train, n_test, and the mean of each other metric.
    """
    rows = []
    for point in points:
        images, first = point.images, point.draws[0]
        others = {
            name: float(np.mean([metric.value(c.answers.predicted, c.answers.truth) for c in point.draws]))
            for name, metric in METRICS.items()
        }
        rows.append(
            {
                "backbone": point.backbone,
                "baseline": point.baseline,
                "task": point.task,
                "probe": point.probe,
                "metric": point.metric,
                "percent": point.percent,
                "value": point.value,
                "draws": len(point.draws),
                **_bounds(images, point.seeds),
                "n_train": first.n_train,
                "n_test": len(first.answers.truth),
                **others,
            }
        )
    return pd.DataFrame(rows)


def averages_table(points: Sequence[Point], aggregates: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One row a backbone, probe, percentage and average that has at least one of its tasks.

    aggregates   the tasks of each average

    Columns: backbone, baseline, probe, percent, average, value (unweighted mean over the tasks), images_low … as in
    `summary_table`, tasks (how many there are), of (how many the average has), names.
    """
    grouped: dict[tuple[str, bool, str, float], dict[str, Point]] = {}
    for point in points:
        place = point.backbone, point.baseline, point.probe, point.percent
        grouped.setdefault(place, {})[point.task] = point
    rows = []
    for (backbone, baseline, probe, percent), own in grouped.items():
        about = {"backbone": backbone, "baseline": baseline, "probe": probe, "percent": percent}
        for average, members in aggregates.items():
            if present := [own[task] for task in members if task in own]:
                count = {"tasks": len(present), "of": len(members), "names": tuple(point.task for point in present)}
                rows.append({**about, "average": average, **_average(present), **count})
    return pd.DataFrame(rows)


def _average(points: Sequence[Point]) -> dict[str, float]:
    """Tasks have images of their own, so their variances add; seeds are paired over the tasks."""
    value = float(np.mean([point.value for point in points]))
    se = float(np.sqrt(sum(point.images.se**2 for point in points))) / len(points)
    by_seed = [{cell.seed: cell for cell in point.cells} for point in points]
    shared = [seed for seed in by_seed[0] if all(seed in cells for cells in by_seed)]
    draws = {
        tuple(cells[seed].about["train"] for cells in by_seed): np.mean([cells[seed].value for cells in by_seed])
        for seed in shared
    }
    images = Interval(value, value - NORMAL * se, value + NORMAL * se, se)
    return {"value": value, **_bounds(images, _over_seeds([float(mean) for mean in draws.values()]))}


def _over_seeds(values: Sequence[float]) -> Interval | None:
    return seeds_interval(values) if len(values) > 1 else None


def _bounds(images: Interval, seeds: Interval | None) -> dict[str, Any]:
    return {
        "images_low": images.low,
        "images_high": images.high,
        "images_se": images.se,
        "seeds_low": seeds.low if seeds else np.nan,
        "seeds_high": seeds.high if seeds else np.nan,
    }
