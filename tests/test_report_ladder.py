"""The plot of a family: its numbers, in both forms, and names that hide nothing."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from metanet.report import chart, labels, ladder, style

NETWORKS = {"S": (30e6, 3e9), "M": (2e8, 1e10), "$L$ <b>": (1e9, 1.4e11)}
OTHERS = {"ResNet": {"18": (11.7e6, 1.81e9), "50": (25.6e6, 4.09e9)}, "ViT": {"Ti": (5.7e6, 1.25e9)}}
PLOT = ladder(NETWORKS, anchors=["S"], targets=[(31e6, 3.1e9), (190e6, 1.1e10)], references=OTHERS, title="mine")


def test_every_network_is_where_its_costs_say():
    resnet, vit, asked, made, given = PLOT.chart.series
    assert [one.name for one in PLOT.chart.series] == [
        "ResNet",
        "ViT",
        "asked for",
        "mine, generated",
        "mine, released",
    ]
    assert (made.x, made.y, list(made.labels)) == ([3e9, 1e10, 1.4e11], [30e6, 2e8, 1e9], list(NETWORKS))
    assert (given.x, given.y, given.kind) == ([3e9], [30e6], "star")
    assert (asked.x, asked.y, asked.kind) == ([3.1e9, 1.1e10], [31e6, 190e6], "crosses")
    assert (resnet.x, resnet.y) == ([1.81e9, 4.09e9], [11.7e6, 25.6e6]) and vit.labels == ["Ti"]
    assert resnet.faint and vit.faint and not made.faint
    assert len({made.colour, resnet.colour, vit.colour, asked.colour}) == 4 and given.colour == made.colour
    assert len({made.marker, resnet.marker, vit.marker}) == 3
    assert PLOT.chart.log_x and PLOT.chart.log_y


def test_the_words_are_the_callers():
    plot = ladder(NETWORKS, anchors=["S", "M"], title="digits", words=("made", "given"), label="MACs at 28 px")
    assert [one.name for one in plot.chart.series] == ["digits, made", "digits, given"]
    assert plot.chart.x_label == "MACs at 28 px" and plot.chart.y_label == "parameters"
    assert [one.name for one in ladder({}, references=OTHERS).chart.series] == ["ResNet", "ViT"]


def test_both_forms_show_the_same_numbers():
    figure, axes = PLOT.figure, Figure().add_subplot()
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    for series, trace in zip(PLOT.chart.series, figure.data, strict=True):
        chart._draw(axes, series)
        for shown in (axes.get_lines()[-1].get_xydata().T, (trace.x, trace.y)):
            np.testing.assert_array_equal(np.asarray(shown, float), [series.x, series.y])
    made = figure.data[3]
    assert made.mode == "lines+markers+text" and list(made.text) == ["S", "M", "$L$ &lt;b&gt;"]
    assert made.hovertext[1] == "M: 200 M parameters, 10 G MACs" and made.hovertemplate == "%{hovertext}"
    assert figure.data[0].hovertext[0] == "ResNet 18: 11.7 M parameters, 1.81 G MACs"
    assert figure.data[2].text[0] == "asked for: 31 M parameters, 3.1 G MACs"


def test_the_png_is_a_picture_with_every_colour(tmp_path):
    pixels = imread(PLOT.save_png(tmp_path / "ladder.png"))
    assert pixels.shape[:2] == (840, 1600)
    for colour in {series.colour for series in PLOT.chart.series}:
        wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(pixels[..., :3] - wanted).max(-1) < 0.02).sum() > 20  # names and marks, those of faint lines too


def written(lines):
    """The names that are written beside points, with the boxes of names and of points, in pixels."""
    figure = Figure(figsize=(8, 4.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    for line in lines:
        axes.plot(line.x, line.y)
    labels.place(axes, lines)
    notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
    unit = figure.dpi / 72
    points = [axes.transData.transform(pair) for line in lines for pair in zip(line.x, line.y, strict=True)]
    marks = [Bbox.from_extents(x - unit, y - unit, x + unit, y + unit) for x, y in points]
    return {note.get_text(): note.get_window_extent() for note in notes}, marks, figure.bbox


def hide(a, b):
    common = Bbox.intersection(a, b)
    return common is not None and common.width * common.height > 0.5  # square pixels


def test_names_hide_neither_each_other_nor_points():
    x, y = [1e9 * 1.4**i for i in range(12)], [1e7 * 1.5**i for i in range(12)]
    family = labels.Line(x, y, [f"MN-B{i}" for i in range(4, 16)], style.BLUE, False)
    other = labels.Line([1.02 * a for a in x], [0.9 * b for b in y], [f"{i}" for i in range(12)], style.RED, True)
    names, marks, page = written([other, family])
    assert len(names) == 24
    assert not any(hide(a, b) for a, b in combinations(names.values(), 2))
    assert not any(hide(name, mark) for name in names.values() for mark in marks)
    assert all(page.x0 <= name.x0 and name.x1 <= page.x1 for name in names.values())


def test_four_networks_of_equal_cost_can_all_be_read():
    lines = [labels.Line([1e9], [1e7], [name], style.BLUE, bool(i)) for i, name in enumerate("ABCD")]
    names, _, _ = written(lines)
    assert not any(hide(a, b) for a, b in combinations(names.values(), 2))


@pytest.mark.parametrize("faint", [False, True])
def test_a_lone_name_stands_above_and_left_or_if_faint_below_and_right(faint):
    names, (mark,), _ = written([labels.Line([1e9], [1e7], ["name"], style.BLUE, faint)])
    box = names["name"]
    if faint:
        assert box.y1 < mark.y0 and box.x0 > mark.x1
    else:
        assert box.y0 > mark.y1 and box.x1 < mark.x0
