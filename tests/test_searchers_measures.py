"""Best so far, regret, hypervolume and importances: against counting by hand and definitions."""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import Told, study_of
from test_searchers_table import TableSpace, score

from metanet.errors import MetanetError
from metanet.searchers import measures, search

MIXED = [
    Told("failed"),
    Told("scored", [0.5]),
    Told("abandoned"),
    Told("pruned", [0.99]),
    Told("answered", [0.97]),
    Told("scored", [0.4]),
    Told("running"),
    Told("scored", [0.7]),
]
TWO = {"accuracy": "maximize", "latency": "minimize"}


def test_what_cost_an_evaluation_counts_and_only_what_was_scored_has_a_score() -> None:
    found = measures.scores(study_of(MIXED))
    assert list(found.index) == [1, 2, 3, 4, 5]  # failed, scored, pruned, scored, scored
    assert found["accuracy"].fillna(-1).tolist() == [-1, 0.5, -1, 0.4, 0.7]
    assert measures.best_so_far(study_of(MIXED))["accuracy"].fillna(-1).tolist() == [-1, 0.5, 0.5, 0.5, 0.7]


@given(st.lists(st.integers(0, 9) | st.none(), max_size=12), st.sampled_from(["maximize", "minimize"]))
def test_the_best_so_far_is_the_best_of_every_beginning(values: list[int | None], direction: str) -> None:
    told = [Told("failed") if value is None else Told("scored", [value]) for value in values]
    found = measures.best_so_far(study_of(told, {"x": direction}))["x"].tolist()
    better = max if direction == "maximize" else min
    for i, best in enumerate(found):
        seen = [value for value in values[: i + 1] if value is not None]
        assert best == better(seen) if seen else math.isnan(best)
    assert len(found) == len(values)


def test_regret_is_what_is_missing_to_the_control_at_the_same_number() -> None:
    own = study_of([Told("scored", [a, b]) for a, b in ((0.1, 5.0), (0.4, 6.0), (0.3, 2.0))], TWO)
    control = study_of([Told("scored", [a, b]) for a, b in ((0.2, 4.0), (0.25, 1.0))], TWO)
    found = measures.regret(own, control)
    assert list(found.index) == [1, 2]
    assert found["accuracy"].tolist() == pytest.approx([0.1, -0.15])  # 0.2 - 0.1, 0.25 - 0.4
    assert found["latency"].tolist() == pytest.approx([1.0, 4.0])  # 5 - 4, 5 - 1
    other = study_of([], TWO, evaluator="f")
    with pytest.raises(MetanetError, match="compared by one measure, the evaluator were 'e' and 'f': score both alike"):
        measures.regret(own, other)
    with pytest.raises(MetanetError, match="the objectives were"):
        measures.regret(own, study_of([]))


points = st.lists(st.tuples(*[st.integers(0, 4)] * 3) | st.none(), max_size=7)


@settings(max_examples=30)
@given(points, st.tuples(*[st.integers(0, 5)] * 3))
def test_the_hypervolume_is_the_number_of_dominated_cells(
    drawn: list[tuple[int, int, int] | None], corner: tuple[int, int, int]
) -> None:
    """Whole points dominate whole cells of side 1: they are counted."""
    told = [Told("pruned") if p is None else Told("scored", [-p[1], p[2]], macs=p[0]) for p in drawn]
    study = study_of(told, {"accuracy": "maximize", "latency": "minimize"})
    reference = {"macs": corner[0], "accuracy": -corner[1], "latency": corner[2]}
    found = measures.hypervolume(study, reference)
    assert list(found.index) == list(range(1, len(drawn) + 1))
    for i, value in enumerate(found):
        seen = [p for p in drawn[: i + 1] if p is not None and all(a <= b for a, b in zip(p, corner, strict=True))]
        cells = itertools.product(*map(range, corner))
        assert value == sum(any(all(a <= c for a, c in zip(p, cell, strict=True)) for p in seen) for cell in cells)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=6))
def test_without_macs_one_objective_has_a_length(values: list[int]) -> None:
    study = study_of([Told("scored", [value]) for value in values])
    found = measures.hypervolume(study, {"accuracy": -6})
    assert found.tolist() == [max(values[: i + 1]) + 6 for i in range(len(values))]
    assert measures.hypervolume(study).iloc[-1] == max(values) - min(values)  # the worst that was seen
    assert measures.worst(study) == {"accuracy": min(values)}


def test_the_reference_names_the_axes() -> None:
    study = study_of([Told("scored", [0.5], macs=10), Told("scored", [0.7], macs=30)])
    assert measures.worst(study) == {"macs": 30, "accuracy": 0.5}
    assert measures.hypervolume(study).tolist() == [0, 0]
    assert measures.hypervolume(study, {"macs": 40, "accuracy": 0}).tolist() == pytest.approx([15, 17])
    wrong: list[dict[str, float]] = [{"accuracy": 0.1}, {"macs": 1, "accuracy": math.inf}, {"MACs": 1, "accuracy": 0}]
    for reference in wrong:
        with pytest.raises(MetanetError, match="the reference must be a number for each of macs, accuracy, got"):
            measures.hypervolume(study, reference)
    assert measures.hypervolume(study_of([Told("failed")])).tolist() == [0]
    assert measures.worst(study_of([])) == {} and measures.hypervolume(study_of([])).empty


