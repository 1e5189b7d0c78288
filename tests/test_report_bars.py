"""Bars and radar charts: both forms show the numbers that they were given."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from metanet.report import Bars, Radar, bars, groups_of

TASKS = ["x", "y $1$", "z"]
ROWS = pd.DataFrame(
    [
        {"backbone": name, "task": task, "value": 10.0 * i + j, "low": 10.0 * i + j - 2, "high": 10.0 * i + j + 3}
        for i, name in enumerate(["a <b>", "raw pixels", "c"], start=1)
        for j, task in enumerate(TASKS)
        if (name, task) != ("c", "z")
    ]
)
GROUPS = groups_of(ROWS, TASKS)


def test_groups_keep_the_order_of_tasks_and_leave_gaps():
    assert [group.name for group in GROUPS] == ["a <b>", "raw pixels", "c"]
    assert GROUPS[0].values == [10, 11, 12] and GROUPS[2].values[:2] == [30, 31] and math.isnan(GROUPS[2].values[2])
    assert len({group.colour for group in GROUPS}) == 3


def kept(monkeypatch):
    """The figures that are written."""
    figures = []
    monkeypatch.setattr(bars, "write_png", lambda figure, path: figures.append(figure) or path)
    return figures


def test_both_forms_of_bars_show_the_same_numbers(monkeypatch, tmp_path):
    plot, figures = Bars("score", TASKS, GROUPS), kept(monkeypatch)
    plot.save_png(tmp_path / "bars.png")
    assert isinstance(figures[0], Figure)
    (axes,) = figures[0].axes
    for group, container, trace in zip(GROUPS, axes.containers[::2], plot.figure.data, strict=True):
        np.testing.assert_array_equal([bar.get_height() for bar in container], group.values)
        np.testing.assert_array_equal(trace.y, group.values)
        assert (trace.error_y.array[0], trace.error_y.arrayminus[0]) == (3, 2)
    lines = axes.containers[1].lines[2][0].get_segments()
    assert [lines[0][0][1], lines[0][1][1]] == [8, 13]  # of 10, from its low to its high end
    assert plot.figure.data[0].name == "a &lt;b&gt;"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["x", r"y \$1\$", "z"]


def test_both_forms_of_a_radar_close_and_show_the_same_numbers(monkeypatch, tmp_path):
    plot, figures = Radar(TASKS, GROUPS[:2]), kept(monkeypatch)
    plot.save_png(tmp_path / "radar.png")
    (axes,) = figures[0].axes
    for group, line, trace in zip(GROUPS, axes.get_lines(), plot.figure.data, strict=False):
        angles, heights = line.get_xydata().T
        np.testing.assert_allclose(angles, np.deg2rad([0, 120, 240, 0]))
        assert heights.tolist() == list(trace.r) == [*group.values, group.values[0]]
    assert axes.get_ylim()[0] == 0 and axes.name == "polar"


@pytest.mark.parametrize("plot", [Bars("score", TASKS, GROUPS), Radar(TASKS, GROUPS)])
def test_the_still_form_is_a_png(plot, tmp_path):
    assert plot.save_png(tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
