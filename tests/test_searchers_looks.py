"""Several fidelities: cheap looks first, the full score for those that stay in the race."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_searchers_table import Row, TableSpace, score

from metanet.errors import MetanetError
from metanet.searchers import AsynchronousHalving, ChoiceTable, LocalProcesses, RandomFeasible, SearchResult, search
from metanet.searchers.samplers.told import told as known_of
from metanet.searchers.space import SearchSpace

SPACE = TableSpace()
FIDELITIES = (0.1, 0.3, 1.0)


class Cheap:
    """A score that is a little lower where less is looked at; remembers what it was asked."""

    fingerprint = "cheap"

    def __init__(self, broken: float | None = None) -> None:
        self.asked: list[tuple[Row, float]] = []
        self.broken = broken

    def __call__(self, spec: Row, *, fidelity: float = 1.0) -> Mapping[str, float]:
        self.asked.append((spec, fidelity))
        if fidelity == self.broken:
            raise RuntimeError("no such look")
        return {"accuracy": score(spec) - 0.1 * (1 - fidelity), "images": 1000 * fidelity}


def run(store: Path, evaluate: Any = None, **options: Any) -> SearchResult[Row]:
    given_ = {"trials": 40, "fidelities": FIDELITIES, "store": store, **options}
    return search(SPACE, evaluate or Cheap(), **given_)


def story(result: SearchResult[Any]) -> list[Any]:
    """Every slot, and what became of it."""
    return [
        (t.user_attrs["genes"], t.state.name, t.intermediate_values, t.user_attrs.get("metrics"))
        for t in result.study.trials
        if "abandoned" not in t.user_attrs
    ]


def test_who_passes_is_in_the_best_third_of_those_that_came_so_far(tmp_path: Path) -> None:
    evaluate = Cheap()
    result = run(tmp_path / "s", evaluate, sampler="random")
    seen: dict[float, list[float]] = {0.1: [], 0.3: []}
    expected = []
    for trial in result.study.trials:
        spec = SPACE.decode(trial.user_attrs["genes"])
        looks, end = [], "COMPLETE"
        for fidelity in FIDELITIES:
            expected.append((spec, fidelity))
            value = score(spec) - 0.1 * (1 - fidelity)
            looks.append(value)
            if fidelity < 1:
                seen[fidelity].append(value)
                rank = sorted(seen[fidelity], reverse=True).index(value)
                if rank >= max(1, len(seen[fidelity]) // 3):
                    end = "PRUNED"
                    break
        assert trial.state.name == end
        assert list(trial.intermediate_values.items()) == list(zip((100, 300, 1000), looks, strict=False))
        assert trial.user_attrs["metrics"]["images"] == 1000 * FIDELITIES[len(looks) - 1]
    assert evaluate.asked == expected
    states = result.to_dataframe()["state"].value_counts()
    assert 0 < states["COMPLETE"] < 20 < states["PRUNED"] < 40
    assert len(result.scored) == states["COMPLETE"]
    assert result.best.values["accuracy"] == max(score(one.spec) for one in result.scored)


def test_a_smaller_value_is_better_where_it_is_minimised(tmp_path: Path) -> None:
    """Decisions by a loss are those by its negative."""

    class Loss(Cheap):
        def __call__(self, spec: Row, *, fidelity: float = 1.0) -> Mapping[str, float]:
            return {"loss": -super().__call__(spec, fidelity=fidelity)["accuracy"]}

    more = run(tmp_path / "a", sampler="random")
    less = run(tmp_path / "b", Loss(), sampler="random", objectives={"loss": "minimize"})
    assert [t.state for t in more.study.trials] == [t.state for t in less.study.trials]
    assert more.best.spec == less.best.spec


@pytest.mark.parametrize("sampler", ["predictor", "evolution", "local", "policy", "pareto", "random"])
def test_every_sampler_goes_on_with_pruned_trials(sampler: str, tmp_path: Path) -> None:
    result = run(tmp_path / "s", sampler=sampler, trials=50)
    frame = result.to_dataframe()
    assert len(set(frame["spec"])) == 50
    assert set(frame["state"]) == {"COMPLETE", "PRUNED"}


def test_with_one_fidelity_nothing_is_reported_or_pruned(tmp_path: Path) -> None:
    result = run(tmp_path / "s", fidelities=(1.0,), trials=10)
    assert all(not trial.intermediate_values for trial in result.study.trials)
    assert set(result.to_dataframe()["state"]) == {"COMPLETE"}


def test_what_fails_at_a_look_is_a_failure(tmp_path: Path) -> None:
    result = run(tmp_path / "s", Cheap(broken=0.3), sampler="random", max_failures=40)
    frame = result.to_dataframe()
    assert set(frame["state"]) == {"PRUNED", "FAIL"}
    assert set(frame["reason"].dropna()) == {"RuntimeError: no such look"}


@pytest.mark.parametrize("sampler", ["evolution", "local"])
def test_samplers_of_one_parent_learn_from_what_was_pruned(sampler: str, tmp_path: Path) -> None:
    """After ten trials, some of them pruned, each proposal is a neighbour of something that was seen."""
    result = run(tmp_path / "s", sampler=sampler, trials=20)
    assert {trial.state.name for trial in result.study.trials[:10]} == {"COMPLETE", "PRUNED"}
    genes = np.array([trial.user_attrs["genes"] for trial in result.study.trials])
    steps = [(genes[:i] != genes[i]).sum(1).min() for i in range(10, 20)]
    assert steps == [1] * 10


def test_failures_of_one_fidelity_end_the_search_whatever_cheaper_looks_do(tmp_path: Path) -> None:
    with pytest.raises(MetanetError, match=r"3 evaluations in a row failed at fidelity 1, the last one with"):
        run(tmp_path / "s", Cheap(broken=1.0), sampler="random", max_failures=3)


def test_pruned_trials_count_by_what_their_last_look_lets_expect(tmp_path: Path) -> None:
    """The looks of `Cheap` are below the full score by the same amount for all: the expectation is the score itself."""
    result = run(tmp_path / "s", sampler="random")
    history = known_of(SPACE, result.study)
    assert np.allclose(history.values[:, 0], [score(SPACE.decode(row)) for row in history.rows])
    assert not len(history.failed)


@pytest.mark.parametrize("pruner", [optuna.pruners.MedianPruner(3), optuna.pruners.SuccessiveHalvingPruner(100)])
def test_pruners_of_optuna_decide_in_their_place(pruner: optuna.pruners.BasePruner, tmp_path: Path) -> None:
    frame = run(tmp_path / "s", sampler="random", pruner=pruner).to_dataframe()
    assert set(frame["state"]) == {"COMPLETE", "PRUNED"}
    assert frame["state"][0] == "COMPLETE"
    with pytest.raises(MetanetError, match=f"pruner was '{type(pruner).__name__}', now 'AsynchronousHalving"):
        run(tmp_path / "s", sampler="random")


@pytest.mark.slow
def test_looks_run_in_several_processes(tmp_path: Path) -> None:
    result = run(tmp_path / "s", executor=LocalProcesses(2), trials=20)
    frame = result.to_dataframe()
    assert len(set(frame["spec"])) == len(frame) == 20
    assert set(frame["state"]) == {"COMPLETE", "PRUNED"}
    assert all(len(t.intermediate_values) == 3 for t in result.study.trials if t.state.name == "COMPLETE")


def test_a_search_interrupted_between_looks_ends_as_one_that_was_not(tmp_path: Path) -> None:
    class Interrupted(Cheap):
        def __call__(self, spec: Row, *, fidelity: float = 1.0) -> Mapping[str, float]:
            if len(self.asked) in (7, 23, 24, 41):
                self.asked.append((spec, -1))
                raise KeyboardInterrupt
            return super().__call__(spec, fidelity=fidelity)

    evaluate = Interrupted()
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "s", evaluate)
    assert story(run(tmp_path / "s", evaluate)) == story(run(tmp_path / "whole"))


def test_an_answered_trial_ends_as_the_first_one_did(tmp_path: Path) -> None:
    sampler = optuna.samplers.RandomSampler(seed=0)
    result = run(tmp_path / "s", sampler=sampler, trials=90)
    answered = [t for t in result.study.trials if "answered_by" in t.user_attrs]
    assert {t.state.name for t in answered} == {"COMPLETE", "PRUNED"}
    for trial in answered:
        first = result.study.trials[trial.user_attrs["answered_by"]]
        assert (trial.state, trial.values, trial.intermediate_values) == (
            first.state,
            first.values,
            first.intermediate_values,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fidelities": (0.3, 0.1, 1.0)}, "`fidelities` must grow from at least 1/1000 to 1, as (0.1, 0.3, 1.0), got"),
        ({"fidelities": (0.1, 0.5)}, "`fidelities` must grow"),
        ({"fidelities": ()}, "`fidelities` must grow"),
        ({"fidelities": (float("nan"), 1.0)}, "`fidelities` must grow"),
        ({"fidelities": ("a", 1.0)}, "`fidelities` must grow"),
        ({"fidelities": (0.0001, 1.0)}, "`fidelities` must grow"),
        ({"evaluate": score}, "'test_searchers_table.score' does not: give an object with a `fingerprint`"),
        (
            {"objectives": {"accuracy": "maximize", "images": "minimize"}, "sampler": "pareto"},
            "candidates are compared by one objective, got accuracy, images: give one objective, or one fidelity",
        ),
    ],
)
def test_a_wrong_argument_is_said_in_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(MetanetError) as failure:
        run(tmp_path / "s", **options)
    assert message in str(failure.value)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("keep", [0, 1, -0.5])
def test_a_share_that_passes_is_between_0_and_1(keep: float) -> None:
    with pytest.raises(MetanetError, match="`keep` of AsynchronousHalving must be between 0 and 1, got"):
        AsynchronousHalving(keep)


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=25), keep=st.sampled_from([0.2, 1 / 3, 0.5]))
def test_halving_by_brute_force(values: list[int], keep: float) -> None:
    """By the definition: who passes has fewer better rivals than places; equals do not stand in each other's way."""
    study = optuna.create_study(direction="maximize")
    for i, value in enumerate(values):
        trial = study.ask()
        trial.report(value, 100)
        frozen = study.get_trials(deepcopy=False)[i]
        places = max(1, int(keep * (i + 1) + 1e-12))
        assert AsynchronousHalving(keep).prune(study, frozen) == (sum(v > value for v in values[: i + 1]) >= places)


