"""How often the choices of a space's genes occur, drawn: a column for each stage, a band for each gene, a bar for each
choice; where there are rules, a stroke shows the share without them."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from metanet.report.shapes import Box, Drawing, Shape, Text, text_width
from metanet.report.style import GREY, INK, colours
from metanet.report.words import GENES, choice_name

Row = Mapping[str, Any]

EDGE, MARGIN, COLUMN, BAR = 14, 128, 120, 74  # border, left margin, a column, the longest bar
LINE, BAND, HEADER = 15, 30, 30  # a choice, the head of a gene, the names of the columns
SOFT, PALE, BLACK = 0.68, 0.07, "#000000"


def draw_marginals(rows: Sequence[Row], *, title: str, leads: Sequence[str] = ()) -> Drawing:
    """The drawing of the marginals of a space.

    rows   one a gene: gene, stage (None: of the whole network), choices, shares, effect (share of the architectures
           where the gene has an effect), free (shares without rules, or None where there are no rules)
    title  the space's name; `leads`, what should be known first, a line or more each
    """
    stages = sorted({row["stage"] for row in rows if row["stage"] is not None})
    width, y = float(MARGIN + COLUMN * max(4, len(stages)) + EDGE), EDGE + 10.0
    content: list[Shape] = [Text(EDGE, y, title, 17, bold=True)]
    y += 6
    for line in (part for lead in leads for part in textwrap.wrap(lead, int((width - 2 * EDGE) / text_width("x", 12)))):
        y += 18
        content.append(Text(EDGE, y, line, 12, opacity=SOFT))
    legend = list(_legend(y + 28, width - EDGE, any(row["free"] for row in rows)))
    content += legend
    y = legend[-1].y + 12
    bands = genes(rows)
    for columns in ([None], stages):
        shown = {gene: own for gene, own in bands.items() if own[0]["stage"] in columns}
        y += HEADER if shown else 0
        for i, stage in enumerate(columns if shown else ()):
            name = "network" if stage is None else f"stage {stage}"
            content.append(Text(MARGIN + COLUMN * i + 6, y - 10, name, 12.5, bold=True))
        for gene, own in shown.items():
            content += _band(gene, own, y, columns, width)
            y += BAND + LINE * len(choices_of(own))
    return Drawing(width, y + EDGE, tuple(content), f"{title}: how often each choice of each gene occurs")


def genes(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows by gene, of the genes that have a choice anywhere, in the order in which they come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["gene"], []).append(row)
    return {gene: own for gene, own in found.items() if any(len(row["choices"]) > 1 for row in own)}


def choices_of(rows: Sequence[Row]) -> list[Any]:
    """All choices of a gene, in order: numbers ascending, others as they first come."""
    together = list(dict.fromkeys(choice for row in rows for choice in row["choices"]))
    numbers = all(isinstance(choice, (int, float)) and not isinstance(choice, bool) for choice in together)
    return sorted(together) if numbers else together


def longest(rows: Sequence[Row]) -> float:
    """The largest share of a gene, of those that leave a choice: what the longest bar stands for."""
    own = [share for row in rows if len(row["choices"]) > 1 for share in (*row["shares"], *(row["free"] or ()))]
    return max(own, default=0.0) or 1.0


def _legend(y: float, width: float, rules: bool) -> Iterator[Box | Text]:
    """What bars and strokes mean, in as many lines as are needed."""
    items: list[tuple[Box | None, str]] = [
        (Box(0, 0, 22, 10, INK, 0), "share of the architectures" + " that keep the rules" * rules)
    ]
    items += [(Box(0, 0, 2, LINE - 1, BLACK, 0), "share without the rules")] * rules
    items.append((None, "a gene's longest bar is its largest share"))
    x = float(EDGE)
    for mark, text in items:
        long = text_width(text, 11) + (mark.width + 7 if mark else 0)
        if x > EDGE and x + long > width:
            x, y = float(EDGE), y + 18
        if mark:
            yield replace(mark, x=x, y=y - mark.height / 2)
        yield Text(x + (mark.width + 7 if mark else 0), y, text, 11, opacity=SOFT)
        x += long + 14


def _band(gene: str, rows: Sequence[Row], y: float, columns: Sequence[int | None], width: float) -> Iterator[Shape]:
    """One gene: its name, its choices in the margin, and the bars of each stage."""
    every, top, scale = choices_of(rows), y + BAND - 4, longest(rows)
    colour = colours(every if gene == "op" else ())
    yield Box(EDGE, y + 4, width - 2 * EDGE, 0.8, GREY, 0, 0.5)
    yield Text(EDGE, y + 15, GENES.get(gene, gene), 12, bold=True)
    for k, choice in enumerate(every):
        yield Text(MARGIN - 8, top + LINE * (k + 0.5), choice_name(gene, choice), 11, anchor="end")
    for row in rows:
        left = MARGIN + COLUMN * columns.index(row["stage"]) + 6
        own = [every.index(choice) for choice in row["choices"]]
        yield Box(left, top + LINE * min(own), BAR, LINE * (max(own) - min(own) + 1), GREY, 0, PALE)
        if row["effect"] < 1:
            yield Text(left, y + 15, f"has effect in {percent(row['effect'])}", 10, opacity=SOFT)
        for at, k in enumerate(own):
            yield from _bar(row, at, left, top + LINE * k, scale, colour.get(every[k], INK))


def _bar(row: Row, at: int, left: float, y: float, scale: float, colour: str) -> Iterator[Shape]:
    """One choice of one stage."""
    if len(row["choices"]) == 1:
        yield Text(left + 4, y + LINE / 2, "the only one", 10, opacity=SOFT)
        return
    share, end = row["shares"][at], left + BAR * row["shares"][at] / scale
    yield Box(left, y + 2, end - left, LINE - 4, colour, 0)
    if row["free"]:
        free = left + BAR * row["free"][at] / scale
        yield Box(free - 1, y + 0.5, 2, LINE - 1, BLACK, 0)
        end = max(end, free + 1)
    yield Text(end + 4, y + LINE / 2, percent(share), 10)


def percent(share: float) -> str:
    """A share in whole per cent; what is there but below half of one is "<1%", what is not all never "100%"."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"
