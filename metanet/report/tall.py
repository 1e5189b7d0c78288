"""A network drawn from top to bottom, 360 units across: the drawing for a narrow screen.

A box is the wider the larger the map that it leaves; beside it stands what its blocks are, and its shares as bars.
"""

from collections.abc import Iterator, Sequence

from metanet.report.drawing import PALE, SOFT, Row, map_scale
from metanet.report.shapes import Box, Drawing, Part, Polygon, Shape, Text
from metanet.report.style import GREY, INK, colours
from metanet.report.words import DOWNS, SHARES, SHORT, inside, op_name, sentence, share, size

ACROSS, ROW, BOX = 360, 98, 42  # units: the sheet, from part to part, the height of a box
CENTRE, LEAST, MOST = 46, 42, 88  # middle and widths of the boxes
TEXT, LABEL, BAR, LONGEST = 102, 232, 278, 40  # left edges of texts, names of bars and bars; the longest bar


def draw_tall(rows: Sequence[Row]) -> Drawing:
    """The drawing of a network for a narrow screen; rows as for `draw`."""
    content: list[Shape | Part] = []
    for i, row in enumerate(rows):
        y = ROW * i
        ground = Box(0, y, ACROSS, ROW - 2, GREY, 6, 0.0)
        box = [*_between(rows, i, y), *_box(row, rows, y + ROW - BOX - 3)]
        shapes = [*box, *_texts(row, y + 24), *_bars(row, rows, y + 42)]
        content.append(Part(sentence(row, rows), (ground, *shapes)))
    return Drawing(ACROSS, ROW * len(rows) + 4, tuple(content), "The network, stage by stage")


def _across(row: Row, key: str, rows: Sequence[Row]) -> float:
    return LEAST + (MOST - LEAST) * map_scale(row, key, rows)


def _box(row: Row, rows: Sequence[Row], y: float) -> Iterator[Shape]:
    width, colour = _across(row, "map", rows), colours([r["op"] for r in rows])[row["op"]]
    yield Box(CENTRE - width / 2, y, width, BOX, colour, 4)
    if row["op"] not in ("stem", "head"):
        yield Text(CENTRE, y + BOX / 2, f"×{row['depth']}", 17, "#ffffff", "middle", bold=True)


def _between(rows: Sequence[Row], i: int, y: float) -> Iterator[Shape]:
    """What leads to a box from above: a line, or a funnel where the map shrinks or a module stands."""
    row, down = rows[i], rows[i].get("down")
    above, below = y, y + ROW - BOX - 6
    if not down and row["stride"] == 1:
        yield Box(CENTRE - 1, above, 2, below - above, GREY, 0, 0.6)
        return
    high, low = _across(row, "input", rows) / 2, _across(row, "map", rows) / 2
    corners = ((CENTRE - high, above), (CENTRE + high, above), (CENTRE + low, below), (CENTRE - low, below))
    yield Polygon(corners, INK if down else GREY, 1.0 if down else 2 * PALE)
    if down:
        yield Text(CENTRE, (above + below) / 2, DOWNS[down][0], 11, "#ffffff", "middle", bold=True)


def _texts(row: Row, y: float) -> Iterator[Shape]:
    name = op_name(row) if row["op"] == row["name"] else f"{row['name']} · {op_name(row)}"
    yield Text(TEXT, y, name, 13, bold=True)
    expansion = [f"expansion {row['expansion']:g}"] if "expansion" in row else []
    for i, line in enumerate([f"{row['width']:,} channels", size(row["map"]), *expansion, inside(row)]):
        yield Text(TEXT, y + 18 + 15 * i, line, 11.5, opacity=SOFT)


def _bars(row: Row, rows: Sequence[Row], y: float) -> Iterator[Shape]:
    colour = colours([r["op"] for r in rows])[row["op"]]
    for i, (key, name) in enumerate(SHARES.items()):
        total, line = sum(r[key] for r in rows) or 1, y + 15 * i
        yield Text(LABEL, line, SHORT.get(name, name), 11, opacity=SOFT)
        yield Box(BAR, line - 4, LONGEST, 8, GREY, 2, PALE)
        if row[key]:
            yield Box(BAR, line - 4, max(1.5, LONGEST * row[key] / total), 8, colour, 2)
        yield Text(ACROSS, line, share(row[key], total), 11, anchor="end")
