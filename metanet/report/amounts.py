"""Amounts of named things as horizontal bars, so that long names can be read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from metanet.report.chart import FAINT, GRID, INK, framed, layout, still_text, write_png
from metanet.report.style import colours

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]  # plotly has no types

LONGEST = 56  # characters of a name
WHOLE = 12  # counts below which every one is marked


@dataclass(frozen=True)
class Amounts:
    """A bar for each name and group, the first name at the top, with its number at its end.

    label    of the axis, with its unit
    groups   an amount for each name, by group; NaN where there is none
    format   of the numbers, as ".0%"; ".0f" counts
    """

    label: str
    names: Sequence[str]
    groups: Mapping[str, Sequence[float]]
    format: str = ".3g"

    @property
    def figure(self) -> "Figure":
        """The interactive form."""
        from plotly.graph_objects import Bar, Figure

        colour, places = colours(list(self.groups)), list(range(len(self.names)))
        look = {"orientation": "h", "textposition": "outside", "cliponaxis": False, "hoverinfo": "name+text"}
        bars = [
            Bar(
                name=escape(name),
                y=places,
                x=list(values),
                text=self._said(values),
                marker={"color": colour[name]},
                **look,
            )
            for name, values in self.groups.items()
        ]
        figure = Figure(bars)
        size = {"height": round(100 + 72 * self._inches()), "margin": {"l": 20, "r": 50, "t": 20, "b": 50}}
        figure.update_layout(**layout() | size, barmode="group", bargap=0.25, showlegend=len(self.groups) > 1)
        names = [escape(short(name)) for name in self.names]
        axis = {"linecolor": GRID, "zeroline": False, "automargin": True}
        figure.update_yaxes(
            **axis, showgrid=False, tickvals=places, ticktext=names, autorange="reversed", ticksuffix=" "
        )
        whole = {"dtick": 1} if self._whole() and max(map(max, self.groups.values())) < WHOLE else {}
        figure.update_xaxes(**whole)
        figure.update_xaxes(
            **axis, gridcolor=FAINT, title=escape(self.label), rangemode="tozero", tickformat=self._ticks()
        )
        return figure

    def save_png(self, path: str | Path) -> Path:
        """Writes the still form and returns its path."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(8, 1.2 + self._inches()), dpi=200, layout="constrained")
        axes, width = figure.add_subplot(), 0.75 / max(1, len(self.groups))
        colour = colours(list(self.groups))
        for i, (name, values) in enumerate(self.groups.items()):
            y = [place + (i - (len(self.groups) - 1) / 2) * width for place in range(len(self.names))]
            bars = axes.barh(y, values, 0.92 * width, color=colour[name], label=still_text(name), zorder=2)
            axes.bar_label(bars, self._said(values), padding=3, color=INK, fontsize=8)
        axes.set_yticks(range(len(self.names)), [still_text(short(name)) for name in self.names])
        axes.invert_yaxis()
        axes.set_xlabel(still_text(self.label), color=INK)
        axes.xaxis.set_major_formatter(lambda x, _: format(x, self._ticks() or ".3g"))
        if self._whole():
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.1, y=0.02)
        framed(axes, "x")
        axes.tick_params(axis="y", length=0)
        if len(self.groups) > 1:
            figure.legend(loc="outside upper left", ncols=4, frameon=False, labelcolor=INK, fontsize=9)
        return write_png(figure, Path(path))

    def _said(self, values: Sequence[float]) -> list[str]:
        return ["" if math.isnan(value) else format(value, self.format) for value in values]

    def _ticks(self) -> str:
        return ".0%" if self.format.endswith("%") else ""

    def _whole(self) -> bool:
        return self.format == ".0f"

    def _inches(self) -> float:
        """Of the bars, from top to bottom."""
        return 0.28 * len(self.names) * (1 + 0.45 * (len(self.groups) - 1))


def short(name: str) -> str:
    """A name of at most LONGEST characters."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
