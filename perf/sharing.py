"""Draws how a supernet's weights are shared: docs/img/sharing.png. The cells that are cut are those that the cuts of
`metanet.blocks.cuts` take. Command: `python perf/sharing.py`."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Size

from metanet.blocks.cuts import Cut, centred, leading, thirds
from metanet.report.shapes import Box, Drawing, Shape, Text
from metanet.report.style import COLOURS, GREY, INK
from metanet.spec import OPS

PATH = Path(__file__).parents[1] / "docs" / "img" / "sharing.png"
NAMES = ("MBConv", "fused\nMBConv", "self-\nattention", "channel\nattention", "window\nattention", "token\nMLP")
CHOSEN, DEPTH, DEEPEST = "self_attention", 2, 4
LEFT, COLUMN, ROW, PALE = 112, 78, 42, 0.22
CUTS: tuple[tuple[str, str, Cut, tuple[int, ...], tuple[int, ...]], ...] = (
    ("matrix", "the first rows and columns", leading, (12, 9), (8, 6)),
    ("q, k, v in one", "the first of each third", thirds, (18, 7), (12, 4)),
    ("kernel, 7 to 3", "its centre", leading, (1, 1, 7, 7), (1, 1, 3, 3)),
    ("distance table", "its middle, first heads", centred, (1, 11, 11), (1, 5, 5)),
)


def stage() -> Iterator[Shape]:
    """The weights of a stage: branches across, positions down; what one architecture takes is solid."""
    yield Text(20, 24, "A stage's shared weights: a branch for each choice, a set for each position", 14, bold=True)
    yield Text(20, 68, "module", 11)
    for i, name in enumerate(("local", "local-global", "global")):
        at = LEFT + i * 2 * COLUMN
        yield Box(at, 52, 2 * COLUMN - 8, ROW - 10, INK, opacity=1 if i == 0 else PALE)
        yield Text(at + COLUMN - 4, 68, name, 11, "white" if i == 0 else "", "middle")
    for i, (op, name) in enumerate(zip(OPS, NAMES, strict=True)):
        for k, line in enumerate(name.split("\n")):
            yield Text(LEFT + i * COLUMN + 35, 104 + 14 * k, line, 11, anchor="middle", bold=op == CHOSEN)
        for j in range(DEEPEST):
            own = op == CHOSEN and j < DEPTH
            yield Box(LEFT + i * COLUMN, 134 + j * ROW, COLUMN - 8, ROW - 10, COLOURS[op], opacity=1 if own else PALE)
    for j in range(DEEPEST):
        yield Text(20, 150 + j * ROW, f"block {j}" + (" (of 2)" if j < DEPTH else ""), 11)
    right = LEFT + 6 * COLUMN + 6
    for y, opacity in ((52, 1.0), (134, PALE)):
        yield Box(right, y, 92, ROW - 10, GREY, opacity=opacity)
        yield Text(right + 46, y + 16, "shortcut", 11, "white" if opacity == 1 else "", "middle")
    yield Text(right, 96, "one for all", 11)
    yield Text(right, 178, "one for all", 11)


def slices(left: float) -> Iterator[Shape]:
    """What is cut out of a set where the architecture is smaller than its space."""
    yield Text(left, 24, "A slice of each weight", 14, bold=True)
    for i, (what, which, cut, shared, shape) in enumerate(CUTS):
        x, y = left + 190 * (i % 2), 52 + 158 * (i // 2)
        yield Text(x, y, what, 11, bold=True)
        yield Text(x, y + 15, which, 11)
        whole = torch.arange(Size(shared).numel()).view(shared)
        taken = set(cut(Size(shared), Size(shape))(whole).flatten().tolist())
        rows, columns = shared[-2:]
        side = min(10.0, 100 / rows)
        for number in whole.flatten().tolist():
            place = x + side * (number % columns), y + 30 + side * (number // columns)
            colour = COLOURS[CHOSEN] if number in taken else GREY
            yield Box(*place, side - 1, side - 1, colour, 1, 1 if number in taken else PALE)


def drawing() -> Drawing:
    """The whole sheet."""
    words = (
        "supernet(x, spec, stats) runs the network of spec on these slices; supernet.extract(spec, stats) copies them:",
        "the same numbers to the last bit. Solid: what one architecture with two self-attention blocks takes.",
    )
    foot = [Text(20, 342 + 18 * i, line, 12) for i, line in enumerate(words)]
    return Drawing(1120, 376, (*stage(), *slices(740), *foot), "How the weights of a supernet are shared")


if __name__ == "__main__":
    drawing().save(PATH)
