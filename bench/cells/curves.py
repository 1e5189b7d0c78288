"""Data efficiency: the score against the share of the training images, and how much data a score takes."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from metanet.errors import MetanetError

SHARE = 0.95  # of the best score on a task: the target where none is given


def data_needed(percents: Sequence[float], values: Sequence[float], target: float) -> float:
    """The percentage at which a curve first reaches the target, between its points linear in the logarithm of the
    percentage; the first percentage where it is reached there already, infinity where it never is.

    Raises:
        MetanetError: the percentages do not rise, or there are none.
    """
    if not len(percents) or any(b <= a for a, b in pairwise(percents)) or percents[0] <= 0:
        raise MetanetError(f"the percentages of a curve must be above 0 and rise, got {list(percents)}")
    if values[0] >= target:
        return float(percents[0])
    for i in range(1, len(percents)):
        if values[i] >= target:
            share = (target - values[i - 1]) / (values[i] - values[i - 1])
            return float(percents[i - 1] * (percents[i] / percents[i - 1]) ** share)
    return float("inf")


def area(percents: Sequence[float], values: Sequence[float]) -> float:
    """The mean height of a curve over the logarithm of the percentage; of one point, its value."""
    if len(percents) == 1:
        return float(values[0])
    x = np.log(percents)
    return float(np.trapezoid(values, x) / (x[-1] - x[0]))


def told(needed: float, first: float) -> str:
    """What `data_needed` gave, in words; `first` is the first percentage of the curve."""
    if needed == float("inf"):
        return "not reached"
    return f"≤ {first:g} %" if needed <= first else f"{needed:.3g} %"


def curves_of(averages: pd.DataFrame) -> pd.DataFrame:
    """The rows of `averages_table` for `efficiency_table`, with the average as task: of averages over several tasks,
    the same ones at each percentage and for each backbone, so that their points make curves."""
    if averages.empty:
        return averages
    same = averages.groupby("average")["names"].transform("nunique") == 1
    return averages[same & (averages["tasks"] > 1)].rename(columns={"average": "task"})


def efficiency_table(summary: pd.DataFrame, targets: Mapping[str, float] | float | None = None) -> pd.DataFrame:
    """How much of a task's training images each backbone takes for a score.

    summary   of `summary_table` or `curves_of`
    targets   by task, or one for all; None: 95 % of the best mean on the task

    Columns: task, backbone, probe, baseline, target, needed (% of the training images, infinity where not reached),
    first (smallest percentage of the curve), area (mean height of the curve over the logarithm of the percentage).
    """
    rows = []
    order = {task: i for i, task in enumerate(dict.fromkeys(summary["task"]))}
    by_task = summary.sort_values("task", key=lambda names: names.map(order), kind="stable")
    for (task, backbone, probe), own in by_task.groupby(["task", "backbone", "probe"], sort=False):
        own = own.sort_values("percent")
        best = summary[summary["task"] == task]["value"].max()
        target = targets.get(str(task)) if isinstance(targets, Mapping) else targets
        target = SHARE * best if target is None else target
        percents, values = own["percent"].tolist(), own["value"].tolist()
        rows.append(
            {
                "task": task,
                "backbone": backbone,
                "probe": probe,
                "baseline": bool(own["baseline"].iloc[0]),
                "target": float(target),
                "needed": data_needed(percents, values, target),
                "first": percents[0],
                "area": area(percents, values),
            }
        )
    return pd.DataFrame(rows)
