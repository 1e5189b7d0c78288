"""The plots of a study's report, by the name of their PNG file."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, Protocol

from metanet.errors import MetanetError
from metanet.report import Amounts, Plot, durations, front, trajectory, volume
from metanet.searchers import history, measures
from metanet.searchers.report.comparison import LARGEST, RANDOM, SEARCH, Comparison
from metanet.searchers.report.tables import failures_table

MOST = 16  # bars
PAIRS = 3  # pairs of objectives that are shown against each other
LESS = {False: "", True: " (less is better)"}


class Drawable(Protocol):
    """A plot in both its forms."""

    @property
    def figure(self) -> Any:
        """The interactive form."""

    def save_png(self, path: Any) -> Any:
        """Writes the still form."""


Shown = Mapping[str, Drawable]


def dashed(plot: Plot) -> Plot:
    """The same with random search's lines in dashes: they begin as the search's own do, which shall show."""
    lines = [
        replace(series, dash="dash") if series.kind != "dots" and series.name.startswith(RANDOM) else series
        for series in plot.chart.series
    ]
    return Plot(replace(plot.chart, series=lines))


def found_plots(compared: Comparison) -> dict[str, Drawable]:
    """The best so far of each objective beside the controls', each objective over MACs, objectives over each other, and
    the hypervolume; none before the first score."""
    scores, trials = compared.scores, compared.trials
    if all(rows.empty for rows in trials.values()):
        return {}
    found: dict[str, Plot] = {}
    for name, low in compared.minimized.items():
        lines = {} if compared.largest is None else {LARGEST: compared.largest[name].tolist()}
        values = {run: rows[name].tolist() for run, rows in scores.items()}
        label = f"{name}{LESS[low]}"
        found[f"best {name}"] = trajectory(values, lines, label=label, axis="evaluations", minimize=low)
    signs = {name: 1 if low else -1 for name, low in compared.minimized.items()}
    if all(rows["macs"].notna().all() for rows in trials.values()):
        for name, low in compared.minimized.items():
            found[f"front {name}"] = front(trials, score=name, score_label=f"{name}{LESS[low]}", signs=(1, signs[name]))
    for a, b in list(combinations(compared.minimized, 2))[:PAIRS]:
        labels = {name: f"{name}{LESS[compared.minimized[name]]}" for name in (a, b)}
        found[f"front {a} {b}"] = front(
            trials, cost=a, label=labels[a], score=b, score_label=labels[b], signs=(signs[a], signs[b])
        )
    if volumes := measures.shared_hypervolumes(compared.studies):
        count = len(scores[SEARCH])
        curves = {name: curve.iloc[:count] for name, curve in volumes.items()}
        found["hypervolume"] = volume(curves, label="share of the hypervolume that all reach")
    return {name: dashed(plot) for name, plot in found.items()}


def importance_plots(compared: Comparison) -> dict[str, Drawable]:
    """The importance of the genes that matter most, one bar an objective; none where it cannot be told."""
    try:
        rows = compared.importances.dropna().head(MOST)
    except MetanetError:
        return {}
    groups = {str(name): rows[name].tolist() for name in rows}
    return {"importances": Amounts("importance (shares of all genes add up to 100 %)", list(rows.index), groups, ".0%")}


def failure_plots(compared: Comparison) -> dict[str, Drawable]:
    """How often each reason made a trial fail; none without failures."""
    rows = failures_table(compared.frame).head(MOST)
    if rows.empty:
        return {}
    counts = {"failures": rows["trials"].astype(float).tolist()}
    return {"failures": Amounts("failed trials", rows["reason"].tolist(), counts, ".0f")}


def time_plots(compared: Comparison) -> dict[str, Drawable]:
    """The time of each evaluation; none before the first."""
    seconds = {
        name: [t.user_attrs.get(history.SECONDS, float("nan")) for t in measures.evaluations(study)]
        for name, study in compared.studies.items()
    }
    return {"seconds": durations(seconds)} if any(seconds.values()) else {}
