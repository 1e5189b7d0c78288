"""Two backbones on the same test images, from their stored predictions alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metanet.bench.cells.intervals import difference_interval
from metanet.bench.cells.scores import NORMAL, Point
from metanet.data import Ids
from metanet.errors import MetanetError
from metanet.metrics import METRICS
from metanet.stats import Interval, mcnemar

POOLED = "all tasks"


def compare(a: Sequence[Point], b: Sequence[Point]) -> pd.DataFrame:
    """One row a task and percentage that both have, and one over all tasks where there are several.

    a, b   the points of one backbone each; draws of the training images that both have are compared

    Columns: task, percent, metric, a, b, difference (a - b), low, high (95 % paired bootstrap over test images),
    a_alone, b_alone (images that only one has right, or has right in more of the draws), p (exact McNemar test on
    these), draws, images. The row over all tasks is the unweighted mean over them, with the normal interval of their
    summed variances, and the test of all their images. No p is corrected for the number of rows.

    Raises:
        MetanetError: nothing can be compared, or the test images of a task differ.
    """
    others = {(point.task, point.percent): point for point in b}
    pairs = [_pair(point, others[place]) for point in a if (place := (point.task, point.percent)) in others]
    if not (pairs := [pair for pair in pairs if pair.a]):
        mine, theirs = (sorted({f"{p.task} at {p.percent:g} %" for p in side}) for side in (a, b))
        raise MetanetError(
            "a comparison needs a task, percentage and seed that both have, got "
            f"{', '.join(mine) or 'nothing'} and {', '.join(theirs) or 'nothing'}: score both on the same"
        )
    rows = [pair.row() for pair in pairs]
    for percent in dict.fromkeys(pair.percent for pair in pairs):
        own = [pair for pair in pairs if pair.percent == percent]
        if len(own) > 1:
            rows.append(_pooled(own))
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Predictions of both on the same test images, draw by draw."""

    task: str
    percent: float
    metric: str
    a: tuple[Ids, ...]
    b: tuple[Ids, ...]
    truth: Ids

    def votes(self) -> tuple[int, int]:
        """How many images only the one, and only the other, has right in more of the draws."""
        lead = sum((a == self.truth).astype(int) - (b == self.truth) for a, b in zip(self.a, self.b, strict=True))
        return int(np.sum(lead > 0)), int(np.sum(lead < 0))

    @property
    def difference(self) -> Interval:
        """a - b, paired over the test images."""
        return difference_interval(self.metric, self.a, self.b, self.truth)

    def row(self) -> dict[str, Any]:
        """The comparison on this task."""
        found = self.difference
        ours, theirs = self.votes()
        return {
            "task": self.task,
            "percent": self.percent,
            "metric": self.metric,
            "a": _value(self.metric, self.a, self.truth),
            "b": _value(self.metric, self.b, self.truth),
            "difference": found.mean,
            "low": found.low,
            "high": found.high,
            "a_alone": ours,
            "b_alone": theirs,
            "p": mcnemar(ours, theirs),
            "draws": len(self.a),
            "images": len(self.truth),
        }


def _pair(a: Point, b: Point) -> _Pair:
    theirs = {cell.about["train"]: cell for cell in b.draws}
    shared = [(cell, other) for cell in a.draws if (other := theirs.get(cell.about["train"]))]
    first, other = a.draws[0], b.draws[0]
    if first.about["test"] != other.about["test"] or first.about["images"] != other.about["images"]:
        raise MetanetError(
            f"a paired comparison needs the same test images, those of {a.task!r} differ between {a.backbone!r} and "
            f"{b.backbone!r}: score both on the same data"
        )
    ours = tuple(cell.answers.predicted for cell, _ in shared)
    return _Pair(
        a.task, a.percent, a.metric, ours, tuple(cell.answers.predicted for _, cell in shared), first.answers.truth
    )


def _value(metric: str, predicted: Sequence[Ids], truth: Ids) -> float:
    return float(np.mean([METRICS[metric].value(one, truth) for one in predicted]))


def _pooled(pairs: Sequence[_Pair]) -> dict[str, Any]:
    """The mean over tasks, whose images are independent, and McNemar's test of the images of all of them."""
    rows = [pair.row() for pair in pairs]
    found = [pair.difference for pair in pairs]
    mean = float(np.mean([one.mean for one in found]))
    se = float(np.sqrt(sum(one.se**2 for one in found))) / len(found)
    over = Interval(mean, mean - NORMAL * se, mean + NORMAL * se, se)
    ours, theirs = (sum(pair.votes()[side] for pair in pairs) for side in (0, 1))
    return {
        "task": POOLED,
        "percent": pairs[0].percent,
        "metric": f"mean of {len(pairs)}",
        "a": float(np.mean([row["a"] for row in rows])),
        "b": float(np.mean([row["b"] for row in rows])),
        "difference": over.mean,
        "low": over.low,
        "high": over.high,
        "a_alone": ours,
        "b_alone": theirs,
        "p": mcnemar(ours, theirs),
        "draws": min(len(pair.a) for pair in pairs),
        "images": sum(len(pair.truth) for pair in pairs),
    }
