"""A chart in plain values, and the two ways to show it: interactive (plotly) and still (matplotlib)."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanet.report.labels import Line, place
from metanet.report.style import quantity
from metanet.runs import atomic_write

if TYPE_CHECKING:
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]  # plotly has no types

INK, GRID = "#6b7480", "#8891a0"
CLEAR, FAINT = "rgba(0,0,0,0)", "rgba(136,145,160,0.25)"
_PLOTLY_MODES = {
    "dots": "markers",
    "line": "lines",
    "steps": "lines",
    "joined": "lines+markers",
    "star": "markers",
    "crosses": "markers",
}
DASHES = {"dash": (3, 2), "dot": (1, 1.2)}  # lengths of strokes and gaps, in widths of the line
MARKERS = (("circle", "o"), ("square", "s"), ("diamond", "D"), ("triangle-up", "^"), ("cross", "P"), ("x", "X"))


@dataclass(frozen=True)
class Series:
    """One line or cloud of a chart.

    kind       "dots", "line", "steps" (holds its value until the next x), "joined" (line with dots), "star", "crosses"
    low, high  ends of the error bars, as values of y; none where empty
    hover      text for each point in the interactive form; none where empty
    faint      drawn thin and pale, as raw values under their mean
    legend     whether it is named in the legend
    marker     which of MARKERS the dots of a joined line are, so that lines differ in more than colour
    labels     text beside each point; none where empty
    dash       "dash" or "dot": drawn so, that a line beneath it shows
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    kind: str = "line"
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    hover: Sequence[str] = ()
    faint: bool = False
    legend: bool = True
    marker: int = 0
    labels: Sequence[str] = ()
    dash: str = ""


@dataclass(frozen=True)
class Chart:
    """Series with named axes.

    x_ticks  the only values to mark on the x axis; chosen freely where empty
    """

    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False
    x_ticks: Sequence[float] = ()
    log_y: bool = False


def interactive(chart: Chart) -> "Figure":
    """The chart as a plotly figure on a clear ground, so that it suits a light and a dark page."""
    from plotly.graph_objects import Figure, Scatter

    figure = Figure([Scatter(**_trace(series)) for series in chart.series])
    figure.update_layout(**layout(), hovermode="closest")
    axis = {"gridcolor": FAINT, "linecolor": GRID, "zeroline": False, "automargin": True}
    ticks = {"tickvals": list(chart.x_ticks), "ticktext": [quantity(x) for x in chart.x_ticks]} if chart.x_ticks else {}
    figure.update_xaxes(**axis, **ticks, title=escape(chart.x_label), type="log" if chart.log_x else "linear")
    figure.update_yaxes(**axis, title=escape(chart.y_label), type="log" if chart.log_y else "linear")
    return figure


def layout() -> dict[str, Any]:
    """How interactive plots look alike."""
    return {
        "template": "none",
        "height": 420,
        "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
    }


def framed(axes: Any, grid: str = "both") -> None:
    """How still plots look alike: the lines of a grid along the axis named, or along both, and two sides of a frame."""
    axes.grid(axis=grid, alpha=0.25, color=GRID)
    axes.tick_params(which="both", colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)


def _trace(series: Series) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "name": escape(series.name),
        "x": list(series.x),
        "y": list(series.y),
        "mode": _PLOTLY_MODES[series.kind],
        "opacity": 0.4 if series.faint else 1.0,
        "showlegend": series.legend,
        "line": {"color": series.colour, "width": 1 if series.faint else 2.5},
        "marker": {"color": series.colour, "size": 8, "symbol": MARKERS[series.marker % len(MARKERS)][0]},
    }
    if series.kind == "steps":
        trace["line"]["shape"] = "hv"
    if series.dash:
        trace["line"]["dash"] = series.dash
    if series.kind == "dots":
        trace["marker"] |= {"opacity": 0.55, "size": 6}
    if series.kind == "star":
        trace["marker"] |= {"symbol": "star", "size": 17, "line": {"color": "white", "width": 1}}
    if series.kind == "crosses":
        trace["marker"] |= {"symbol": "cross-thin", "size": 11, "line": {"color": series.colour, "width": 1}}
    if series.labels:
        trace |= {"mode": f"{trace['mode']}+text", "text": [escape(text) for text in series.labels]}
        trace |= {"textposition": "bottom right" if series.faint else "top left"}
        trace |= {"textfont": {"size": 11, "color": series.colour}}
    if series.hover:
        field = "hovertext" if series.labels else "text"
        trace |= {field: [escape(text) for text in series.hover], "hovertemplate": f"%{{{field}}}"}
    if series.low:
        above = [high - y for y, high in zip(series.y, series.high, strict=True)]
        below = [y - low for y, low in zip(series.y, series.low, strict=True)]
        trace["error_y"] = {"array": above, "arrayminus": below, "symmetric": False, "color": series.colour}
    return trace


