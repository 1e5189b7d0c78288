"""Tables, curves, comparisons and reports of hand-made answers, against numbers from elsewhere."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t
from sklearn.metrics import cohen_kappa_score, recall_score

from metanet.bench.cells import (
    Cell,
    CellFolder,
    Results,
    area,
    averages_table,
    cells_table,
    compare,
    compare_named,
    data_needed,
    efficiency_table,
    load_results,
    points_of,
    summary_table,
    tables_of,
    write_report,
)
from metanet.bench.cells.curves import told
from metanet.bench.cells.folder import row_of
from metanet.bench.cells.transfer import agreement_table
from metanet.bench.cells.wide import aggregates_of, latex, wide_table
from metanet.bench.task import Answers
from metanet.bench.tasks import published
from metanet.errors import MetanetError
from metanet.stats import mcnemar

RNG = np.random.default_rng(7)
TRUTH = RNG.integers(0, 3, 200)


def answers(share, seed, truth=TRUTH):
    """Right for about that share of the images."""
    rng = np.random.default_rng([seed, round(1000 * share)])
    return np.where(rng.random(len(truth)) < share, truth, (truth + 1 + rng.integers(0, 2, len(truth))) % 3)


def cell(backbone, task, percent, seed, predicted, *, truth=TRUTH, metric="accuracy", probe="linear", **about):
    given = {
        "weights": backbone,
        "images": task,
        "test": f"test of {task}",
        "probe": probe,
        "percent": percent,
        "seed": seed,
        "train": f"{task} {percent} {seed if percent < 100 else 0}",
    }
    record = {"test images opened": f"2026-01-0{seed + 1}T00:00:00.000+00:00", "versions": {"torch": "2.6"}}
    found = Answers(predicted, truth, {"lambda": 0.5}, {"lambda": [0.5, 1.0], "accuracy": [0.6, 0.4]})
    return Cell(
        backbone,
        task,
        probe,
        float(percent),
        seed,
        metric,
        task,
        given | about,
        ("a", "b", "c"),
        percent,
        found,
        record,
    )


def results(*cells, baselines=("raw pixels",)):
    rows = tuple(row_of(one, baseline=one.backbone in baselines) for one in cells)
    return Results(None, rows, tuple(cells), ())


def grid(backbone, shares, *, tasks=("x", "y"), seeds=(0, 1, 2), percents=(1, 10, 100), **options):
    return [
        cell(backbone, task, percent, seed, answers(share, seed if percent < 100 else 0), **options)
        for task in tasks
        for percent, share in zip(percents, shares, strict=True)
        for seed in seeds
    ]


def test_the_two_intervals_are_those_of_the_books():
    (point,) = points_of(results(*grid("net", [0.6], tasks=("x",), percents=(10,))))
    hits = np.array([answers(0.6, seed) == TRUTH for seed in (0, 1, 2)])
    by_seed = hits.mean(axis=1)
    (row,) = summary_table([point]).to_dict("records")
    half = t.ppf(0.975, 2) * by_seed.std(ddof=1) / np.sqrt(3)
    assert row["value"] == pytest.approx(by_seed.mean()) and row["draws"] == 3
    assert (row["seeds_low"], row["seeds_high"]) == pytest.approx((by_seed.mean() - half, by_seed.mean() + half))
    drawn = np.random.default_rng(0).integers(200, size=(20_000, 200))  # images, each with all of its draws
    resampled = hits.mean(axis=0)[drawn].mean(axis=1)
    assert row["images_se"] == pytest.approx(resampled.std(), rel=0.02)
    assert (row["images_low"], row["images_high"]) == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.005)
    assert row["accuracy"] == pytest.approx(by_seed.mean())
    recalls = [recall_score(TRUTH, answers(0.6, seed), average="macro") for seed in (0, 1, 2)]
    kappas = [cohen_kappa_score(TRUTH, answers(0.6, seed), weights="quadratic") for seed in (0, 1, 2)]
    assert row["mean_per_class"] == pytest.approx(np.mean(recalls))
    assert row["quadratic_kappa"] == pytest.approx(np.mean(kappas))


def test_kappa_over_draws_is_resampled_image_by_image():
    cells = grid("net", [0.6], tasks=("x",), percents=(10,), metric="quadratic_kappa")
    (row,) = summary_table(points_of(results(*cells))).to_dict("records")
    predicted = [answers(0.6, seed) for seed in (0, 1, 2)]
    drawn = np.random.default_rng(0).integers(200, size=(150, 200))
    found = [np.mean([cohen_kappa_score(TRUTH[i], one[i], weights="quadratic") for one in predicted]) for i in drawn]
    assert row["value"] == pytest.approx(
        np.mean([cohen_kappa_score(TRUTH, one, weights="quadratic") for one in predicted])
    )
    assert row["images_se"] == pytest.approx(np.std(found), rel=0.25)  # a deviation of 150 is known to 6 %


def test_all_of_the_images_are_one_draw_for_all_seeds():
    (point,) = points_of(results(*grid("net", [0.6], tasks=("x",), percents=(100,))))
    (row,) = summary_table([point]).to_dict("records")
    assert row["draws"] == 1 and math.isnan(row["seeds_low"]) and row["images_se"] > 0


def test_an_average_counts_its_tasks_and_adds_their_variances():
    points = points_of(results(*grid("net", [0.5, 0.7, 0.8]), *grid("raw pixels", [0.4, 0.5, 0.6], tasks=("x",))))
    found = averages_table(points, {"MEAN": ("x", "y", "z"), "OTHER": ("z",)})
    summary = summary_table(points)
    net = found[found["backbone"] == "net"].set_index("percent")
    assert list(zip(found["tasks"], found["of"], strict=True)) == [(2, 3)] * 3 + [(1, 3)] * 3
    for percent in (1, 10, 100):
        own = summary[(summary["backbone"] == "net") & (summary["percent"] == percent)]
        assert net.loc[percent, "value"] == pytest.approx(own["value"].mean())
        se = math.hypot(*own["images_se"]) / 2
        assert net.loc[percent, "images_se"] == pytest.approx(se)
        assert net.loc[percent, "images_high"] - net.loc[percent, "value"] == pytest.approx(1.96 * se, rel=1e-4)
    by_seed = [(answers(0.7, seed) == TRUTH).mean() for seed in (0, 1, 2)]  # the same on both tasks
    half = t.ppf(0.975, 2) * np.std(by_seed, ddof=1) / np.sqrt(3)
    assert net.loc[10, "seeds_high"] == pytest.approx(np.mean(by_seed) + half)
    assert math.isnan(net.loc[100, "seeds_high"])


@pytest.mark.parametrize(
    ("target", "needed", "words"),
    [
        (0.4, 1, "≤ 1 %"),
        (0.5, 1, "≤ 1 %"),
        (0.6, math.sqrt(10), "3.16 %"),  # half of the way on the logarithm
        (0.7, 10, "10 %"),
        (0.75, 10 ** (1 + 0.5), "31.6 %"),
        (0.81, math.inf, "not reached"),
    ],
)
def test_the_data_that_a_score_takes_by_hand(target, needed, words):
    found = data_needed([1, 10, 100], [0.5, 0.7, 0.8], target)
    assert found == pytest.approx(needed) and told(found, 1) == words


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.floats(0, 1))
def test_the_data_that_a_score_takes_lies_on_the_curve(values, target):
    percents = [2.0**i for i in range(len(values))]
    found = data_needed(percents, values, target)
    if math.isinf(found):
        assert max(values) < target
    elif found > 1:
        assert np.interp(np.log(found), np.log(percents), values) == pytest.approx(target, abs=1e-6)
        assert all(value < target for percent, value in zip(percents, values, strict=True) if percent < found * 0.999)


def test_the_mean_of_a_curve_is_over_the_logarithm():
    assert area([1, 10, 100], [0.5, 0.7, 0.8]) == pytest.approx((0.6 + 0.75) / 2)
    assert area([1, 10, 1000], [0.5, 0.7, 0.8]) == pytest.approx((0.6 + 2 * 0.75) / 3)
    assert area([10], [0.7]) == 0.7


def test_the_target_is_given_or_near_the_best():
    summary = summary_table(points_of(results(*grid("net", [0.5, 0.7, 0.8]), *grid("raw pixels", [0.3, 0.4, 0.5]))))
    found = efficiency_table(summary)
    best = summary[summary["task"] == "x"]["value"].max()
    assert found["target"].tolist() == pytest.approx([0.95 * best] * 4)
    assert found[found["backbone"] == "raw pixels"]["needed"].tolist() == [math.inf] * 2
    assert set(efficiency_table(summary, 0.45)["target"]) == {0.45}
    mixed = efficiency_table(summary, {"x": 0.45})
    assert (
        mixed[mixed["task"] == "x"]["target"].tolist() == [0.45] * 2
        and 0.45 not in mixed[mixed["task"] == "y"]["target"].tolist()
    )


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(a, b):
    expected = binomtest(a, a + b, 0.5).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_by_hand():
    assert mcnemar(5, 1) == pytest.approx(2 * (1 + 6) / 64)
    with pytest.raises(MetanetError, match="McNemar's test takes numbers of images, got -1 and 2"):
        mcnemar(-1, 2)


def hand_made(backbone, right, task="x", seed=0, n=10):
    """Right on these images of ten of the class 0."""
    truth = np.zeros(n, np.int64)
    predicted = np.ones(n, np.int64)
    predicted[list(right)] = 0
    return cell(backbone, task, 10, seed, predicted, truth=truth)


def test_a_comparison_by_hand():
    a, b = (
        points_of(results(hand_made("a", range(8)), hand_made("a", range(4), "y"))),
        points_of(results(hand_made("b", [0, 1, 2, 9]), hand_made("b", range(5), "y"))),
    )
    first, second, pooled = compare(a, b).to_dict("records")
    assert (first["a"], first["b"], first["a_alone"], first["b_alone"]) == (0.8, 0.4, 5, 1)
    assert first["difference"] == pytest.approx(0.4) and first["p"] == pytest.approx(0.21875)
    differences = np.array([0, 0, 0, 1, 1, 1, 1, 1, 0, -1])
    drawn = differences[np.random.default_rng(1).integers(10, size=(50_000, 10))].mean(axis=1)
    assert (first["low"], first["high"]) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.051)
    assert (second["difference"], second["a_alone"], second["b_alone"], second["p"]) == pytest.approx((-0.1, 0, 1, 1))
    assert (pooled["task"], pooled["images"], pooled["a_alone"], pooled["b_alone"]) == ("all tasks", 20, 5, 2)
    assert pooled["difference"] == pytest.approx(0.15) and pooled["p"] == pytest.approx(binomtest(5, 7).pvalue)
    se = math.hypot(differences.std(), np.array([1] + [0] * 9).std()) / math.sqrt(10) / 2
    assert pooled["high"] == pytest.approx(0.15 + 1.96 * se, rel=1e-4)


def test_several_draws_are_paired_and_an_image_counts_once():
    a = points_of(results(hand_made("a", [0, 1, 2]), hand_made("a", [0, 1, 3], seed=1), hand_made("a", [9], seed=2)))
    b = points_of(results(hand_made("b", [0]), hand_made("b", [0, 3, 4], seed=1)))  # its third draw is missing
    (row,) = compare(a, b).to_dict("records")
    # image 1: twice against never; 2: once against never; 4: never against once; 3: both in the same draw
    assert (row["draws"], row["a_alone"], row["b_alone"]) == (2, 2, 1)
    assert (row["a"], row["b"], row["difference"]) == pytest.approx((0.3, 0.2, 0.1))


def test_the_same_network_twice_differs_by_nothing():
    points = points_of(results(*grid("net", [0.5, 0.7, 0.8])))
    found = compare(points, points)
    assert (found[["difference", "low", "high", "a_alone", "b_alone"]] == 0).all(axis=None) and (found["p"] == 1).all()


def test_comparisons_of_different_things_are_refused():
    a = points_of(results(*grid("a", [0.5, 0.7, 0.8])))
    with pytest.raises(
        MetanetError, match=r"needs a task, percentage and seed that both have, got x at 1 %.* and z at"
    ):
        compare(a, points_of(results(*grid("b", [0.5], tasks=("z",), percents=(1,)))))
    other = [replace(one, about={**one.about, "test": "another"}) for one in grid("b", [0.5, 0.7, 0.8])]
    with pytest.raises(MetanetError, match="the same test images, those of 'x' differ between 'a' and 'b'"):
        compare(a, points_of(results(*other)))
    drawn = [replace(one, about={**one.about, "train": "another"}) for one in grid("b", [0.5, 0.7, 0.8])]
    with pytest.raises(MetanetError, match="needs a task, percentage and seed that both have"):
        compare(a, points_of(results(*drawn)))


def stored(path, *cells, baselines=("raw pixels",)):
    folder = CellFolder(path)
    for one in cells:
        folder.write(one)
    folder.plan([row_of(one, baseline=one.backbone in baselines) for one in cells])
    return str(path)


def test_networks_are_named_as_they_are_typed(tmp_path):
    one = stored(tmp_path / "1", *grid("a", [0.5, 0.7, 0.8]), *grid("raw pixels", [0.3, 0.4, 0.5]))
    two = stored(tmp_path / "2", *grid("b", [0.6, 0.7, 0.9]))
    many = stored(tmp_path / "3", *grid("a", [0.4, 0.7, 0.8]), *grid("b", [0.6, 0.7, 0.9]))
    pairs = {
        ("a", "raw pixels"): [("a", "raw pixels")],
        (one, two): [("a", "b")],
        (one, f"{many}#b"): [("a", "b")],
        (f"{many}#a", f"{many}#b"): [("a", "b")],
        (many, many): [("a", "a"), ("b", "b")],
        (f"{one}#raw pixels", two): [("raw pixels", "b")],
    }
    for (a, b), expected in pairs.items():
        found = compare_named(a, b, one)
        assert list(dict.fromkeys(zip(found["first"], found["second"], strict=True))) == expected
        assert set(found["task"]) == {"x", "y", "all tasks"} and set(found["probe"]) == {"linear"}
    for (a, b), message in {
        ("a", "c"): "unknown backbone 'c'",
        (f"{one}#a", many): f"'{many}' holds 2 backbones: say which, as in {many}#a",
        ("nowhere#a", "a"): "unknown backbone 'nowhere#a'",
    }.items():
        with pytest.raises(MetanetError, match=re.escape(message)):
            compare_named(a, b, one)
    other = stored(tmp_path / "4", *grid("c", [0.5, 0.7, 0.8]), *grid("d", [0.5, 0.7, 0.8]))
    with pytest.raises(MetanetError, match=f"no backbone of the same name: name them, as in {many}#a"):
        compare_named(many, other, one)


def test_probes_are_compared_each_with_its_own(tmp_path):
    cells = [*grid("a", [0.5, 0.7, 0.8]), *grid("b", [0.5, 0.7, 0.8]), *grid("a", [0.6, 0.7, 0.8], probe="knn")]
    found = compare_named("a", "b", stored(tmp_path, *cells, *grid("b", [0.4, 0.7, 0.8], probe="knn")))
    assert set(found["probe"]) == {"linear", "knn"}
    wide = tables_of(load_results(tmp_path)).wide(1)
    assert wide["backbone"].tolist() == ["a, linear", "b, linear", "a, knn", "b, knn"]


GVB_TASKS = ("cifar10", "dtd")


def test_published_rows_stand_beside_over_the_same_tasks(tmp_path):
    cells = [*grid("mine", [0.5, 0.7, 0.8], tasks=GVB_TASKS), *grid("raw pixels", [0.3, 0.4, 0.5], tasks=GVB_TASKS)]
    found = tables_of(results(*cells))
    wide = found.wide(10)
    known = published()
    up_g = known[(known["pretrain"] == "Up-G") & (known["model"] == "MN-B15")].set_index("task")["value"]
    row = wide[wide["backbone"] == "MN-B15, Up-G"].iloc[0]
    assert row["from"] == "published" and row["cifar10"] == 98.7 and row["dtd"] == 74.2
    assert row["CLS-AVG"] == pytest.approx((up_g["cifar10"] + up_g["dtd"]) / 2) and row["CLS-AVG tasks"] == "2 of 20"
    mine = wide.set_index("backbone").loc["mine"]
    assert mine["from"] == "scored here" and mine["CLS-AVG tasks"] == "2 of 20"
    assert mine["CLS-AVG"] == pytest.approx((mine["cifar10"] + mine["dtd"]) / 2)
    assert wide["from"].tolist()[:2] == ["scored here", "baseline"] and set(wide["from"][2:]) == {"published"}
    assert "published" not in set(found.wide(1)["from"])  # they are of 10 %
    assert wide_table(found.summary, found.averages, 10).equals(wide)


def test_the_averages_of_a_set_of_tasks():
    assert list(aggregates_of(["x", "y"])) == ["mean"] and aggregates_of(["x", "y"])["mean"] == ("x", "y")
    assert aggregates_of(["x"]) == {}
    assert len(aggregates_of(["cifar10"])["CLS-AVG"]) == 20
    assert aggregates_of(["cifar10", "x", "y"])["mean"] == ("x", "y")


def test_scores_without_a_fit_are_ranked_beside_the_test_scores(tmp_path):
    def with_transfer(backbone, share, logme, h_score):
        own = grid(backbone, (share,), tasks=("x",), percents=(10,), seeds=(0, 1))
        scores = [{"logme": logme + shift, "h_score": h_score} for shift in (-0.5, 0.5)]
        return [
            replace(one, answers=replace(one.answers, transfer=found)) for one, found in zip(own, scores, strict=True)
        ]

    # LogME orders the four as the test scores do but for one of six pairs, the H-score the other way round.
    shares, evidence = (0.2, 0.4, 0.6, 0.8), (1.0, 2.0, 4.0, 3.0)
    cells = [
        one
        for i, (share, logme) in enumerate(zip(shares, evidence, strict=True))
        for one in with_transfer(f"net {i}", share, logme, -share)
    ]
    found = tables_of(replace(results(*cells), folder=tmp_path))
    assert found.transfer["logme"].tolist() == list(evidence) and found.transfer["percent"].tolist() == [10] * 4
    assert found.cells["logme"].tolist() == [value + shift for value in evidence for shift in (-0.5, 0.5)]
    (row,) = agreement_table(found.transfer).to_dict("records")
    assert (row["task"], row["percent"], row["backbones"]) == ("x", 10, 4)
    assert row["logme"] == pytest.approx(4 / 6) and row["h_score"] == -1
    assert agreement_table(found.transfer[:2]).empty
    page = write_report(found).read_text()
    assert "Scores without a fit" in page and "+0.67" in page and "-1.00" in page
    assert len(pd.read_csv(tmp_path / "transfer.csv")) == 4


def test_an_average_has_a_curve_where_its_tasks_are_the_same():
    cells = grid("net", (0.3, 0.6, 0.9)) + grid("other", (0.2, 0.4, 0.5))
    found = tables_of(results(*cells))
    own = found.efficiency[found.efficiency["task"] == "mean"].set_index("backbone")
    means = found.averages[found.averages["backbone"] == "net"].sort_values("percent")["value"].tolist()
    assert own.loc["net", "needed"] == data_needed([1, 10, 100], means, 0.95 * means[-1])
    assert own.loc["other", "needed"] == math.inf
    torn = tables_of(results(*cells, *grid("third", (0.5,), tasks=("x",), percents=(10,))))
    assert "mean" not in set(torn.efficiency["task"])


def test_latex_escapes_names_and_marks_the_best():
    wide = pd.DataFrame(
        {"backbone": ["a_b & 100%", "c", "d"], "from": ["scored here"] * 2 + ["baseline"], "x": [1.0, 23.45, np.nan]}
    )
    text = latex(wide, caption="100 % of #1_a\\b", name="t")
    assert r"a\_b \& 100\% & scored here & 1.0 \\" in text and r"c & scored here & \textbf{23.4} \\" in text
    assert "d & baseline & -- \\\\" in text and r"\caption{100 \% of \#1\_a\textbackslash{}b}" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1 and r"\begin{tabular}{llr}" in text


def test_a_report_holds_the_tables_and_says_what_is_missing(tmp_path):
    cells = [*grid("net <1>", [0.5, 0.7, 0.8]), *grid("b", [0.5, 0.6, 0.7]), *grid("raw pixels", [0.3, 0.4, 0.5])]
    stored(tmp_path, *cells)
    CellFolder(tmp_path).plan([row_of(one, baseline=False) for one in grid("late", [0.1], percents=(1,), seeds=(0,))])
    found = tables_of(load_results(tmp_path))
    path = write_report(found, tmp_path / "out")
    page = path.read_text()
    assert "2 backbones beside 1 baseline on 2 tasks" in page
    assert "2 of 56 cells are not finished: run the same command again" in page
    assert (
        "net &lt;1&gt;" in page and "net <1>" not in page.replace("</script>", "").split("<body>")[1].split("Plotly")[0]
    )
    for word in ("Data efficiency", "not reached", "McNemar", "over test images", "2026-01-01T00:00:00"):
        assert word in page
    for name in ("bars", "curve-mean", "curve-x", "curve-y"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert not (tmp_path / "out" / "radar.png").exists()  # two tasks are a line
    stored_cells = pd.read_csv(tmp_path / "out" / "cells.csv")
    assert len(stored_cells) == 54
    pd.testing.assert_frame_equal(stored_cells, cells_table(load_results(tmp_path)), check_dtype=False)
    assert (tmp_path / "out" / "scores.tex").read_text().count(r"\begin{table}") == 3
    assert len(found.differences) == 3 and set(found.differences["other"]) == {"b"}


def test_one_percentage_and_one_task_make_a_report_too(tmp_path):
    stored(tmp_path, *grid("net", [0.5], tasks=("x",), percents=(10,), seeds=(0,)))
    path = write_report(tables_of(load_results(tmp_path)))
    page = path.read_text()
    assert path.parent == tmp_path and "there is no curve" in page and "Differences" not in page


def test_three_tasks_have_a_radar(tmp_path):
    stored(tmp_path, *grid("net", [0.5], tasks=("x", "y", "z"), percents=(10,), seeds=(0,)))
    write_report(tables_of(load_results(tmp_path)))
    assert (tmp_path / "radar.png").read_bytes()[:4] == b"\x89PNG"
