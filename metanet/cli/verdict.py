"""Whether the search beat its controls, in one sentence, with paired intervals over seeds and over test images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metanet.bench import FeatureCache, LinearProbe, RawPixels, Task
from metanet.cli.job import Outcome, training_words
from metanet.model import Backbone
from metanet.stats import Interval, paired_bootstrap, seeds_interval

Terms = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Difference:
    """How much more often one side is right than the other, a share: over retraining seeds (Student t), and over test
    images (bootstrap of the seeds' mean)."""

    seeds: Interval
    images: Interval

    @property
    def says(self) -> str:
        """ "beats" and "is beaten by" need both 95 % intervals on one side of 0."""
        if min(self.seeds.low, self.images.low) > 0:
            return "beats"
        return "is beaten by" if max(self.seeds.high, self.images.high) < 0 else "cannot be told apart from"

    def __str__(self) -> str:
        """The difference with its intervals, in points."""
        return (
            f"{100 * self.seeds.mean:+.2f} points; 95 % intervals {points(self.seeds)} over seeds, "
            f"{points(self.images)} over test images"
        )


def difference(own: Terms, other: Terms) -> Difference:
    """Of two sides' `terms`, in which equal positions mean equal seeds and equal images."""
    seeds = seeds_interval((own - other).mean(axis=1))
    return Difference(seeds, paired_bootstrap(own.mean(axis=0), other.mean(axis=0)))


def points(interval: Interval) -> str:
    """The ends of an interval of shares, in points."""
    return f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"


def terms(nets: Sequence[Backbone], task: Task) -> Terms:
    """(seeds, test images): 1 where the probe on all of its training images is right, else 0."""
    probe = LinearProbe(extract=FeatureCache())
    return np.stack([probe.terms(net, task, task.train) for net in nets])


def verdict(outcome: Outcome) -> str:
    """One plain sentence: the winner's test accuracy with all of the probe's training images, and each difference."""
    task = outcome.setting.data.task
    found = {name: terms(outcome.nets[name], task) for name in outcome.winners}
    parts = [_against(outcome, found, name) for name in outcome.winners if name != "search"]
    pixels = terms([RawPixels()], task).mean()
    behind = ""
    if pixels > found["search"].mean():
        behind = f"; raw pixels reach {pixels:.1%}, so it needs longer training (--epochs) or more images"
    how = f", {training_words(outcome.options)} as the others are," if outcome.options.inherit else ""
    return (
        f"With 100 % of the probe's training images the search's winner{how} reaches "
        f"{found['search'].mean():.1%} on the {len(task.test):,} test images of {task.images.name}: "
        f"{'; '.join(parts)}{behind}."
    )


def accuracy_by_seed(cells: pd.DataFrame, name: str, percent: float) -> "pd.Series[float]":
    """Test accuracy of each retraining seed, the mean over the draws of the probe's training images."""
    own = cells[cells["backbone"].str.startswith(f"{name}, seed ") & (cells["percent"] == percent)]
    return own.groupby("backbone")["value"].mean()


def _against(outcome: Outcome, found: dict[str, Terms], name: str) -> str:
    if outcome.winners[name] == outcome.winners["search"]:
        return f"{name} found the same architecture"
    apart = difference(found["search"], found[name])
    return f"it {apart.says} {name} ({apart})"
