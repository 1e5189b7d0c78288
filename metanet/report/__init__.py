"""Self-contained reports: pages, plots and drawings of networks."""

from metanet.report.amounts import Amounts
from metanet.report.bars import Bars, Radar, groups_of
from metanet.report.drawing import draw
from metanet.report.html import Html, Section, figure, network, page, paragraph, preformatted, table
from metanet.report.ladder import ladder
from metanet.report.marginals import draw_marginals
from metanet.report.plots import Plot, efficiency, front, history, trajectory
from metanet.report.shapes import Drawing
from metanet.report.study import durations, volume
from metanet.report.tall import draw_tall

__all__ = [
    "Amounts",
    "Bars",
    "Drawing",
    "Html",
    "Plot",
    "Radar",
    "Section",
    "draw",
    "draw_marginals",
    "draw_tall",
    "durations",
    "efficiency",
    "figure",
    "front",
    "groups_of",
    "history",
    "ladder",
    "network",
    "page",
    "paragraph",
    "preformatted",
    "table",
    "trajectory",
    "volume",
]
