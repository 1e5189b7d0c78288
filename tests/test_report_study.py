"""Plots of a study: the numbers of both forms, directions, times, and bars for long names."""

import math

import pandas as pd
import pytest
from matplotlib.image import imread

from metanet.report import Amounts, durations, front, trajectory, volume

LONG = "RuntimeError: CUDA out of memory. Tried to allocate 772.00 MiB on $GPU$ <0>"
BARS = Amounts("importance", ["stage0.op", LONG], {"accuracy": [0.75, 0.25], "latency": [0.125, math.nan]}, ".0%")


def test_less_may_be_better_and_lines_stand_beside() -> None:
    plot = trajectory(
        {"search": [3.0, 5.0, math.nan, 2.0]}, {"most MACs": [4.0, 1.0]}, axis="evaluations", minimize=True
    )
    dots, best, largest = plot.chart.series
    assert (list(best.y), list(best.x)) == ([3, 3, 3, 2], [1, 2, 3, 4])
    assert (list(largest.y), largest.dash, best.dash) == ([4, 1], "dot", "")
    assert plot.chart.x_label == "evaluations" and dots.y[1] == 5
    assert [trace.line.dash for trace in plot.figure.data] == [None, None, "dot"]


POINTS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [4.0, 2.0, 3.0, 1.0]})


@pytest.mark.parametrize(
    ("signs", "edge"),
    [
        ((1, -1), [(1, 4)]),
        ((1, 1), [(1, 4), (2, 2), (4, 1)]),
        ((-1, -1), [(4, 1), (3, 3), (1, 4)]),
        ((-1, 1), [(4, 1)]),
    ],
)
def test_a_front_goes_from_the_better_end(signs: tuple[int, int], edge: list[tuple[float, float]]) -> None:
    _, line = front({"search": POINTS}, cost="a", score="b", signs=signs).chart.series
    assert list(zip(line.x, line.y, strict=True)) == edge


def test_a_volume_begins_at_one_evaluation() -> None:
    curve = pd.Series([0.0, 0.5], index=pd.RangeIndex(1, 3))
    (line,) = volume({"search": curve}, label="share").chart.series
    assert (list(line.x), list(line.y), line.kind) == ([1, 2], [0, 0.5], "steps")


def test_times_have_a_running_median_and_a_scale_that_fits() -> None:
    times = [1.0, 9.0, 2.0, math.nan, 3.0, 4.0, 5.0]
    _, middle = durations({"search": times}).chart.series
    assert middle.y[2] == 2.5 and middle.y[5] == 4  # the medians of 1, 9, 2, 3 and of 3, 4, 5
    assert not durations({"search": times}).chart.log_y
    assert durations({"search": [0.1, 4.0], "random search": [5.1]}).chart.log_y
    assert not durations({"search": [math.nan]}).chart.log_y


def test_bars_show_every_number_and_shorten_names_only_where_they_stand(tmp_path) -> None:
    bars = BARS.figure.data
    assert [list(bar.text) for bar in bars] == [["75%", "25%"], ["12%", ""]]
    assert list(bars[0].x) == [0.75, 0.25] and bars[0].orientation == "h"
    first, second = BARS.figure.layout.yaxis.ticktext
    assert first == "stage0.op" and second.startswith("RuntimeError: CUDA") and len(second) <= 56 + 1
    assert BARS.figure.layout.yaxis.autorange == "reversed" and BARS.figure.layout.showlegend
    pixels = imread(BARS.save_png(tmp_path / "bars.png"))
    for colour in ("#2f7fc1", "#c8761a"):
        wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(pixels[..., :3] - wanted).max(-1) < 0.01).sum() > 500


def test_counts_are_marked_at_whole_numbers(tmp_path) -> None:
    few = Amounts("failed trials", [LONG], {"failures": [2.0]}, ".0f")
    assert few.figure.layout.xaxis.dtick == 1 and not few.figure.layout.showlegend
    many = Amounts("failed trials", [LONG], {"failures": [200.0]}, ".0f")
    assert many.figure.layout.xaxis.dtick is None
    assert few.save_png(tmp_path / "few.png").stat().st_size > 5_000
