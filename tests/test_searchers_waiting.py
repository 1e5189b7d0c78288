"""What must wait for evaluations that are running: where nothing new is left, and nothing of it may be lost."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from metanet.searchers import ChoiceTable, controls, load_result, search
from metanet.searchers.executors import Outcome, attempt

SIX = ChoiceTable("six", {"a": (1, 2, 3), "b": (1, 2)}, {"macs": {"a": (1, 5, 9), "b": (0, 10)}})
TWO = "macs <= 6"  # two of the six


class Several:
    """Asks for as many as it has room for before it evaluates the oldest; interrupted after so many."""

    def __init__(self, room: int, end: int | None = None) -> None:
        self.room, self.end = room, end

    def map(self, evaluate: Any, specs: Iterable[Any]) -> Iterator[Outcome[Any]]:
        stream, held, told, asking = iter(specs), list[Any](), 0, True
        while True:
            while asking and len(held) < self.room:
                spec = next(stream, stream)
                asking = spec is not None and spec is not stream
                if asking:
                    held.append(spec)
            if told == self.end:
                raise KeyboardInterrupt
            if not held:
                return
            told, asking = told + 1, True
            yield attempt(evaluate, held.pop(0))


def score(row: Any) -> float:
    return float(row["a"] - row["b"])


@pytest.mark.parametrize("room", [1, 2, 3, 8])
def test_what_an_optuna_sampler_repeats_while_it_runs_is_answered_when_it_has_ended(room: int, tmp_path: Path) -> None:
    asked: list[str] = []

    def evaluate(row: Any) -> float:
        asked.append(row.id)
        return score(row)

    options: dict[str, Any] = {"constraints": TWO, "trials": 10, "store": tmp_path / "s"}
    result = search(SIX, evaluate, sampler=optuna.samplers.TPESampler(seed=0), executor=Several(room), **options)
    assert sorted(asked) == ["0-0", "1-0"] and len(result.scored) == 2
    states = result.to_dataframe()["state"].value_counts()
    assert states["COMPLETE"] == 10 and set(states.index) <= {"COMPLETE", "ABANDONED"}


def test_an_architecture_whose_process_was_lost_is_evaluated_after_all(tmp_path: Path) -> None:
    options: dict[str, Any] = {"constraints": TWO, "trials": 10, "store": tmp_path / "s"}
    with pytest.raises(KeyboardInterrupt):
        search(SIX, score, sampler=optuna.samplers.TPESampler(seed=0), executor=Several(3, end=0), **options)
    assert not load_result(tmp_path / "s").scored
    result = search(SIX, score, sampler=optuna.samplers.TPESampler(seed=0), executor=Several(3), **options)
    assert {one.spec.id for one in result.scored} == {"0-0", "1-0"}


@pytest.mark.parametrize("sampler", ["random", "predictor", "evolution"])
@pytest.mark.parametrize("end", range(6))
def test_a_search_that_had_proposed_everything_still_evaluates_what_was_lost(
    sampler: str, end: int, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"sampler": sampler, "trials": 50, "store": tmp_path / "s"}
    with pytest.raises(KeyboardInterrupt):
        search(SIX, score, executor=Several(8, end=end), **options)
    found = load_result(tmp_path / "s")
    assert len(found.scored) == end and found.stopped is None
    found = search(SIX, score, executor=Several(8), **options)
    assert len(found.scored) == 6 and found.stopped is not None and "loosen the constraints" in found.stopped
    assert search(SIX, score, **options).scored == found.scored


@pytest.mark.parametrize("room", [1, 3, 8])
@pytest.mark.parametrize("trials", [7, 8, 20])
def test_a_budget_of_more_than_there_is_ends_when_all_is_evaluated(room: int, trials: int, tmp_path: Path) -> None:
    result = search(SIX, score, sampler="random", trials=trials, executor=Several(room), store=tmp_path / "s")
    states = result.to_dataframe()["state"].value_counts()
    assert states["COMPLETE"] == 6 and set(states.index) <= {"COMPLETE", "ABANDONED"}
    assert result.stopped is not None and "loosen the constraints" in result.stopped


def test_what_a_user_enqueued_is_evaluated_within_the_budget(tmp_path: Path) -> None:
    result = search(SIX, score, sampler="random", trials=2, store=tmp_path / "s")
    wanted = next(row for row in SIX.sample(100, seed=0) if row.id not in {one.spec.id for one in result.scored})
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s")))
    optuna.load_study(study_name="search", storage=storage).enqueue_trial(dict(wanted.values))
    result = search(SIX, score, sampler="random", trials=3, store=tmp_path / "s")
    assert [one.spec for one in result.scored][2] == wanted


class Falling:
    """The dearer, the worse."""

    fingerprint = "falling"

    def __call__(self, row: Any, *, fidelity: float = 1.0) -> dict[str, float]:
        return {"accuracy": -float(row["width"] + row["depth"])}


def test_the_control_with_the_most_macs_is_the_dearest_draw_whatever_it_scored(tmp_path: Path) -> None:
    numbers = tuple(range(1, 21))
    costs = {"macs": {"width": numbers, "depth": numbers}}
    space = ChoiceTable("falling", {"width": numbers, "depth": numbers}, costs)
    found = controls(space, Falling(), trials=40, fidelities=(0.1, 1.0), store=tmp_path / "s")
    table = found.random.to_dataframe()
    assert found.most_macs.costs["macs"] == table["macs"].max()
    assert found.most_macs.number == table["macs"].idxmax() and table["state"][found.most_macs.number] == "PRUNED"
    assert found.most_macs.values["accuracy"] != found.most_macs.values["accuracy"]  # no score in full
    assert found.random.report(tmp_path / "study", found.random).exists()
