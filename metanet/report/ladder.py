"""The plot of a family: parameters over MACs of its networks, beside what was asked for and beside other families."""

from collections.abc import Collection, Mapping, Sequence

from metanet.report.chart import Chart, Series
from metanet.report.plots import Plot
from metanet.report.style import GREY, colours, quantity

Point = tuple[float, float]  # parameters, MACs


def ladder(
    networks: Mapping[str, Point],
    *,
    anchors: Collection[str] = (),
    targets: Sequence[Point] = (),
    references: Mapping[str, Mapping[str, Point]] | None = None,
    title: str = "family",
    words: tuple[str, str] = ("generated", "released"),
    label: str = "MACs",
) -> Plot:
    """Networks as a line over logarithmic axes, those that the family was made from as stars.

    networks    (parameters, MACs) by name, in the order of the line
    anchors     which of them the others were made from
    targets     what was asked for, as thin crosses
    references  other families as paler lines: name of the family -> (parameters, MACs) by a short name
    title       of the family, in the legend
    words       what the legend calls networks that were made, and anchors
    label       of the axis of MACs
    """
    others = references or {}
    colour = colours(["family", *others])
    own = colour["family"]
    series = [_line(name, points, colour[name], i) for i, (name, points) in enumerate(others.items(), start=1)]
    if targets:
        hover = [f"asked for: {_said(point)}" for point in targets]
        series.append(Series("asked for", *_columns(targets), GREY, "crosses", hover=hover))
    if networks:
        series.append(_line(f"{title}, {words[0]}", networks, own))
    if given := {name: point for name, point in networks.items() if name in anchors}:
        hover = [f"{name}: {_said(point)}" for name, point in given.items()]
        series.append(Series(f"{title}, {words[1]}", *_columns(list(given.values())), own, "star", hover=hover))
    return Plot(Chart(label, "parameters", series, log_x=True, log_y=True))


def _line(name: str, points: Mapping[str, Point], colour: str, marker: int = 0) -> Series:
    """A family as a line, the others than the own one (marker of 0) faint."""
    other = f"{name} " if marker else ""
    hover = [f"{other}{short}: {_said(point)}" for short, point in points.items()]
    x, y = _columns(list(points.values()))
    return Series(name, x, y, colour, "joined", hover=hover, faint=marker > 0, marker=marker, labels=list(points))


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [macs for _, macs in points], [params for params, _ in points]


def _said(point: Point) -> str:
    return f"{quantity(point[0])} parameters, {quantity(point[1])} MACs"
