"""The drawings of a network: everything is on the sheet, nothing overlaps, heights, widths and shares are right."""

import itertools
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.image import imread
from matplotlib.textpath import TextPath

from metanet import ArchSpec, MetanetError, StageSpec
from metanet.cost import describe
from metanet.report import draw, draw_tall
from metanet.report.drawing import COLUMN, MARGIN
from metanet.report.shapes import Box, Part, Polygon, Text
from metanet.report.style import COLOURS

OPS = ["mbconv", "fused_mbconv", "self_attention", "channel_attention", "window_attention", "token_mlp"]
DOWNS = ["local", "local_global", "global"]
DETAILS = [{"kernel": 3, "se": True}, {"kernel": 7, "se": False}, *({"head_dim": 48} for _ in range(2))]
DETAILS += [{"window": 7, "head_dim": 128}, {"grid": 14, "head_dim": 32}]
SVG = "{http://www.w3.org/2000/svg}"


def row(name: str, op: str, macs: int = 100, **other: Any) -> dict[str, Any]:
    plain = {"depth": 1, "width": 8, "map": (4, 4), "input": (4, 4), "stride": 1, "params": 100, "activations": 100}
    return {**plain, "name": name, "op": op, "macs": macs, **other}


def network(stages: int) -> list[dict[str, Any]]:
    """Rows with every op and every module, as many stages as wanted, and the largest numbers that fit."""
    body, side = [], 2048
    for i in range(stages):
        stride = 1 + i % 2
        maps = {"input": (side, side), "map": (side // stride, side // stride), "stride": stride}
        side //= stride
        more = {"down": DOWNS[i // 2 % 3]} if i % 4 > 1 else {}
        own = {"depth": 6 * i + 1, "width": 24 * 4**i, "expansion": 1.5 + i, **DETAILS[i % 6], **more}
        body.append(row(f"stage {i}", OPS[i % 6], 10 ** (i + 3), **own, **maps))
    stem = row("stem", "stem", width=16, stride=2, map=(2048, 2048), input=(4096, 4096))
    return [stem, *body, row("head", "head", 0, width=1280, map=(1, 1), input=(side, side))]


def strings(drawing: Any) -> list[str | None]:
    return [element.text for element in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("stages", [1, 3, 6, 9])
@pytest.mark.parametrize("layout", [draw, draw_tall])
def test_every_stage_stands_on_the_sheet(stages, layout):
    drawing = layout(network(stages))
    found = strings(drawing)
    for i in range(stages):
        assert f"×{6 * i + 1}" in found
        assert f"{24 * 4**i:,}" in found or f"{24 * 4**i:,} channels" in found
    assert found.count("LG") == sum(i // 2 % 3 == 1 for i in range(stages) if i % 4 > 1)
    for shape in drawing.shapes:
        if isinstance(shape, Box):
            assert shape.x >= 0 and shape.x + shape.width <= drawing.width
            assert shape.y >= 0 and shape.y + shape.height <= drawing.height


def extent(text: Text) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a text in matplotlib's typeface, wider than those of browsers."""
    font = FontProperties(weight="bold" if text.bold else "normal")
    wide = TextPath((0, 0), text.text, size=text.size, prop=font).get_extents().width
    left = text.x - {"start": 0.0, "middle": wide / 2, "end": wide}[text.anchor]
    return left, text.y - 0.55 * text.size, left + wide, text.y + 0.55 * text.size


@pytest.mark.parametrize("stages", [1, 6, 9])
@pytest.mark.parametrize("layout", [draw, draw_tall])
def test_texts_keep_clear_of_each_other_and_of_the_edge(stages, layout):
    drawing = layout(network(stages), title="MN-B15", lead="a lead") if layout is draw else layout(network(stages))
    spans = [(shape.text, *extent(shape)) for shape in drawing.shapes if isinstance(shape, Text)]
    for i, (text, left, top, right, bottom) in enumerate(spans):
        assert left >= 0 and right <= drawing.width and top >= 0 and bottom <= drawing.height, text
        for other, left_2, top_2, right_2, bottom_2 in spans[:i]:
            apart = right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top
            assert apart, f"{text!r} and {other!r}"


def parts(rows: list[dict[str, Any]]) -> list[Part]:
    return [item for item in draw(rows).content if isinstance(item, Part)]


def block(part: Part, op: str) -> Box:
    """The box of a stage."""
    (box,) = [s for s in part.shapes if isinstance(s, Box) and s.colour == COLOURS[op] and s.radius == 4]
    return box


def test_a_box_is_higher_for_larger_maps_wider_for_more_channels_and_has_a_slice_for_each_block():
    rows = network(6)
    boxes = [block(part, r["op"]) for part, r in zip(parts(rows), rows, strict=True)][1:-1]
    for i, (left, right) in enumerate(itertools.pairwise(boxes), start=1):
        assert (left.height > right.height) == (rows[i]["map"] > rows[i + 1]["map"]) and left.width < right.width
        assert left.x + left.width < right.x
    for part, r in list(zip(parts(rows), rows, strict=True))[1:-1]:
        lines = [s for s in part.shapes if isinstance(s, Box) and s.colour == "#ffffff"]
        assert len(lines) == 2 * (r["depth"] - 1)
        (times,) = [s for s in part.shapes if isinstance(s, Text) and s.text == f"×{r['depth']}"]
        left, _, right, _ = extent(times)
        assert right - left < block(part, r["op"]).width


def test_a_funnel_stands_where_the_map_shrinks_or_a_module_is():
    rows = network(6)
    for part, r in zip(parts(rows), rows, strict=True):
        funnels = [s for s in part.shapes if isinstance(s, Polygon)]
        assert len(funnels) == (r["stride"] > 1 or "down" in r)
        for funnel in funnels:
            (_, top), (_, low), _, (_, bottom) = funnel.points
            assert (top < low < bottom) if r["stride"] > 1 else top == low
            assert funnel.opacity == (1.0 if "down" in r else pytest.approx(0.32))


def test_bars_are_shares_on_common_lines():
    rows = [row("a", "mbconv", 300), row("b", "self_attention", 100)]
    bars = [s for s in draw(rows).shapes if isinstance(s, Box) and s.width == 34]
    heights = [(bar.height, bar.colour) for bar in bars]
    tallest = bars[0].height
    want = [1, 2 / 3, 2 / 3, 1 / 3, 2 / 3, 2 / 3]  # 75, 50, 50 and 25, 50, 50 per cent
    assert [h / tallest for h, _ in heights] == pytest.approx(want)
    assert [c for _, c in heights] == [COLOURS["mbconv"]] * 3 + [COLOURS["self_attention"]] * 3
    bases = [bar.y + bar.height for bar in bars]
    assert bases[:3] == pytest.approx(bases[3:])
    assert [s for s in strings(draw(rows)) if s and s.endswith("%")] == ["75%", "50%", "50%", "25%", "50%", "50%"]
    tall = [s for s in draw_tall(rows).shapes if isinstance(s, Box) and s.height == 8 and s.opacity == 1]
    assert tall[0].width / tall[3].width == pytest.approx(3) and tall[1].width == tall[4].width


def test_a_part_says_in_words_what_it_shows():
    drawing = draw(describe(ArchSpec((StageSpec("mbconv", 3, 64, 4, stride=2),), 32)))  # MN-B4's stem and stage 1
    labels = [g.attrib["aria-label"] for g in ElementTree.fromstring(drawing.svg).iter(f"{SVG}g")]
    said = "stage 0: MBConv, 3 blocks, 64 channels, map 56 × 56, expansion 4, 3×3, SE, stride 2, 307 M MACs ("
    assert labels[1].startswith(said) and "%), 164 k parameters (" in labels[1] and len(labels) == 3
    assert labels[0].startswith("stem, 32 channels, map 112 × 112, 3×3, stride 2, 10.8 M MACs (")


def test_a_reduced_block_alone_has_no_expansion():
    stages = (StageSpec("self_attention", 1, 16, 4, stride=2, head_dim=8), StageSpec("token_mlp", 2, 32, 4))
    stages += (StageSpec("self_attention", 1, 48, 4, stride=2, head_dim=8, down="local"),)
    rows = describe(ArchSpec(stages, 16, resolution=64))
    assert [r.get("expansion") for r in rows] == [None, None, 4, 4, None]
    assert "block, 16 channels, map 16 × 16, heads of 8, stride 2, " in draw(rows).svg


def test_names_are_text():
    rows = [row("<b> & $x$", "<op>")]
    assert {"<b> & $x$", "<op>"} <= set(strings(draw(rows)))
    assert "<b> & $x$ · <op>" in strings(draw_tall(rows))


def test_the_png_is_the_same_drawing(tmp_path):
    rows = network(6)
    drawing = draw(rows, title="$six$", lead="stages")
    pixels = imread(drawing.save(tmp_path / "net.png"))
    assert abs(pixels.shape[0] - 2 * drawing.height) <= 1 and pixels.shape[1] == 2 * drawing.width
    for part, r in zip([p for p in drawing.content if isinstance(p, Part)], rows, strict=True):
        box = block(part, r["op"])
        assert box.x >= MARGIN and box.x + box.width <= MARGIN + COLUMN * len(rows)
        spot = pixels[int(2 * (box.y + box.height / 2)), int(2 * box.x) + 4, :3]
        assert "#" + "".join(f"{round(255 * c):02x}" for c in spot) == box.colour


def test_a_pdf_is_the_same_file_each_time(tmp_path):
    drawing = draw(network(2))
    first, second = (drawing.save(tmp_path / name).read_bytes() for name in ("a.pdf", "b.pdf"))
    assert first.startswith(b"%PDF") and first == second
    with pytest.raises(MetanetError, match=r"saved as \.png or \.pdf, got 'net\.jpg'"):
        drawing.save("net.jpg")
