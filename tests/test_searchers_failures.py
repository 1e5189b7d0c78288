"""What can go wrong in a search: in its arguments, in its evaluator, and from outside."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from optuna.pruners import HyperbandPruner, NopPruner
from test_searchers_table import Recorder, Row, TableSpace, score, told

from metanet.errors import MetanetError
from metanet.searchers import ChoiceTable, InProcess, PredictorGuided, RandomFeasible, search

SPACE = TableSpace()


def test_failures_are_recorded_and_never_proposed_again(tmp_path: Path) -> None:
    def fragile(spec: Row) -> Any:
        if spec.choices[1] == 2:
            raise RuntimeError("out of memory")
        return {1: math.nan, 0: score(spec)}[spec.choices[2] % 2]

    recorder = Recorder(fragile)
    result = search(SPACE, recorder, sampler="random", trials=60, max_failures=60, store=tmp_path / "s")
    assert len(set(recorder.asked)) == 60
    frame = result.to_dataframe()
    assert list(frame["state"]) == [
        "FAIL" if spec.choices[1] == 2 or spec.choices[2] == 1 else "COMPLETE" for spec in recorder.asked
    ]
    reasons = set(frame["reason"].dropna())
    assert reasons == {"RuntimeError: out of memory", "the evaluator returned accuracy = nan"}
    assert (frame["seconds"] >= 0).all()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.inf, "the evaluator returned accuracy = inf"),
        ({"loss": 1.0}, "the evaluator returned no 'accuracy', only loss"),
        ({"accuracy": "good"}, "the evaluator returned accuracy = 'good', which is no number"),
        (None, "the evaluator returned accuracy = None, which is no number"),
    ],
)
def test_failures_in_a_row_end_the_search_and_it_can_go_on(value: Any, reason: str, tmp_path: Path) -> None:
    broken = True

    def evaluate(spec: Row) -> Any:
        return value if broken else score(spec)

    with pytest.raises(MetanetError, match="3 evaluations in a row failed") as failure:
        search(SPACE, evaluate, trials=9, max_failures=3, store=tmp_path / "s")
    assert reason in str(failure.value).replace("\\", "")
    assert "run the same search again" in str(failure.value)
    broken = False
    result = search(SPACE, evaluate, trials=9, max_failures=3, store=tmp_path / "s")
    assert list(result.to_dataframe()["state"]) == ["FAIL"] * 3 + ["COMPLETE"] * 6


def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    calls = itertools.count()

    def evaluate(spec: Row) -> float:
        if next(calls) in (3, 11):
            raise KeyboardInterrupt
        return score(spec)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, evaluate, trials=20, store=tmp_path / "s")
    result = search(SPACE, evaluate, trials=20, store=tmp_path / "s")
    assert list(result.to_dataframe()["state"]).count("ABANDONED") == 2
    whole = Recorder()
    reference = search(SPACE, whole, trials=20, store=tmp_path / "whole")
    assert told(result) == told(reference)
    assert result.best.spec == reference.best.spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "evolutoin"}, "unknown sampler 'evolutoin': did you mean 'evolution'"),
        ({"objectives": {"accuracy": "max"}}, "unknown direction of the objective 'accuracy' 'max'"),
        ({"objectives": {}}, "`objectives` must be names with directions"),
        ({"objectives": {"seconds": "minimize"}}, "an objective cannot be named 'seconds', as a column of every study"),
        (
            {"pruner": HyperbandPruner(), "fidelities": (0.1, 1.0)},
            "HyperbandPruner hides from the sampler what its other brackets saw",
        ),
        ({"trials": 0}, "`trials` must be a whole number of at least 1, got 0"),
        ({"trials": 2.5}, "`trials` must be a whole number of at least 1, got 2.5"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0, got -1"),
        ({"max_failures": 0}, "`max_failures` must be a whole number of at least 1, got 0"),
        ({"constraints": "macs <= -1"}, "nothing keeps"),
        (
            {"constraints": ["macs <= 3"]},
            "`constraints` must be a text, as 'macs <= 5M, params <= 400k', got ['macs <=",
        ),
        ({"executor": "ray"}, "`executor` must be one of the executors, as LocalProcesses(workers=4), got 'ray'"),
        ({"executor": InProcess}, "`executor` must be one of the executors, as LocalProcesses(workers=4), got <class"),
        ({"fidelities": 0.5}, "`fidelities` must be several numbers, as (0.1, 0.3, 1.0), got 0.5"),
        (
            {"fidelities": iter((0.5, 1))},
            "`fidelities` must be several numbers, as (0.1, 0.3, 1.0), got <tuple_iterator",
        ),
        ({"fidelities": "1"}, "`fidelities` must be several numbers, as (0.1, 0.3, 1.0), got '1'"),
        ({"pruner": "median"}, "`pruner` must be one of Optuna's pruners, or None, got 'median'"),
        ({"pruner": NopPruner()}, "a pruner decides between fidelities, and there is one: give several, as (0.1, 0.3,"),
        ({"objectives": {1: "maximize"}}, "an objective must be named by a text, got 1"),
        ({"sampler": 3}, "`sampler` must be a name or a sampler, got 3"),
        (
            {"sampler": PredictorGuided(constraints="macs <= 3")},
            "PredictorGuided was made with constraints='macs <= 3', the search has constraints=None: give",
        ),
        (
            {"sampler": RandomFeasible(seed=4)},
            "RandomFeasible was made with seed=4, the search has seed=0: give `seed`",
        ),
        (
            {"sampler": RandomFeasible(space=ChoiceTable("other", {"a": (1, 2)}))},
            "RandomFeasible was made for the space 'other', the search is of another one, 'table': leave `space` out",
        ),
        (
            {"objectives": {"a": "maximize", "b": "maximize"}, "sampler": "evolution"},
            "AgingEvolution climbs one objective, got 2",
        ),
    ],
)
def test_a_wrong_argument_is_said_in_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(MetanetError) as failure:
        search(SPACE, score, store=tmp_path / "s", **options)
    assert message in str(failure.value)
    assert not (tmp_path / "s").exists()


def test_an_evaluator_must_be_callable(tmp_path: Path) -> None:
    with pytest.raises(MetanetError, match="`evaluate` must be a function of an architecture"):
        search(SPACE, 0.5, store=tmp_path / "s")  # type: ignore[arg-type]
