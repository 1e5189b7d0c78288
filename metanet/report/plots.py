"""The plots of the reports. Each is made once as a chart and shown as an interactive figure and as a PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metanet.report.chart import Chart, Series, interactive, save_png
from metanet.report.style import colours, quantity

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]  # plotly has no types


@dataclass(frozen=True)
class Plot:
    """One chart, to be shown in two ways."""

    chart: Chart

    @property
    def figure(self) -> "Figure":
        """The interactive form."""
        return interactive(self.chart)

    def save_png(self, path: str | Path) -> Path:
        """Writes the still form and returns its path."""
        return save_png(self.chart, Path(path))


def trajectory(
    scores: Mapping[str, Sequence[float]],
    lines: Mapping[str, Sequence[float]] | None = None,
    *,
    label: str = "accuracy",
    axis: str = "trial",
    minimize: bool = False,
) -> Plot:
    """Score of each trial against its number, and the best so far.

    scores    by run ("search", "random" …) in the order of the trials; NaN for a trial that failed
    lines     what else is told of each trial, drawn as it is, in dots
    minimize  whether lower is better
    """
    colour, series = colours([*scores, *(lines or {})]), []
    for name, values in scores.items():
        trials = list(range(1, len(values) + 1))
        better = np.fmin if minimize else np.fmax
        best = better.accumulate(np.asarray(values, float)).tolist() if len(values) else []
        series.append(Series(name, trials, list(values), colour[name], "dots", legend=False))
        series.append(Series(f"{name}, best so far", trials, best, colour[name], "steps"))
    for name, values in (lines or {}).items():
        numbers = list(range(1, len(values) + 1))
        series.append(Series(name, numbers, list(values), colour[name], "steps", dash="dot"))
    return Plot(Chart(axis, label, series))


def front(
    trials: Mapping[str, "pd.DataFrame"],
    marks: Mapping[str, tuple[float, float]] | None = None,
    *,
    cost: str = "macs",
    score: str = "accuracy",
    label: str = "MACs",
    score_label: str = "",
    signs: tuple[int, int] = (1, -1),
) -> Plot:
    """All trials over their cost, those that no other beats as a line, and the winners as stars.

    trials       by run, with the columns `cost`, `score` and, where it is known, `id`
    marks        (cost, score) by name
    score_label  of the axis; the name of the score when empty
    signs        what makes less better, of cost and score
    """
    marks = marks or {}
    colour, series = colours([*trials, *marks]), []
    for name, table in trials.items():
        x, y = table[cost].tolist(), table[score].tolist()
        ids = table["id"].tolist() if "id" in table else [""] * len(x)
        hover = [f"{name} {i}: {quantity(a)} {label}, {score} {b:.4f}" for i, a, b in zip(ids, x, y, strict=True)]
        best = non_dominated([signs[0] * value for value in x], [-signs[1] * value for value in y])
        edge_x, edge_y = [x[i] for i in best], [y[i] for i in best]
        series.append(Series(name, x, y, colour[name], "dots", hover=hover))
        series.append(Series(f"{name}, front", edge_x, edge_y, colour[name], "steps"))
    for name, (x_mark, y_mark) in marks.items():
        text = [f"{name}: {quantity(x_mark)} {label}, {score} {y_mark:.4f}"]
        series.append(Series(name, [x_mark], [y_mark], colour[name], "star", hover=text))
    return Plot(Chart(label, score_label or score, series))


def non_dominated(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Positions of the points with a higher score than all that cost as little, by rising cost; NaN never is."""
    best, found = -np.inf, []
    finite = [i for i in range(len(costs)) if np.isfinite(scores[i])]
    for i in sorted(finite, key=lambda i: (costs[i], -scores[i])):
        if scores[i] > best:
            best = scores[i]
            found.append(i)
    return found


def history(histories: Mapping[str, "pd.DataFrame"], *, value: str = "loss") -> Plot:
    """Training curves: each step's value, pale, under its running mean over a fiftieth of the steps.

    histories  by name, with the columns `step` and `value`
    """
    colour, series = colours(list(histories)), []
    for name, table in histories.items():
        smooth = table[value].rolling(max(1, len(table) // 50), min_periods=1).mean()
        steps = table["step"].tolist()
        series.append(Series(name, steps, table[value].tolist(), colour[name], faint=True, legend=False))
        series.append(Series(name, steps, smooth.tolist(), colour[name]))
    return Plot(Chart("step", value, series))


def efficiency(rows: "pd.DataFrame", *, by: str = "backbone", label: str = "test accuracy") -> Plot:
    """Score against the percentage of the training images, with confidence intervals, one line a network.

    rows  one for each network and percentage, with the columns `by`, percent, value, ci_low, ci_high
    """
    names = list(dict.fromkeys(rows[by]))
    colour, series = colours(names), []
    for i, name in enumerate(names):
        own = rows[rows[by] == name].sort_values("percent")
        x, y, low, high = (own[column].tolist() for column in ("percent", "value", "ci_low", "ci_high"))
        series.append(Series(name, x, y, colour[name], "joined", low, high, marker=i))
    ticks = sorted(set(rows["percent"].tolist()))
    return Plot(Chart("% of the training images", label, series, log_x=True, x_ticks=ticks))


def scaling(rows: "pd.DataFrame", *, by: str = "chooser", cost: str = "params", cost_label: str = "parameters") -> Plot:
    """Test accuracy of networks of growing cost, with confidence intervals, one line a chooser.

    rows  one for each network, with the columns `by`, `cost`, target_`cost` (of its rung: the ticks), value, ci_low,
          ci_high
    """
    names = list(dict.fromkeys(rows[by]))
    colour, series = colours(names), []
    for i, name in enumerate(names):
        own = rows[rows[by] == name].sort_values(cost)
        x, y, low, high = (own[column].tolist() for column in (cost, "value", "ci_low", "ci_high"))
        series.append(Series(name, x, y, colour[name], "joined", low, high, marker=i))
    ticks = sorted(set(rows[f"target_{cost}"].dropna()))
    return Plot(Chart(cost_label, "test accuracy", series, log_x=True, x_ticks=ticks))
