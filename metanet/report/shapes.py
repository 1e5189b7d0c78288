"""Shapes on a sheet, shown as SVG and, the same ones, by matplotlib as PNG or PDF. Units are those of the SVG."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from metanet.errors import MetanetError

FORMATS = ("png", "pdf")


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
class Polygon:
    """A filled polygon."""

    points: tuple[tuple[float, float], ...]
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Text:
    """Text whose middle line is at y. An empty colour is that of the page's text."""

    x: float
    y: float
    text: str
    size: float = 12
    colour: str = ""
    anchor: str = "start"
    bold: bool = False
    opacity: float = 1.0


@dataclass(frozen=True)
class Part:
    """Shapes that belong together, and the sentence that a reader who points at them gets. The first one is the
    ground that lights up."""

    label: str
    shapes: tuple["Shape", ...]


Shape = Box | Polygon | Text


@dataclass(frozen=True)
class Drawing:
    """Shapes in the order in which they are painted.

    label  what the whole shows, for readers who don't see it
    """

    width: float
    height: float
    content: tuple[Shape | Part, ...]
    label: str

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All shapes, out of their parts."""
        return tuple(_flat(self.content))

    @property
    def svg(self) -> str:
        """An SVG element; its text takes the colour of the page that it stands in."""
        parts = "\n".join(_part(item) if isinstance(item, Part) else _svg(item) for item in self.content)
        widths = f"min-width:{0.85 * self.width:g}px; max-width:{1.25 * self.width:g}px"  # so that text stays readable
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'style="{widths}" role="group" aria-label="{escape(self.label)}" '
            f'font-family="system-ui, sans-serif">\n{parts}\n</svg>'
        )

    def save(self, path: str | Path) -> Path:
        """Writes a PNG (two pixels a unit) or, by the file's name, a PDF, on white, and returns its path.

        Raises MetanetError for another suffix and where the file cannot be written.
        """
        from matplotlib.figure import Figure

        from metanet.runs import atomic_write

        suffix = Path(path).suffix.lower().lstrip(".")
        if suffix not in FORMATS:
            raise MetanetError(f"a drawing is saved as .png or .pdf, got {str(path)!r}")
        figure = Figure(figsize=(self.width / 100, self.height / 100), dpi=200)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()
        for shape in self.shapes:
            _paint(axes, shape)
        data = io.BytesIO()  # without a date, so that the same drawing is the same file
        figure.savefig(data, format=suffix, metadata={"CreationDate": None} if suffix == "pdf" else None)
        atomic_write(Path(path), data.getvalue())
        return Path(path)


def text_width(text: str, size: float) -> float:
    """About how wide a text is, in units: in matplotlib's typeface, which is a wide one."""
    return 0.57 * size * len(text)


def _flat(content: tuple[Shape | Part, ...]) -> Iterator[Shape]:
    for item in content:
        if isinstance(item, Part):
            yield from item.shapes
        else:
            yield item


def _part(part: Part) -> str:
    """A part with its sentence, in reach of the pointer, of the keyboard and of readers who hear it."""
    inside = "\n".join(_svg(shape) for shape in part.shapes)
    label = escape(part.label)
    return f'<g class="part" role="img" tabindex="0" aria-label="{label}"><title>{label}</title>\n{inside}\n</g>'


def _svg(shape: Shape) -> str:
    fade = f' fill-opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
    if isinstance(shape, Box):
        return (
            f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}" '
            f'rx="{shape.radius:g}" fill="{shape.colour}"{fade}/>'
        )
    if isinstance(shape, Polygon):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        return f'<polygon points="{points}" fill="{shape.colour}"{fade}/>'
    bold = ' font-weight="600"' if shape.bold else ""
    return (
        f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}"{bold} '
        f'fill="{shape.colour or "currentColor"}"{fade} dominant-baseline="central">{escape(shape.text)}</text>'
    )


def _paint(axes: Any, shape: Shape) -> None:
    from matplotlib.patches import FancyBboxPatch
    from matplotlib.patches import Polygon as Patch

    if isinstance(shape, Text):
        align = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
        points = shape.size * 0.72  # 100 units an inch, 72 points an inch; "center_baseline" is the SVG's "central"
        weight = "bold" if shape.bold else "normal"
        at = {"ha": align, "va": "center_baseline", "fontsize": points, "parse_math": False}
        axes.text(shape.x, shape.y, shape.text, color=shape.colour or "black", weight=weight, alpha=shape.opacity, **at)
        return
    look: dict[str, Any] = {"facecolor": shape.colour, "alpha": shape.opacity, "linewidth": 0}
    if isinstance(shape, Polygon):
        axes.add_patch(Patch(shape.points, closed=True, **look))
        return
    style = f"round,pad=0,rounding_size={min(shape.radius, shape.width / 2, shape.height / 2)}"
    axes.add_patch(FancyBboxPatch((shape.x, shape.y), shape.width, shape.height, boxstyle=style, **look))
