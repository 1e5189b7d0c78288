"""Self-contained reports: pages, plots and drawings of networks."""

from metanet.report.drawing import Drawing, draw
from metanet.report.html import Html, Section, figure, page, paragraph, svg, table
from metanet.report.plots import Plot, efficiency, front, history, trajectory

__all__ = [
    "Drawing",
    "Html",
    "Plot",
    "Section",
    "draw",
    "efficiency",
    "figure",
    "front",
    "history",
    "page",
    "paragraph",
    "svg",
    "table",
    "trajectory",
]
