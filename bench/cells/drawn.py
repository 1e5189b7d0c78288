"""The plots of the results: data efficiency, bars and a radar of the tasks."""

from collections.abc import Sequence

import pandas as pd

from metanet.bench.cells.wide import label
from metanet.report import Bars, Plot, Radar, efficiency, groups_of

LEAST_AXES = 3  # a radar of two tasks is a line


def curve(rows: pd.DataFrame, title: str) -> Plot:
    """Data efficiency on one task or average, with the intervals over test images; of an average the points that have
    all of its tasks that are there, for others cannot be compared.

    rows   of `summary_table` or `averages_table`, of one task or average
    """
    if "tasks" in rows:
        rows = rows[rows["tasks"] == rows["tasks"].max()]
    rows = _labelled(rows).rename(columns={"images_low": "ci_low", "images_high": "ci_high"})
    rows[["value", "ci_low", "ci_high"]] *= 100
    return efficiency(rows, label=f"{title}: test score, %")


def task_plots(summary: pd.DataFrame, percent: float) -> dict[str, Bars | Radar]:
    """Bars of all tasks at one percentage, and a radar where there are enough tasks."""
    rows = _labelled(summary[summary["percent"] == percent])
    rows = rows.rename(columns={"images_low": "low", "images_high": "high"})
    rows[["value", "low", "high"]] *= 100
    tasks: Sequence[str] = list(dict.fromkeys(rows["task"]))
    groups = groups_of(rows, tasks)
    found: dict[str, Bars | Radar] = {"bars": Bars("test score, % (intervals over test images)", tasks, groups)}
    if len(tasks) >= LEAST_AXES:
        found["radar"] = Radar(tasks, groups)
    return found


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    probes = list(dict.fromkeys(rows["probe"]))
    return rows.assign(backbone=[label(row, probes) for row in rows.to_dict("records")])
