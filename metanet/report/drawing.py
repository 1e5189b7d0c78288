"""A network drawn from left to right: a box for each stage, under it what its blocks are and its shares of the cost.

A box is the higher the larger the map that it leaves, the wider the more channels, and has a slice for each block.
Between boxes stands what halves the map: a downsampling module, or the stride of the stage's first block.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from metanet.report.shapes import Box, Drawing, Part, Polygon, Shape, Text, text_width
from metanet.report.style import GREY, INK, colours, quantity
from metanet.report.words import DOWNS, SHARES, before, inside, op_name, sentence, share, size

Row = Mapping[str, Any]

EDGE, MARGIN, COLUMN, NARROW, WIDE = 14, 126, 102, 44, 74  # border, left margin, a column, widths of a box
HEADER, LOWEST, HIGHEST = 58, 30, 124  # the texts over the boxes, least and greatest height of a box
LINE, BAR, BARS = 17, 30, 56  # a line of text, the longest bar, a row of bars
SOFT, PALE = 0.68, 0.16  # opacity of text and of grounds that are less important


def draw(rows: Sequence[Row], *, title: str = "", lead: str = "") -> Drawing:
    """The drawing of a network.

    rows   one a part, as `metanet.cost.describe` gives them: name, op, depth, width (channels), input and map (side,
           or height and width, of what it takes and leaves), stride, macs, params, activations; of stages also
           expansion, kernel, se, head_dim, window, grid and down, where they have them
    title  its name, and under it
    lead   what should be known first, as the totals
    """
    top = EDGE + (24 if title else 0) + (26 if lead else 0)
    middle = top + HEADER + HIGHEST / 2
    facts = top + HEADER + HIGHEST + 22
    bars = facts + LINE * (len(FACTS) - 1 + max(len(_wrapped(row)) for row in rows)) + 8
    width = MARGIN + COLUMN * len(rows) + EDGE
    legend = list(_legend(rows, width - EDGE, bars + BARS * len(SHARES) + 22))
    colour = colours([row["op"] for row in rows])
    content: list[Shape | Part] = [Text(EDGE, EDGE + 10, title, 17, bold=True)] if title else []
    content += [Text(EDGE, top - 16, lead, 12.5, opacity=SOFT)] if lead else []
    content += _labels(rows, top, facts, bars)
    content += _image(rows[0], top, middle, rows)
    for i, row in enumerate(rows):
        left = MARGIN + COLUMN * i
        ground = Box(left + 2, top, COLUMN - 4, bars + BARS * len(SHARES) - top, GREY, 6, 0.0)
        shapes = [*_stage(rows, i, left, top, middle, colour), *_facts(row, left, facts)]
        shapes += _shares(rows, row, left, bars, colour[row["op"]])
        content.append(Part(sentence(row, rows), (ground, *shapes)))
    height = max(shape.y for shape in legend) + EDGE + 4
    label = f"{title or 'The network'}, stage by stage: " + ", ".join(_short(row) for row in rows)
    return Drawing(width, height, (*content, *legend), label)


def _short(row: Row) -> str:
    return str(row["name"]) if row["name"] == row["op"] else f"{row['depth']} {op_name(row)}"


def _expansion(row: Row) -> str:
    return f"{row['expansion']:g}" if "expansion" in row else ""


FACTS: dict[str, Callable[[Row], str]] = {
    "channels": lambda row: f"{row['width']:,}",
    "map": lambda row: size(row["map"]),
    "expansion": _expansion,
    "in a block": inside,
}


def _labels(rows: Sequence[Row], top: float, facts: float, bars: float) -> Iterator[Shape]:
    """The names of the lines, in the left margin."""
    for i, name in enumerate(FACTS):
        yield Text(EDGE, facts + LINE * i, name, 11.5, opacity=SOFT)
    for i, (key, name) in enumerate(SHARES.items()):
        base = bars + BARS * (i + 1) - 8
        yield Text(EDGE, base - 24, name, 12, bold=True)
        yield Text(EDGE, base - 8, quantity(sum(row[key] for row in rows), zeros=True), 11.5, opacity=SOFT)
        yield Box(EDGE, base, MARGIN - EDGE + COLUMN * len(rows), 1, GREY, 0, 0.5)


def _sides(row: Row, key: str) -> tuple[int, int]:
    sides = row.get(key, row["map"])
    return tuple(sides) if isinstance(sides, (tuple, list)) else (sides, sides)


def map_scale(row: Row, key: str, rows: Sequence[Row]) -> float:
    """How large a map ("input" or "map") is drawn, in (0, 1]: its side over the largest, the root of it, so that small
    maps differ, too."""
    largest = max(math.prod(_sides(r, k)) for r in rows for k in ("input", "map"))
    return float((math.prod(_sides(row, key)) / largest) ** 0.25)


def _height(row: Row, key: str, rows: Sequence[Row]) -> float:
    return LOWEST + (HIGHEST - LOWEST) * map_scale(row, key, rows)


def _width(row: Row, rows: Sequence[Row]) -> float:
    """How wide a box is: the logarithm of its channels."""
    scale = [math.log(r["width"]) for r in rows]
    return NARROW + (WIDE - NARROW) * (math.log(row["width"]) - min(scale)) / (max(scale) - min(scale) or 1.0)


def _image(first: Row, top: float, middle: float, rows: Sequence[Row]) -> Iterator[Shape]:
    """The image before the first part, where its size is known."""
    if "input" not in first:
        return
    height, centre = _height(first, "input", rows), MARGIN - 36
    yield Text(centre, top + 13, "image", 11.5, anchor="middle", opacity=SOFT)
    yield Text(centre, top + HEADER - 13, size(first["input"]), 12, anchor="middle")
    yield Box(centre - 5, middle - height / 2, 10, height, GREY, 2, 0.55)


def _stage(
    rows: Sequence[Row], i: int, left: float, top: float, middle: float, colour: Mapping[str, str]
) -> Iterator[Shape]:
    """Names, what comes before the box, and the box with its slices."""
    row, centre = rows[i], left + COLUMN / 2
    height, width = _height(row, "map", rows), _width(row, rows)
    if row["name"] != row["op"]:
        yield Text(centre, top + 13, str(row["name"]), 11.5, anchor="middle", opacity=SOFT)
    lines = _two(op_name(row))
    for k, line in enumerate(lines):
        yield Text(centre, top + HEADER - 13 - 15 * (len(lines) - 1 - k), line, 12.5, anchor="middle", bold=True)
    start = left - (COLUMN - _width(rows[i - 1], rows)) / 2 if i else MARGIN - 31
    yield from _between(row, start + 3, centre - width / 2 - 3, middle, _height(row, "input", rows), height)
    yield Box(centre - width / 2, middle - height / 2, width, height, colour[row["op"]], 4)
    if row["op"] in ("stem", "head"):
        return
    for k in range(1, row["depth"]):
        x = centre - width / 2 + width * k / row["depth"]
        for y, long in ((middle - height / 2, height / 2 - 11), (middle + 11, height / 2 - 11)):
            yield Box(x - 0.4, y, 0.8, long, "#ffffff", 0, 0.6)
    yield Text(centre, middle, f"×{row['depth']}", 18, "#ffffff", "middle", bold=True)


def _between(row: Row, left: float, right: float, middle: float, high: float, low: float) -> Iterator[Shape]:
    """What leads from one box to the next: a line, or a funnel where the map shrinks or a module stands."""
    down = row.get("down")
    if not down and row["stride"] == 1:
        yield Box(left, middle - 1, right - left, 2, GREY, 0, 0.6)
        return
    corners = (
        (left, middle - high / 2),
        (right, middle - low / 2),
        (right, middle + low / 2),
        (left, middle + high / 2),
    )
    yield Polygon(corners, INK if down else GREY, 1.0 if down else 2 * PALE)
    if down:
        yield Text((left + right) / 2, middle, DOWNS[down][0], 11, "#ffffff", "middle", bold=True)


def _two(name: str) -> list[str]:
    """A name in one line or, where it has two words, in two."""
    return re.sub(r"[ -](?=[^ -]*$)", lambda sign: sign[0].strip() + "\n", name).split("\n")


def _wrapped(row: Row) -> list[str]:
    """What is in a block, in one line or, where that is too wide, in two."""
    text = inside(row)
    return [text] if text_width(text, 11.5) <= COLUMN else text.split(", ", 1)


def _facts(row: Row, left: float, y: float) -> Iterator[Shape]:
    lines = [told(row) or "–" for told in FACTS.values()][:-1] + [line or "–" for line in _wrapped(row)]
    for i, line in enumerate(lines):
        yield Text(left + COLUMN / 2, y + LINE * i, line, 11.5, anchor="middle")


def _shares(rows: Sequence[Row], row: Row, left: float, y: float, colour: str) -> Iterator[Shape]:
    """The bars of one part: its shares; the largest share of any kind and part is the longest bar."""
    sums = {key: sum(r[key] for r in rows) or 1 for key in SHARES}
    largest = max(r[key] / sums[key] for r in rows for key in SHARES) or 1
    for i, key in enumerate(SHARES):
        base, long = y + BARS * (i + 1) - 8, BAR * row[key] / sums[key] / largest
        if row[key]:
            yield Box(left + COLUMN / 2 - 17, base - max(1.0, long), 34, max(1.0, long), colour, 0)
        yield Text(left + COLUMN / 2, base - long - 9, share(row[key], sums[key]), 11.5, anchor="middle")


def _legend(rows: Sequence[Row], width: float, y: float) -> Iterator[Box | Text]:
    """What colours and shapes mean, in as many lines as are needed."""
    ops = {row["op"]: op_name(row) for row in rows if row["name"] != row["op"]}
    colour = colours([row["op"] for row in rows])
    items = [(colour[op], 1.0, name) for op, name in ops.items()]
    downs = {row["down"] for row in rows if row.get("down")}
    items += [(INK, 1.0, f"{short}: {name} downsampling") for key, (short, name) in DOWNS.items() if key in downs]
    if any(before(row) and not row.get("down") for row in rows):
        items.append((GREY, 2 * PALE, "stride of the next block"))
    items.append(("", 0.0, "height: map · width: channels · slices: blocks"))
    x = float(EDGE)
    for fill, opacity, text in items:
        long = text_width(text, 11) + (18 if fill else 0)
        if x > EDGE and x + long > width:
            x, y = float(EDGE), y + 18
        if fill:
            yield Box(x, y - 5.5, 11, 11, fill, 2, opacity)
        yield Text(x + (17 if fill else 0), y, text, 11, opacity=SOFT)
        x += long + 14
