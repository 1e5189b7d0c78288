"""What a search found: the best, the front, the controls and the report."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import BEGIN, Told, study_of
from test_searchers_table import Row, TableSpace, score

from metanet.errors import MetanetError
from metanet.searchers import SearchResult, controls, search
from metanet.searchers.result import non_dominated

LIMIT = "macs <= 8, params <= 7"
SPACE = TableSpace()


def test_the_smallest_is_the_best_where_asked_for(tmp_path: Path) -> None:
    result = search(
        SPACE, lambda spec: {"loss": -score(spec)}, objectives={"loss": "minimize"}, trials=63, store=tmp_path / "s"
    )
    best = max(SPACE.everything, key=score)
    assert result.best.spec == best
    assert result.best.values == {"loss": -score(best)}


def test_the_front_is_that_of_brute_force(tmp_path: Path) -> None:
    result = search(SPACE, score, sampler="random", trials=63, store=tmp_path / "s")
    points = {spec: (SPACE.price(spec)["macs"], -score(spec)) for spec in SPACE.everything}
    expected = [
        a
        for a, (macs, loss) in points.items()
        if not any(m <= macs and v <= loss and (m, v) != (macs, loss) for m, v in points.values())
    ]
    assert [one.spec for one in result.front] == sorted(expected, key=lambda spec: points[spec])


def test_macs_that_are_an_objective_are_no_other_axis_of_the_front(tmp_path: Path) -> None:
    def evaluate(spec: Row) -> dict[str, float]:
        return {"accuracy": score(spec), "macs": SPACE.price(spec)["macs"]}

    most = {"accuracy": "maximize", "macs": "maximize"}
    result = search(SPACE, evaluate, objectives=most, sampler="random", trials=20, store=tmp_path / "s")
    front = {tuple(one.values.values()) for one in result.front}
    assert front == {tuple(trial.values) for trial in result.study.best_trials}  # Optuna's own


def test_several_objectives_have_a_front_and_no_best(tmp_path: Path) -> None:
    space = TableSpace(priced=False)

    def evaluate(spec: Row) -> dict[str, float]:
        return {"accuracy": score(spec), "latency": sum(spec.choices), "accuracy.se": 0.1}

    result = search(
        space,
        evaluate,
        objectives={"accuracy": "maximize", "latency": "minimize"},
        sampler="random",
        trials=20,
        store=tmp_path / "s",
    )
    with pytest.raises(MetanetError, match="no one architecture is best in accuracy and latency: see `front`"):
        _ = result.best
    front = {(one.values["accuracy"], one.values["latency"]) for one in result.front}
    assert front == {tuple(trial.values) for trial in result.study.best_trials}  # Optuna's own
    assert result.scored[0].metrics["accuracy.se"] == 0.1


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=12))
def test_non_dominated_is_what_the_definition_says(points: list[tuple[int, int, int]]) -> None:
    expected = [
        i
        for i, a in enumerate(points)
        if not any(b != a and all(y <= x for x, y in zip(a, b, strict=True)) for b in points)
    ]
    assert non_dominated(np.array(points, dtype=float)) == expected


def test_a_study_without_results_has_no_best(tmp_path: Path) -> None:
    with pytest.raises(MetanetError, match="in a row failed"):
        search(SPACE, lambda spec: math.nan, trials=1, max_failures=1, store=tmp_path / "s")
    result = search(SPACE, _nan, trials=1, store=tmp_path / "t")
    assert result.front == []
    with pytest.raises(MetanetError, match="no architecture of the study was evaluated without failure"):
        _ = result.best


def _nan(spec: Row) -> float:
    return math.nan


def test_the_controls_are_random_search_and_its_largest_draw(tmp_path: Path) -> None:
    limit = "macs <= 14"
    found = search(SPACE, score, constraints=limit, trials=30, store=tmp_path / "s")
    control = controls(SPACE, score, constraints=limit, trials=30, store=tmp_path / "c")
    drawn = [one.spec for one in control.random.scored]
    assert len(drawn) == 30
    assert drawn[:8] == [one.spec for one in found.scored[:8]]  # a search begins with the draws of the random one
    assert control.most_macs.costs["macs"] == max(SPACE.price(spec)["macs"] for spec in drawn)
    with pytest.raises(MetanetError, match="nothing to rank by"):
        controls(TableSpace(priced=False), score, trials=3, store=tmp_path / "d")


def test_the_table_of_a_study_has_one_row_a_trial_and_tells_the_states_apart() -> None:
    told = [
        Told("scored", [0.5], macs=7, genes=(1, 2, 0, 1), seconds=1.5),
        Told("pruned", [0.9], macs=8, genes=(0, 2, 0, 0), reported={100: 0.8, 400: 0.9}),
        Told("failed", macs=9, genes=(2, 2, 2, 2), reason="RuntimeError: no memory"),
        Told("abandoned", macs=9, genes=(2, 2, 2, 2)),
        Told("answered", [0.5], macs=7, genes=(1, 2, 0, 1)),
        Told("running", macs=3, genes=(0, 0, 0, 0)),
    ]
    frame = SearchResult(study_of(told), SPACE).to_dataframe()
    assert frame["state"].tolist() == ["COMPLETE", "PRUNED", "FAIL", "ABANDONED", "COMPLETE", "RUNNING"]
    assert frame["accuracy"].fillna(-1).tolist() == [0.5, -1, -1, -1, 0.5, -1]  # a pruned value is no score
    assert frame["last_fidelity"].fillna(-1).tolist() == [-1, 0.4, -1, -1, -1, -1] and frame["last_value"][1] == 0.9
    assert frame["answered_by"].fillna(-1).tolist() == [-1, -1, -1, -1, 0, -1]
    assert frame["reason"][2] == "RuntimeError: no memory" and frame["reason"][3] == "its process ended"
    assert frame["reason"].notna().sum() == 2
    assert frame["gene.wide"].tolist() == [10, 0, 20, 20, 10, 0]
    assert frame["macs"].tolist() == [7, 8, 9, 9, 7, 3] and frame["macs"].mean() == pytest.approx(43 / 6)
    assert frame["seconds"][0] == 1.5 and pd.isna(frame["seconds"][5])
    assert (frame["start"] + pd.to_timedelta(frame["seconds"], "s"))[0] == pd.Timestamp(BEGIN)
    by_state = frame.groupby("state")["seconds"].sum()
    assert by_state["COMPLETE"] == 2.5


def test_the_table_has_the_same_columns_before_the_first_trial(tmp_path: Path) -> None:
    result = search(SPACE, _accuracy, trials=3, sampler="random", store=tmp_path / "s")
    full = result.to_dataframe()
    empty = SearchResult(study_of([]), SPACE).to_dataframe()
    assert len(empty) == 0
    assert [c for c in full if c not in ("macs", "params", "metric.accuracy.se")] == list(empty)
    assert {c: str(full[c].dtype) for c in ("number", "slot", "start", "repaired", "last_fidelity", "accuracy")} == {
        c: str(empty[c].dtype) for c in ("number", "slot", "start", "repaired", "last_fidelity", "accuracy")
    }
    assert full["metric.accuracy.se"].tolist() == [0.25] * 3
    assert empty["state"].value_counts().empty


def _accuracy(spec: Row) -> dict[str, float]:
    return {"accuracy": score(spec), "accuracy.se": 0.25}


def test_a_result_measures_itself(tmp_path: Path) -> None:
    result = search(SPACE, score, sampler="random", trials=20, store=tmp_path / "s")
    control = controls(SPACE, score, trials=12, seed=1, store=tmp_path / "c").random
    assert result.best_so_far()["accuracy"].iloc[-1] == result.best.values["accuracy"]
    behind = result.regret(control)
    assert len(behind) == 12
    assert behind["accuracy"].iloc[-1] == control.best.values["accuracy"] - max(
        one.values["accuracy"] for one in result.scored[:12]
    )
    assert result.worst == {
        "macs": max(one.costs["macs"] for one in result.scored),
        "accuracy": min(one.values["accuracy"] for one in result.scored),
    }
    corner = {"macs": 99, "accuracy": -9}
    assert result.hypervolume(corner).iloc[-1] >= result.hypervolume().iloc[-1] > 0
    assert result.importances()["accuracy"].sum() == pytest.approx(1)


def test_the_report_shows_the_winner_and_what_it_was_found_with(tmp_path: Path) -> None:
    result = search(SPACE, score, constraints=LIMIT, trials=12, store=tmp_path / "s")
    result.report(tmp_path / "report.html")
    shown = (tmp_path / "report.html").read_text()
    assert f"The best architecture is {result.best.spec.id}, from trial {result.best.number}" in shown
    assert all(f">{one.spec.id}</td>" in shown for one in result.front)
    assert "12 architectures were scored (trials: 12 complete)." in shown
    assert "macs &lt;= 8, params &lt;= 7" in shown
    assert shown.count('class="plot"') == 5  # best so far, front, hypervolume, importances, seconds


def test_a_search_without_results_has_a_report(tmp_path: Path) -> None:
    objectives = {"loss": "minimize", "latency": "minimize"}
    result = search(SPACE, _nan, objectives=objectives, sampler="random", trials=2, store=tmp_path / "s")
    result.report(tmp_path / "report.html")
    assert "No architecture was evaluated without failure." in (tmp_path / "report.html").read_text()
    again = search(SPACE, _two_losses, objectives=objectives, sampler="random", trials=9, store=tmp_path / "t")
    again.report(tmp_path / "again.html")
    shown = (tmp_path / "again.html").read_text()
    assert "no other one beats in loss and latency" in shown
    assert shown.count('class="plot"') == 7  # two of each, one over the other, hypervolume, seconds


def _two_losses(spec: Row) -> dict[str, float]:
    return {"loss": -score(spec), "latency": float(sum(spec.choices))}
