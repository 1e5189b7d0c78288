"""Scores of features that need no fit, beside what the fitted probe scored: do they rank backbones alike?"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import kendalltau  # type: ignore[import-untyped]

from metanet.bench.cells.scores import Point

LEAST = 3  # backbones that make a ranking


def transfer_table(points: Iterable[Point]) -> pd.DataFrame:
    """One row a backbone, task, probe and percentage whose probe gives such scores, means over draws.

    Columns: backbone, baseline, task, probe, percent, value (the test score), and the scores by name: logme, h_score.
    """
    rows = []
    for point in points:
        draws = [cell.answers.transfer for cell in point.draws]
        if all(draws):
            about = {
                name: getattr(point, name) for name in ("backbone", "baseline", "task", "probe", "percent", "value")
            }
            rows.append({**about, **{name: float(np.mean([draw[name] for draw in draws])) for name in draws[0]}})
    return pd.DataFrame(rows)


def agreement_table(transfer: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau between such a score and the test score over all backbones, baselines too.

    transfer   of `transfer_table`

    Columns: task, probe, percent, backbones, and each score by name; NaN where all are equal. Fewer than LEAST
    backbones have no row.
    """
    if transfer.empty:
        return transfer
    names = [name for name in ("logme", "h_score") if name in transfer]
    rows = []
    for (task, probe, percent), own in transfer.groupby(["task", "probe", "percent"], sort=False):
        if len(own) >= LEAST:
            taus = {name: float(kendalltau(own[name], own["value"]).statistic) for name in names}
            rows.append({"task": task, "probe": probe, "percent": percent, "backbones": len(own), **taus})
    return pd.DataFrame(rows)
