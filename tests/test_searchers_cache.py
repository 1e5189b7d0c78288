"""Evaluations that outlive their study."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from test_searchers_table import Row, TableSpace, score, told

from metanet.errors import MetanetError
from metanet.searchers import LocalProcesses, controls, search
from metanet.searchers.cache import EvaluationCache, cache_in

SPACE = TableSpace()


class Counted:
    def __init__(self, fingerprint: str = "counted", value: Any = None) -> None:
        self.fingerprint, self.asked, self.value = fingerprint, [], value

    def __call__(self, spec: Row, *, fidelity: float = 1.0) -> Mapping[str, float]:
        self.asked.append((spec, fidelity))
        return {"accuracy": score(spec) * fidelity} if self.value is None else self.value


def test_a_study_made_again_evaluates_nothing(tmp_path: Path) -> None:
    first, again = Counted(), Counted()
    whole = search(SPACE, first, trials=20, cache=tmp_path / "c", store=tmp_path / "a")
    other = search(SPACE, again, trials=20, cache=tmp_path / "c", store=tmp_path / "b")
    assert len(first.asked) == 20 and not again.asked
    assert told(whole) == told(other)


def test_controls_are_answered_where_they_draw_what_the_search_drew(tmp_path: Path) -> None:
    evaluate = Counted()
    options: dict[str, Any] = {"constraints": "macs <= 15", "trials": 12, "cache": tmp_path / "c", "seed": 3}
    search(SPACE, evaluate, store=tmp_path / "a", **options)
    drawn = {spec for spec, _ in evaluate.asked}
    control = controls(SPACE, evaluate, store=tmp_path / "b", **options)
    assert len(evaluate.asked) == len({*evaluate.asked})
    assert len(evaluate.asked) < 24
    assert drawn & {one.spec for one in control.random.scored}


@pytest.mark.parametrize(
    "other",
    [
        {"space": TableSpace(width=4)},
        {"evaluate": Counted("another")},
        {"fidelities": (0.5, 1.0)},
    ],
)
def test_other_spaces_evaluators_and_fidelities_are_other_evaluations(other: dict[str, Any], tmp_path: Path) -> None:
    given: dict[str, Any] = {"space": SPACE, "trials": 9, "sampler": "random", "cache": tmp_path / "c"}
    search(**{**given, "evaluate": Counted(), "store": tmp_path / "a"})
    evaluate = other.get("evaluate", Counted())
    search(**{**given, "evaluate": evaluate, "store": tmp_path / "b", **other})
    full = [spec for spec, fidelity in evaluate.asked if fidelity == 1]
    assert len(evaluate.asked) >= 9
    assert (not full) == ("fidelities" in other)  # the full looks at the same architectures are known


@pytest.mark.slow
def test_processes_share_a_folder(tmp_path: Path) -> None:
    search(SPACE, Counted(), trials=9, sampler="random", cache=tmp_path / "c", store=tmp_path / "a")
    again = Counted(value=[])  # would fail
    search(
        SPACE,
        again,
        trials=9,
        sampler="random",
        cache=tmp_path / "c",
        store=tmp_path / "b",
        executor=LocalProcesses(2),
        max_failures=1,
    )


@pytest.mark.parametrize("value", [{"accuracy": math.nan}, {"accuracy": "good"}, None, 0.5])
def test_what_is_no_score_is_not_kept(value: Any, tmp_path: Path) -> None:
    cache = EvaluationCache(tmp_path, "space", "evaluator")
    for _ in range(2):
        found = cache.answer("a", 1.0, lambda: value)
        assert found is value
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    cache = EvaluationCache(tmp_path, "space", "evaluator")
    assert cache.answer("a", 1.0, lambda: {"accuracy": 0.1 + 0.2}) == {"accuracy": 0.1 + 0.2}
    (file,) = tmp_path.iterdir()
    file.write_text('{"metrics": {"accu')
    assert cache.answer("a", 1.0, lambda: {"accuracy": 7.0}) == {"accuracy": 7.0}
    assert cache.answer("a", 1.0, lambda: {"accuracy": 8.0}) == {"accuracy": 7.0}


def test_a_cache_that_cannot_be_written_costs_its_use_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    cache = EvaluationCache(tmp_path, "space", "evaluator")
    monkeypatch.setattr("os.replace", full)
    assert cache.answer("a", 1.0, lambda: {"accuracy": 0.3}) == {"accuracy": 0.3}
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_a_plain_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MetanetError, match=r"evaluations of a plain function .*score.* give an evaluator with a `finger"
    ):
        search(SPACE, score, cache=tmp_path / "c", store=tmp_path / "s")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MetanetError, match="cannot write in the run folder"):
        cache_in(tmp_path / "file", SPACE, Counted())