def save_png(chart: Chart, path: Path) -> Path:
    """Writes the chart as a PNG of 1600 x 840 pixels on white and returns its path."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    for series in chart.series:
        _draw(axes, series)
    axes.set_xlabel(still_text(chart.x_label), color=INK)
    axes.set_ylabel(still_text(chart.y_label), color=INK)
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
        _tick_log(axes.yaxis, [y for series in chart.series for y in series.y])
    if chart.x_ticks:
        axes.set_xticks(chart.x_ticks, [quantity(x) for x in chart.x_ticks])
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_formatter(lambda x, _: quantity(x))
        if chart.log_x:
            _tick_log(axes.xaxis, [x for series in chart.series for x in series.x])
    framed(axes)
    if names := [series.name for series in chart.series if series.legend]:
        columns = max(1, min(5, 96 // (max(map(len, names)) + 8)))  # about 96 characters and 8 a mark are one line
        figure.legend(loc="outside upper left", ncols=columns, frameon=False, labelcolor=INK)
    named = [Line(s.x, s.y, list(map(still_text, s.labels)), s.colour, s.faint) for s in chart.series if s.labels]
    if named:
        place(axes, named)
    return write_png(figure, path)


def _tick_log(axis: Any, values: Sequence[float]) -> None:
    """Numbers beside powers of ten, and where these are few beside two and five times as much."""
    few = max(values) < 50 * min(values)
    axis.set_major_formatter(lambda value, _: quantity(value))
    axis.set_minor_formatter(lambda value, _: quantity(value) if few and f"{value:e}"[0] in "25" else "")


def write_png(figure: Any, path: Path) -> Path:
    """Writes a matplotlib figure as PNG, wholly or not at all."""
    data = io.BytesIO()
    figure.savefig(data, format="png")
    atomic_write(path, data.getvalue())
    return path


def _draw(axes: Any, series: Series) -> None:
    label = still_text(series.name) if series.legend else "_nolegend_"
    look: dict[str, Any] = {"color": series.colour, "label": label, "alpha": 0.4 if series.faint else 1.0}
    if series.kind == "dots":
        axes.plot(series.x, series.y, "o", markersize=4, **look | {"alpha": 0.55, "markeredgewidth": 0})
    elif series.kind == "star":
        axes.plot(series.x, series.y, "*", markersize=16, markeredgecolor="white", zorder=5, **look)
    elif series.kind == "crosses":
        axes.plot(series.x, series.y, "+", markersize=8, markeredgewidth=0.8, zorder=4, **look)
    else:
        style = "steps-post" if series.kind == "steps" else "default"
        marker = MARKERS[series.marker % len(MARKERS)][1] if series.kind == "joined" else ""
        width = 0.8 if series.faint else 2.0
        look |= {"linestyle": (0, DASHES[series.dash])} if series.dash else {}
        axes.plot(series.x, series.y, drawstyle=style, marker=marker, markersize=5, linewidth=width, **look)
    if series.low:
        above = [high - y for y, high in zip(series.y, series.high, strict=True)]
        below = [y - low for y, low in zip(series.y, series.low, strict=True)]
        axes.errorbar(series.x, series.y, yerr=[below, above], fmt="none", ecolor=series.colour, capsize=3)


def still_text(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