def test_studies_share_one_reference_and_one_whole() -> None:
    """In MACs times accuracy, up to (30, 0): one has 20 x 0.5, the other 10 x 0.9, of 10 x 0.9 + 10 x 0.5 together."""
    one = study_of([Told("scored", [0.0], macs=30), Told("scored", [0.5], macs=10)])
    two = study_of([Told("scored", [0.9], macs=20)])
    shares = measures.shared_hypervolumes({"one": one, "two": two})
    assert shares["one"].tolist() == pytest.approx([0, 10 / 14])
    assert shares["two"].tolist() == pytest.approx([9 / 14])
    assert measures.shared_hypervolumes({"one": study_of([Told("scored", [0.5], macs=1)])}) == {}
    assert measures.shared_hypervolumes({"one": one, "priceless": study_of([Told("scored", [0.5])])}) == {}


def test_the_bigger_the_better_takes_the_largest_draw() -> None:
    told = [Told("failed", macs=99), Told("scored", [0.5], macs=10), Told("scored", [0.7], macs=5)]
    told += [Told("scored", [0.6], macs=20), Told("pruned", [0.9], macs=50), Told("scored", [0.8], macs=40)]
    told += [Told("scored", [0.4], macs=60)]
    # The one that failed is none; the one that was pruned is, though its score in full is not known.
    found = measures.dearest_so_far(study_of(told))["accuracy"].fillna(-1).tolist()
    assert found == [-1, 0.5, 0.5, 0.6, -1, -1, 0.4]
    assert measures.dearest_so_far(study_of([Told("scored", [0.5])]))["accuracy"].isna().all()


@dataclass(frozen=True)
class Named:
    """A gene."""

    name: str
    choices: tuple[int, ...]


def test_importances_are_the_shares_of_variance_of_an_additive_score() -> None:
    """Of 3 a + 2 b + c the variances are as 9 to 4 to 1, of a + c as 1 to 1."""
    rows = np.array(list(itertools.product(range(3), repeat=3)))
    values = np.stack([rows @ [3.0, 2.0, 1.0], rows @ [1.0, 0.0, 1.0]], axis=1)
    told = [Told("scored", value, genes=row) for row, value in zip(rows.tolist(), values.tolist(), strict=True)]
    genes = [Named(name, (0, 1, 2)) for name in "abc"]
    found = measures.importances([study_of(told, TWO)], genes)
    assert list(found.index) == ["a", "b", "c"] and list(found.columns) == ["accuracy", "latency"]
    np.testing.assert_allclose(found["accuracy"], np.array([9, 4, 1]) / 14, atol=0.1)
    np.testing.assert_allclose(found["latency"], [0.5, 0, 0.5], atol=0.1)
    np.testing.assert_allclose(found.sum(), 1)


def test_studies_are_pooled_and_an_architecture_counts_once() -> None:
    told = [Told("scored", [a + b / 9], genes=(a, b)) for a in range(4) for b in range(3)]
    genes = [Named("a", (0, 1, 2, 3)), Named("b", (0, 1, 2))]
    pooled = measures.importances([study_of(told[:7]), study_of(told[5:])], genes)
    assert pooled.equals(measures.importances([study_of(told)], genes))


def test_importances_are_those_of_architectures_not_of_suggestions(tmp_path: Path) -> None:
    """Where `wide` is off, the last gene has no effect: what a sampler suggests for it must not count."""
    space = TableSpace()
    sampler = optuna.samplers.RandomSampler(seed=0)
    result = search(
        space, lambda spec: score(spec), constraints="macs <= 9", sampler=sampler, trials=40, store=tmp_path / "s"
    )
    found = result.importances()
    trials = [t for t in result.study.trials if "answered_by" not in t.user_attrs]
    told = [Told("scored", t.values, genes=t.user_attrs["genes"]) for t in trials]
    plain = measures.importances([study_of(told)], space.genes)
    assert found.equals(plain) and set(found.index) == {"wide", "g1", "g2", "g3"}
    assert any(list(t.params.values()) != [10 * i for i in t.user_attrs["genes"]] for t in trials)  # repaired


def test_a_gene_that_never_varied_has_no_importance() -> None:
    told = [Told("scored", [a], genes=(a, b, 1, 0)) for a in range(4) for b in range(3)]
    genes = [Named("a", (0, 1, 2, 3)), Named("b", (0, 1, 2)), Named("fixed", (0, 1)), Named("constant", (0,))]
    found = measures.importances([study_of(told)], genes)
    assert list(found.index) == ["a", "b", "fixed"]
    assert math.isnan(found["accuracy"]["fixed"]) and found["accuracy"]["a"] > 0.9


def test_importances_of_many_architectures_are_those_of_a_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "MOST", 60)
    told = [Told("scored", [3.0 * a + b], genes=(a, b)) for a in range(9) for b in range(9)]
    genes = [Named(name, tuple(range(9))) for name in "ab"]
    found = measures.importances([study_of(told)], genes)["accuracy"]
    assert found.equals(measures.importances([study_of(told)], genes)["accuracy"])
    assert found.sum() == pytest.approx(1) and found["a"] == pytest.approx(0.9, abs=0.1)


def test_importances_need_architectures_and_differences() -> None:
    with pytest.raises(MetanetError, match="need at least 10 scored architectures, got 1: search on"):
        measures.importances([study_of([Told("scored", [0.1])] * 20 + [Told("failed")])], [Named("a", (0, 1))])
    told = [Told("scored", [0.5], genes=(i,)) for i in range(12)]
    with pytest.raises(MetanetError, match=r"all 12 architectures have accuracy = 0.5: no gene explains a difference"):
        measures.importances([study_of(told)], [Named("a", tuple(range(12)))])


def test_optuna_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    study = study_of([Told("scored", [i], macs=9 - i % 3, genes=(i,)) for i in range(12)])
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        measures.hypervolume(study)
        measures.importances([study], [Named("a", tuple(range(12)))])
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
    assert capfd.readouterr() == ("", "")
