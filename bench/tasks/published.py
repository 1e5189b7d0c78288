"""Published results on GV-B, and the averages of the paper."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from metanet.bench.tasks.table import GVB
from metanet.errors import MetanetError, unknown

RESULTS = Path(__file__).with_name("published.csv")

# The columns of the paper's Table 1. CLS-AVG is the unweighted mean of the 20 numbers, each of its own metric.
AGGREGATES: dict[str, tuple[str, ...]] = {
    "CLS-AVG": tuple(task.name for task in GVB.values() if task.kind == "classification"),
    "VOC-DET": ("voc_det",),
    "VOC-SEG": ("voc_seg",),
    "KITTI": ("kitti",),
    "NYUv2": ("nyuv2",),
    "CP (R)": ("citypersons/reasonable",),
    "WF (M)": ("wider_face/medium",),
}
# what a published average without its parts stands under
_AVERAGES = {"CLS-AVG": "cls_avg"}


def published() -> pd.DataFrame:
    """What others have reported: columns pretrain, model, percent, task, metric, value, source.

    Values are percentages; RMSE is in metres. The task is one of `GvbTask.scores`, or "cls_avg" where a source gives
    the average alone.
    """
    return pd.read_csv(RESULTS, dtype={"percent": float})


def averages(
    rows: pd.DataFrame, by: Sequence[str] = ("pretrain", "model", "percent"), tasks: Collection[str] | None = None
) -> pd.DataFrame:
    """The aggregates of the paper, never over other tasks than it says.

    rows    columns task and value, and those of `by`; one value a task and combination of `by`
    by      what tells results apart
    tasks   scores to average over, such as those that a user has: combinations without all of them are left out.
            None: all that each combination has

    Columns: those of `by`, average, value, tasks (how many were averaged), of (how many the aggregate has).

    Raises:
        MetanetError: an unknown task, or two values of one.
    """
    if wrong := sorted(set(tasks or ()) - {score for task in GVB.values() for score in task.scores}):
        raise unknown("score of GV-B", wrong[0], (score for task in GVB.values() for score in task.scores))
    if rows.duplicated([*by, "task"]).any():
        twice = rows[rows.duplicated([*by, "task"])].iloc[0]
        raise MetanetError(
            f"an average takes one value of each task, got two of {twice['task']!r} with the same {', '.join(by)}: "
            "name in `by` what tells them apart"
        )
    found = []
    for key, group in rows.groupby(list(by), sort=False, dropna=False):
        values = dict(zip(group["task"], group["value"], strict=True))
        for name, members in AGGREGATES.items():
            asked = [task for task in members if tasks is None or task in tasks]
            if average := _average(values, name, asked, strict=tasks is not None):
                value, used = average
                about = dict(zip(by, key, strict=True))
                found.append({**about, "average": name, "value": value, "tasks": used, "of": len(members)})
    return pd.DataFrame(found, columns=[*by, "average", "value", "tasks", "of"])


def _average(
    values: dict[str, float], aggregate: str, asked: Sequence[str], *, strict: bool
) -> tuple[float, int] | None:
    """(mean, how many tasks), None where there is nothing, or, if strict, not all that is asked."""
    known = [values[task] for task in asked if task in values]
    own = _AVERAGES.get(aggregate, "")
    if not known and own in values and len(asked) == len(AGGREGATES[aggregate]):
        return values[own], len(asked)
    if not known or (strict and len(known) < len(asked)):
        return None
    return sum(known) / len(known), len(known)