def test_an_answer_is_no_rival() -> None:
    study = optuna.create_study(direction="maximize")
    for value, answered in ((0.5, False), (0.9, False), (0.9, True), (0.9, True), (0.7, False), (0.8, False)):
        trial = study.ask()
        trial.report(value, 100)
        if answered:
            trial.set_user_attr("answered_by", 1)
    # 0.8 is the second of four, 0.9 ahead: half of four is two. With the answers three would be ahead of it.
    assert not AsynchronousHalving(0.5).prune(study, study.get_trials(deepcopy=False)[-1])
    assert AsynchronousHalving(0.5).prune(study, study.get_trials(deepcopy=False)[0])


def test_a_table_with_cheap_looks_finds_the_same_best_for_less() -> None:
    """On a table whose cheap looks keep the order, racing finds what full looks find, with less work."""
    table: SearchSpace[Any] = ChoiceTable("t", {name: tuple(range(5)) for name in "abcd"})
    work = []

    class Table:
        fingerprint = "table"

        def __call__(self, row: Any, *, fidelity: float = 1.0) -> Mapping[str, float]:
            work.append(fidelity)
            return {"accuracy": -sum((i - 2) ** 2 for i in row.indices) * (0.5 + fidelity / 2)}

    import tempfile

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, fidelities in (("full", (1.0,)), ("race", FIDELITIES)):
            work.clear()
            result = search(
                table, Table(), sampler=RandomFeasible(), trials=150, fidelities=fidelities, store=f"{folder}/{name}"
            )
            found.append((result.best.values["accuracy"], sum(work)))
    assert found[0][0] == found[1][0]
    assert found[1][1] < 0.5 * found[0][1]
