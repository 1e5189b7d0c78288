"""Names beside the points of a still chart, where they hide neither each other nor lines nor points."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZE, MARK, LINE = 6.5, 3.0, 0.5  # points: of letters, half a mark, half a line
GAPS = {False: 4.0, True: 3.0}  # points from a mark to its name, by whether its line is faint
STEPS = 40  # places on a line between two points that names keep off
PLACES = ((-1, 1), (1, -1), (1, 1), (-1, -1), (0, 1), (0, -1), (-1, 0), (1, 0))  # right and up, the best first
Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


@dataclass(frozen=True)
class Line:
    """Points with names, in the units of the axes; a faint line's names come last, and below it first."""

    x: Sequence[float]
    y: Sequence[float]
    names: Sequence[str]
    colour: str
    faint: bool


def place(axes: Any, lines: Sequence[Line]) -> None:
    """Writes names onto axes whose limits are settled: each at the first of PLACES where it hides least."""
    figure = axes.get_figure()
    figure.draw_without_rendering()  # settles the layout, which pixels depend on
    unit, page = figure.dpi / 72, figure.bbox.extents
    paths = [axes.transData.transform(np.column_stack([line.x, line.y])) for line in lines]
    taken = [box for path in paths for box in _boxes(path, unit)]
    for line, path in sorted(zip(lines, paths, strict=True), key=lambda pair: pair[0].faint):
        for name, x, y, at in zip(line.names, line.x, line.y, path, strict=True):
            look = {"fontsize": SIZE, "color": line.colour, "zorder": 6}
            note = axes.annotate(name, (x, y), xytext=(0, 0), textcoords="offset points", **look)
            note.set_in_layout(False)
            extent = note.get_window_extent()
            side, gap = (-1 if line.faint else 1), GAPS[line.faint] * unit
            tried = [_beside(at, (side * a, side * b), extent.width, extent.height, gap) for a, b in PLACES]
            best = min(tried, key=lambda box: sum(_common(box, other) for other in taken) - _common(box, page))
            note.set_position((np.array(best[:2]) - at) / unit)
            taken.append(best)


def _boxes(path: Any, unit: float) -> list[Box]:
    """What a line's marks and the line itself cover."""
    found = [(x - MARK * unit, y - MARK * unit, x + MARK * unit, y + MARK * unit) for x, y in path]
    for a, b in itertools.pairwise(path):
        between = np.linspace(a, b, STEPS)[1:-1]
        found += [(x - LINE * unit, y - LINE * unit, x + LINE * unit, y + LINE * unit) for x, y in between]
    return found


def _beside(at: Any, to: tuple[int, int], width: float, height: float, gap: float) -> Box:
    left = at[0] + (to[0] - 1) / 2 * width + to[0] * gap
    bottom = at[1] + (to[1] - 1) / 2 * height + to[1] * gap
    return left, bottom, left + width, bottom + height


def _common(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, wide) * max(0.0, high)
