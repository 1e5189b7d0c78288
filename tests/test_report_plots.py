"""Plots: the numbers against brute force, and both forms show the same ones."""

import colorsys
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

from metanet.report import chart, efficiency, front, history, plots, style, trajectory
from metanet.report.plots import scaling

NAMES = ["search", "random", "$x$ <b>"]
SCORES = {name: [0.5, math.nan, 0.7, 0.6 + i / 10] for i, name in enumerate(NAMES)}
TRIALS = {n: pd.DataFrame({"macs": [4e6, 1e6, 3e6, 2e6], "accuracy": s, "id": list("abcd")}) for n, s in SCORES.items()}
HISTORY = pd.DataFrame({"step": range(200), "loss": np.linspace(2, 1, 200)})
ROWS = pd.DataFrame({"backbone": ["winner", "winner", "raw"], "percent": [100, 1, 1], "value": [0.9, 0.6, 0.4]}).assign(
    ci_low=lambda t: t.value - 0.1, ci_high=lambda t: t.value + 0.05
)
LADDER = pd.DataFrame({"chooser": ["search", "search", "rule"], "params": [2e5, 5e4, 2.1e5], "value": [0.9, 0.8, 0.85]})
LADDER = LADDER.assign(target_params=[2e5, 5e4, 2e5], ci_low=lambda t: t.value - 0.1, ci_high=lambda t: t.value + 0.05)
PLOTS = {
    "trajectory": trajectory(SCORES),
    "front": front(TRIALS, {"winner": (3e6, 0.7), "rank by MACs": (4e6, 0.5)}),
    "history": history({"expert": HISTORY}),
    "efficiency": efficiency(ROWS),
    "scaling": scaling(LADDER),
}


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=30))
def test_the_best_so_far_is_the_greatest_until_then(scores):
    _, best = trajectory({"search": scores}).chart.series
    for i, value in enumerate(best.y):
        seen = [score for score in scores[: i + 1] if not math.isnan(score)]
        assert value == max(seen) if seen else math.isnan(value)
    assert list(best.x) == list(range(1, len(scores) + 1))


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.1, 0.2, 0.3, math.nan])), max_size=12))
def test_the_front_is_what_no_other_point_beats(points):
    costs, scores = [p[0] for p in points], [p[1] for p in points]
    beaten = {
        i
        for i, (cost, score) in enumerate(points)
        for c, s in points
        if (c <= cost and s > score) or (c < cost and s >= score)
    }
    expected = {p for i, p in enumerate(points) if i not in beaten and not math.isnan(p[1])}
    found = plots.non_dominated(costs, scores)
    assert {points[i] for i in found} == expected
    assert len(found) == len(expected)
    assert [costs[i] for i in found] == sorted(costs[i] for i in found)


def test_the_smooth_loss_is_a_running_mean():
    raw, smooth = history({"expert": HISTORY}).chart.series
    assert list(raw.y) == list(HISTORY["loss"])
    assert smooth.y[10] == pytest.approx(sum(HISTORY["loss"][7:11]) / 4)  # 200 steps // 50


def test_efficiency_orders_by_percentage():
    winner, raw = efficiency(ROWS).chart.series
    assert (winner.x, winner.y) == ([1, 100], [0.6, 0.9])
    assert winner.low == pytest.approx([0.5, 0.8]) and winner.high == pytest.approx([0.65, 0.95])
    assert winner.marker != raw.marker and winner.colour != raw.colour


@pytest.mark.parametrize("name", PLOTS)
def test_both_forms_show_the_same_numbers(name):
    axes = Figure().add_subplot()
    for series, trace in zip(PLOTS[name].chart.series, PLOTS[name].figure.data, strict=True):
        chart._draw(axes, series)
        line = axes.get_lines()[-3 if series.low else -1]  # the caps of the bars are two more
        for still, interactive, value in zip(
            line.get_xydata().T, (trace.x, trace.y), (series.x, series.y), strict=True
        ):
            np.testing.assert_array_equal(still, np.asarray(value, float))
            np.testing.assert_array_equal(np.asarray(interactive, float), np.asarray(value, float))
        if series.low:
            ends = np.array([segment[:, 1] for segment in axes.collections[-1].get_segments()]).T
            np.testing.assert_allclose(ends, [series.low, series.high])
            np.testing.assert_allclose(np.asarray(trace.y) + trace.error_y.array, series.high)
            np.testing.assert_allclose(np.asarray(trace.y) - trace.error_y.arrayminus, series.low)


@pytest.mark.parametrize("name", PLOTS)
def test_pngs_are_pictures(name, tmp_path):
    pixels = imread(PLOTS[name].save_png(tmp_path / "plot.png"))
    assert pixels.shape[:2] == (840, 1600)
    for series in PLOTS[name].chart.series:
        if not series.faint and series.kind != "dots":
            wanted = [int(series.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            assert (abs(pixels[..., :3] - wanted).max(-1) < 0.01).sum() > 50, series.name


def test_text_is_text_in_both_forms(tmp_path):
    traces = PLOTS["front"].figure.data
    assert "$x$ &lt;b&gt;" in [trace.name for trace in traces]
    assert traces[4].text[0].startswith("$x$ &lt;b&gt; a: 4 M MACs, accuracy 0.5000")
    odd = trajectory({"$broken^{": [1.0], "__": [2.0]})
    assert odd.save_png(tmp_path / "odd.png").stat().st_size > 5_000


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", sorted({*style.COLOURS.values(), *style._OTHERS}))
@pytest.mark.parametrize("ground", ["#ffffff", style.DARK])
def test_colours_stand_out_by_day_and_by_night(colour, ground):
    low, high = sorted([luminance(colour), luminance(ground)])
    assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.2, 1.4.11


def test_one_thing_has_one_colour():
    for names in (["search", "random"], ["a", "random", "search", "b"], ["winner", "search"]):
        found = style.colours(names)
        assert found["search"] == style.COLOURS["search"]
        assert len(set(found.values())) == len(names)
    hues = [colorsys.rgb_to_hls(*(int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0] for c in set(style._OTHERS)]
    assert min(abs(a - b) for a in hues for b in hues if a != b) > 0.02


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1 k"), (999_600, "1 M"), (3_166_411_520, "3.17 G"), (30_424_992, "30.4 M")],
)
def test_quantities(number, text):
    assert style.quantity(number) == text
