"""A network drawn stage by stage, once as shapes and shown as SVG and as PNG.

From the top: a box for each stage, the wider the more channels; beside it the map it leaves and its shares of the
cost. Units are those of the SVG: 960 across.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from metanet.report.chart import write_png
from metanet.report.style import GREY, colours, quantity

ACROSS, ROW, BOX, TOP = 960, 62, 44, 40
CENTRE, NARROW, WIDE = 200, 190, 390  # middle and widths of the boxes
MAP, SHARES, BAR = 420, {"macs": 525, "params": 745}, 90  # left edges of the columns, length of a whole bar
_NAMES = {"macs": "MACs", "params": "parameters"}


@dataclass(frozen=True)
class Box:
    """A filled rectangle; x and y of its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    radius: float = 3
    opacity: float = 1.0


@dataclass(frozen=True)
class Text:
    """Text whose middle line is at y. An empty colour is that of the page's text."""

    x: float
    y: float
    text: str
    size: float = 14
    colour: str = ""
    anchor: str = "start"
    bold: bool = False


@dataclass(frozen=True)
class Drawing:
    """Shapes in the order in which they are painted."""

    height: float
    shapes: tuple[Box | Text, ...]

    @property
    def svg(self) -> str:
        """An SVG element; its text takes the colour of the page that it stands in."""
        parts = "\n".join(_svg(shape) for shape in self.shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ACROSS} {self.height:g}" role="img" '
            f'aria-label="The network, stage by stage" font-family="system-ui, sans-serif">\n{parts}\n</svg>'
        )

    def save_png(self, path: str | Path) -> Path:
        """Writes a PNG of 1920 pixels across on white and returns its path."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(ACROSS / 100, self.height / 100), dpi=200)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, ACROSS), ylim=(self.height, 0))
        axes.set_axis_off()
        for shape in self.shapes:
            _paint(axes, shape)
        return write_png(figure, Path(path))


def draw(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    """The drawing of a network.

    rows  one a stage: name, op, depth, width (channels), map (side, or height and width, of what it leaves), stride,
          macs, params
    """
    return Drawing(TOP + ROW * len(rows), tuple(_shapes(rows)))


def _shapes(rows: Sequence[Mapping[str, Any]]) -> Iterator[Box | Text]:
    colour = colours([row["op"] for row in rows])
    scale = [math.log(row["width"]) for row in rows]
    least, spread = min(scale), max(scale) - min(scale) or 1.0
    yield Text(CENTRE, 18, "stage", 13, GREY, "middle")
    yield Text(MAP, 18, "map", 13, GREY)
    for key, left in SHARES.items():
        total = quantity(sum(row[key] for row in rows))
        yield Text(left, 18, f"{_NAMES[key]}, {total} in all", 13, GREY)
    for i, row in enumerate(rows):
        y = TOP + ROW * i
        if i:
            yield Box(CENTRE - 1, y - (ROW - BOX), 2, ROW - BOX, GREY, 0, 0.6)
        width = NARROW + (WIDE - NARROW) * (scale[i] - least) / spread
        yield from _stage(row, y, width, colour[row["op"]])
        for key, left in SHARES.items():
            yield from _share(row[key], sum(r[key] for r in rows), left, y + BOX / 2, colour[row["op"]])


def _stage(row: Mapping[str, Any], y: float, width: float, colour: str) -> Iterator[Box | Text]:
    left, middle = CENTRE - width / 2, y + BOX / 2
    name, op = str(row["name"]), str(row["op"]).replace("_", " ")
    yield Box(left, y, width, BOX, colour, 7)
    yield Text(CENTRE, middle - 8, name if op == name else f"{name} · {op}", 13.5, "#ffffff", "middle", True)
    blocks = f"{row['depth']} block{'s' if row['depth'] > 1 else ''} · " if op not in ("stem", "head") else ""
    yield Text(CENTRE, middle + 10, f"{blocks}{row['width']} channels", 12.5, "#ffffff", "middle")
    side = row["map"]
    height, across = side if isinstance(side, (tuple, list)) else (side, side)
    yield Text(MAP, middle, f"{height} × {across}{'  ↓' + str(row['stride']) if row['stride'] > 1 else ''}")


def _share(part: float, total: float, left: float, y: float, colour: str) -> Iterator[Box | Text]:
    share = part / total if total else 0.0
    yield Box(left, y - 6, BAR, 12, GREY, 3, 0.18)
    if share:
        yield Box(left, y - 6, max(2.0, BAR * share), 12, colour)
    yield Text(left + BAR + 10, y, f"{share:.0%}" if share >= 0.01 or not share else "<1%", 13)
    yield Text(left + BAR + 54, y, quantity(part), 12, GREY)


def _svg(shape: Box | Text) -> str:
    if isinstance(shape, Box):
        fade = f' fill-opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
        return (
            f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}" '
            f'rx="{shape.radius:g}" fill="{shape.colour}"{fade}/>'
        )
    bold = ' font-weight="600"' if shape.bold else ""
    return (
        f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}"{bold} '
        f'fill="{shape.colour or "currentColor"}" dominant-baseline="central">{escape(shape.text)}</text>'
    )


def _paint(axes: Any, shape: Box | Text) -> None:
    from matplotlib.patches import FancyBboxPatch

    if isinstance(shape, Box):
        style = f"round,pad=0,rounding_size={min(shape.radius, shape.width / 2)}"
        corner = (shape.x, shape.y)
        look: dict[str, Any] = {"facecolor": shape.colour, "alpha": shape.opacity, "linewidth": 0}
        axes.add_patch(FancyBboxPatch(corner, shape.width, shape.height, boxstyle=style, **look))
        return
    align = {"start": "left", "middle": "center"}[shape.anchor]
    points = shape.size * 0.72  # 100 units an inch, 72 points an inch; "center_baseline" matches the SVG's "central"
    weight = "bold" if shape.bold else "normal"
    look = {"fontsize": points, "color": shape.colour or "black", "ha": align, "va": "center_baseline"}
    axes.text(shape.x, shape.y, shape.text, weight=weight, parse_math=False, **look)
