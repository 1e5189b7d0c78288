"""The drawing of a network: everything is on the sheet, nothing overlaps, shares are right."""

from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.image import imread

from metanet.report.drawing import ACROSS, BAR, Box, Text, draw
from metanet.report.style import COLOURS

OPS = ["mbconv", "fused_mbconv", "self_attention", "channel_attention"]


def row(name: str, op: str, macs: int = 100, **other: Any) -> dict[str, Any]:
    plain = {"depth": 1, "width": 8, "map": 4, "stride": 1, "params": 100}
    return {"name": name, "op": op, "macs": macs, **plain, **other}


def network(stages: int) -> list[dict[str, Any]]:
    body = [
        row(f"stage {i + 1}", OPS[i % 4], 10 ** (i + 3), depth=i + 1, width=24 * 2**i, map=(14, 9), stride=1 + i % 2)
        for i in range(stages)
    ]
    return [row("stem", "stem", width=16, map=14, stride=2), *body, row("head", "head", 0, width=1280, map=2)]


@pytest.mark.parametrize("stages", [1, 4, 5, 6, 7])
def test_every_stage_stands_on_the_sheet(stages):
    drawing = draw(network(stages))
    root = ElementTree.fromstring(drawing.svg)
    assert root.attrib["viewBox"] == f"0 0 {ACROSS} {drawing.height:g}"
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for i in range(stages):
        assert f"stage {i + 1} · {OPS[i % 4].replace('_', ' ')}" in texts
        assert f"{i + 1} block{'s' if i else ''} · {24 * 2**i} channels" in texts
    assert texts.count("14 × 9") == (stages + 1) // 2 and texts.count("14 × 9  ↓2") == stages // 2
    assert {"stem", "16 channels", "head", "1280 channels", "2 × 2", "14 × 14  ↓2"} <= set(texts)
    for shape in drawing.shapes:
        if isinstance(shape, Box):
            assert shape.x >= 0 and shape.x + shape.width <= ACROSS and shape.y + shape.height <= drawing.height


@pytest.mark.parametrize("stages", [4, 7])
def test_texts_keep_clear_of_each_other(stages):
    texts = [shape for shape in draw(network(stages)).shapes if isinstance(shape, Text)]
    spans = []
    for text in texts:
        wide = 0.62 * text.size * len(text.text)  # a wide typeface
        left = text.x - (wide / 2 if text.anchor == "middle" else 0)
        spans.append((left, text.y - text.size / 2, left + wide, text.y + text.size / 2))
        assert left >= 0 and left + wide <= ACROSS
    for i, a in enumerate(spans):
        for b in spans[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_bars_are_shares():
    rows = [row("a", "mbconv", 300), row("b", "self_attention", 100)]
    bars = [s for s in draw(rows).shapes if isinstance(s, Box) and s.height == 12 and s.opacity == 1]
    assert [(bar.width, bar.colour) for bar in bars] == [
        (0.75 * BAR, COLOURS["mbconv"]),
        (0.5 * BAR, COLOURS["mbconv"]),
        (0.25 * BAR, COLOURS["self_attention"]),
        (0.5 * BAR, COLOURS["self_attention"]),
    ]


def test_names_are_text():
    rows = [row("<b> & $x$", "<op>")]
    texts = [element.text for element in ElementTree.fromstring(draw(rows).svg)]
    assert "<b> & $x$ · <op>" in texts


def test_the_png_is_the_same_drawing(tmp_path):
    drawing = draw(network(5))
    pixels = imread(drawing.save_png(tmp_path / "net.png"))
    assert pixels.shape[:2] == (2 * drawing.height, 2 * ACROSS)
    for box in (s for s in drawing.shapes if isinstance(s, Box) and s.opacity == 1 and s.width > 20):
        red, green, blue = (round(255 * c) for c in pixels[int(2 * box.y) + 4, int(2 * (box.x + box.width / 2)), :3])
        assert f"#{red:02x}{green:02x}{blue:02x}" == box.colour
