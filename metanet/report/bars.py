"""Scores of several networks on several tasks: side by side as bars, and as a radar chart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanet.report.chart import CLEAR, FAINT, GRID, INK, MARKERS, framed, layout, still_text, write_png
from metanet.report.style import colours

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]  # plotly has no types


@dataclass(frozen=True)
class Group:
    """The scores of one network, one a task; NaN where it has none.

    low, high   ends of the error bars, as scores
    """

    name: str
    colour: str
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Bars:
    """A bar for each network on each task, with its interval."""

    label: str
    tasks: Sequence[str]
    groups: Sequence[Group]

    @property
    def figure(self) -> "Figure":
        """The interactive form."""
        from plotly.graph_objects import Bar, Figure

        bars = []
        for group in self.groups:
            above, below = _errors(group)
            error = {"array": above, "arrayminus": below, "symmetric": False, "color": INK, "thickness": 1, "width": 2}
            look = {"marker": {"color": group.colour}, "error_y": error}
            bars.append(Bar(name=escape(group.name), x=[escape(task) for task in self.tasks], y=group.values, **look))
        figure = Figure(bars)
        figure.update_layout(barmode="group", **layout())
        axis = {"gridcolor": FAINT, "linecolor": GRID, "zeroline": False, "automargin": True}
        figure.update_xaxes(**axis | {"showgrid": False})
        figure.update_yaxes(**axis, title=escape(self.label), rangemode="tozero")
        return figure

    def save_png(self, path: str | Path) -> Path:
        """Writes the still form and returns its path."""
        from matplotlib.figure import Figure

        count = len(self.groups)
        inches = min(24.0, max(8.0, 2.0 + 0.16 * count * len(self.tasks)))
        figure = Figure(figsize=(inches, 4.6), dpi=200, layout="constrained")
        axes, width = figure.add_subplot(), 0.84 / max(1, count)
        for i, group in enumerate(self.groups):
            x = [task + (i - (count - 1) / 2) * width for task in range(len(self.tasks))]
            axes.bar(x, group.values, 0.92 * width, color=group.colour, label=still_text(group.name), zorder=2)
            above, below = _errors(group)
            axes.errorbar(x, group.values, yerr=[below, above], fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.5)
        turn: dict[str, Any] = {"rotation": 30, "ha": "right"} if len(self.tasks) > 6 else {}
        axes.set_xticks(range(len(self.tasks)), [still_text(task) for task in self.tasks], **turn)
        axes.set_ylabel(still_text(self.label), color=INK)
        framed(axes, "y")
        axes.tick_params(axis="x", length=0)
        _legend(figure, [group.name for group in self.groups], inches)
        return write_png(figure, Path(path))


@dataclass(frozen=True)
class Radar:
    """A closed line for each network, with an axis for each task; the centre is a score of 0."""

    tasks: Sequence[str]
    groups: Sequence[Group]

    @property
    def figure(self) -> "Figure":
        """The interactive form."""
        from plotly.graph_objects import Figure, Scatterpolar

        around = [escape(task) for task in [*self.tasks, *self.tasks[:1]]]
        lines = []
        for i, group in enumerate(self.groups):
            marker = {"symbol": MARKERS[i % len(MARKERS)][0], "size": 7}
            look = {"line": {"color": group.colour, "width": 2}, "marker": marker, "mode": "lines+markers"}
            closed = [*group.values, *group.values[:1]]
            lines.append(Scatterpolar(name=escape(group.name), theta=around, r=closed, **look))
        figure = Figure(lines)
        axis = {"gridcolor": FAINT, "linecolor": FAINT}
        between = 90 - 180 / len(self.tasks)  # degrees: half of the way from the first axis to the second
        radial = {
            **axis,
            "rangemode": "tozero",
            "angle": between,
            "tickangle": 0,
            "tickfont": {"size": 11},
            "nticks": 6,
        }
        angular = {**axis, "rotation": 90, "direction": "clockwise"}
        figure.update_layout(**layout(), polar={"bgcolor": CLEAR, "radialaxis": radial, "angularaxis": angular})
        figure.update_layout(height=520)
        return figure

    def save_png(self, path: str | Path) -> Path:
        """Writes the still form and returns its path."""
        from matplotlib.figure import Figure
        from matplotlib.patheffects import withStroke

        figure = Figure(figsize=(8, 6.4), dpi=200, layout="constrained")
        axes: Any = figure.add_subplot(projection="polar")
        angles = [2 * math.pi * i / len(self.tasks) for i in range(len(self.tasks))]
        for i, group in enumerate(self.groups):
            closed = [*group.values, *group.values[:1]]
            look: dict[str, Any] = {"color": group.colour, "markersize": 4, "linewidth": 1.8}
            look["marker"] = MARKERS[i % len(MARKERS)][1]
            axes.plot([*angles, *angles[:1]], closed, label=still_text(group.name), **look)
        axes.set_theta_zero_location("N")
        axes.set_theta_direction(-1)
        axes.set_ylim(bottom=0)
        axes.set_xticks(angles, [still_text(task) for task in self.tasks])
        for angle, text in zip(angles, axes.get_xticklabels(), strict=True):
            side = math.sin(angle)
            text.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
        for text in axes.get_yticklabels():  # a halo, for the lines run through the numbers
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
        axes.tick_params(colors=INK)
        axes.grid(alpha=0.35, color=GRID)
        axes.spines["polar"].set_color(GRID)
        _legend(figure, [group.name for group in self.groups], 8)
        return write_png(figure, Path(path))


def groups_of(rows: "pd.DataFrame", tasks: Sequence[str], *, by: str = "backbone") -> list[Group]:
    """The scores of each network on the tasks.

    rows   one for each network and task, with the columns `by`, task, value, low, high
    """
    names = list(dict.fromkeys(rows[by]))
    colour, found = colours(names), []
    for name in names:
        own = rows[rows[by] == name].set_index("task").reindex(tasks)
        values, low, high = (own[column].tolist() for column in ("value", "low", "high"))
        found.append(Group(name, colour[name], values, low, high))
    return found


def _errors(group: Group) -> tuple[list[float], list[float]]:
    """Lengths of the error bars, upwards and downwards."""
    above = [max(0.0, high - value) for high, value in zip(group.high, group.values, strict=True)]
    return above, [max(0.0, value - low) for low, value in zip(group.low, group.values, strict=True)]


def _legend(figure: Any, names: Sequence[str], inches: float) -> None:
    """Above the plot, in as many columns as fit: about 12 characters an inch, and 8 for a mark."""
    columns = max(1, min(5, int(12 * inches) // (max(map(len, names)) + 8)))
    figure.legend(loc="outside upper left", ncols=columns, frameon=False, labelcolor=INK, fontsize=9)
