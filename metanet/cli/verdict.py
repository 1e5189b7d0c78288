"""Whether the search beat its controls, in one sentence, with paired intervals over seeds and over test images."""

import numpy as np
import pandas as pd

from metanet.bench import FeatureCache, LinearProbe
from metanet.cli.job import Outcome
from metanet.stats import Interval, paired_bootstrap, seeds_interval

Terms = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def verdict(outcome: Outcome) -> str:
    """One plain sentence: the winner's test accuracy with all of the probe's training images, and each difference.

    "beats" and "is beaten by" need both 95 % intervals on one side of 0: over retraining seeds (Student t), and over
    test images (bootstrap of the seeds' mean).
    """
    terms = {name: _terms(outcome, name) for name in outcome.winners}
    parts = [_against(outcome, terms, name) for name in outcome.winners if name != "search"]
    return (
        "With 100 % of the probe's training images the search's winner reaches "
        f"{terms['search'].mean():.1%} on the test images: {'; '.join(parts)}."
    )


def accuracy_by_seed(outcome: Outcome, name: str, percent: float) -> "pd.Series[float]":
    """Test accuracy of each retraining seed, the mean over the draws of the probe's training images."""
    cells = outcome.cells
    own = cells[cells["backbone"].str.startswith(f"{name}, seed ") & (cells["percent"] == percent)]
    return own.groupby("backbone")["value"].mean()


def _against(outcome: Outcome, terms: dict[str, Terms], name: str) -> str:
    if outcome.winners[name] == outcome.winners["search"]:
        return f"{name} found the same architecture"
    seeds = seeds_interval((terms["search"] - terms[name]).mean(axis=1))
    images = paired_bootstrap(terms["search"].mean(axis=0), terms[name].mean(axis=0))
    if min(seeds.low, images.low) > 0:
        says = "it beats"
    elif max(seeds.high, images.high) < 0:
        says = "it is beaten by"
    else:
        says = "it cannot be told apart from"
    return (
        f"{says} {name} ({100 * seeds.mean:+.2f} points; 95 % intervals {_range(seeds)} over seeds, "
        f"{_range(images)} over test images)"
    )


def _range(interval: Interval) -> str:
    return f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"


def _terms(outcome: Outcome, name: str) -> Terms:
    """(seeds, test images): 1 where the probe on all of its training images is right, else 0."""
    probe, task = LinearProbe(extract=FeatureCache()), outcome.setting.task
    return np.stack([probe.terms(net, task, task.train) for net in outcome.nets[name]])
