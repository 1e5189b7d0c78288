"""What a search found: the best, the front, the controls and the report."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_searchers_table import Row, TableSpace, score

from metanet.errors import MetanetError
from metanet.searchers import controls, search
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


def test_the_report_shows_the_winner_and_what_it_was_found_with(tmp_path: Path) -> None:
    result = search(SPACE, score, constraints=LIMIT, trials=12, store=tmp_path / "s")
    result.report(tmp_path / "report.html")
    shown = (tmp_path / "report.html").read_text()
    assert f"The best architecture is {result.best.spec.id}, from trial {result.best.number}" in shown
    assert all(f">{one.spec.id}</td>" in shown for one in result.front)
    assert "12 architectures were scored (trials: 12 complete)." in shown
    assert "macs &lt;= 8, params &lt;= 7" in shown
    assert shown.count('class="plot"') == 2


def test_a_search_without_results_has_a_report(tmp_path: Path) -> None:
    objectives = {"loss": "minimize", "latency": "minimize"}
    result = search(SPACE, _nan, objectives=objectives, sampler="random", trials=2, store=tmp_path / "s")
    result.report(tmp_path / "report.html")
    assert "No architecture was evaluated without failure." in (tmp_path / "report.html").read_text()
    again = search(SPACE, _two_losses, objectives=objectives, sampler="random", trials=9, store=tmp_path / "t")
    again.report(tmp_path / "again.html")
    shown = (tmp_path / "again.html").read_text()
    assert "no other one beats in loss and latency" in shown
    assert shown.count('class="plot"') == 4


def _two_losses(spec: Row) -> dict[str, float]:
    return {"loss": -score(spec), "latency": float(sum(spec.choices))}
