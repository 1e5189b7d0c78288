"""What the predictor makes of cheap scores: it follows the good, learns to leave the bad, and survives the broken."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from metanet.bench.proxies import proxy_evaluator
from metanet.data import ArrayImages, Labelled
from metanet.errors import MetanetError
from metanet.search_spaces import load_space
from metanet.searchers import ChoiceTable, PredictorGuided, search
from metanet.searchers.samplers.beside import FAR, Scored

TABLE = ChoiceTable("letters", {f"g{i}": ("a", "b", "c") for i in range(7)} | {"depth": (1, 2, 3)})
EFFECTS = np.random.default_rng(0).normal(size=(7, 3))


def value(row: Any) -> float:
    """Single effects, and one of a pair."""
    letters = [("a", "b", "c").index(row[f"g{i}"]) for i in range(7)]
    return float(EFFECTS[range(7), letters].sum() + row["depth"] * (row["g0"] == "b"))


def found(proxies: Callable[[Any], Mapping[str, float]] | None, trials: int, seed: int) -> list[float]:
    study = optuna.create_study(direction="maximize", sampler=PredictorGuided(space=TABLE, seed=seed, proxies=proxies))
    study.optimize(lambda trial: value(TABLE.suggest(trial)), n_trials=trials)
    return [trial.value for trial in study.trials if trial.value is not None]


def test_a_good_proxy_finds_good_architectures_sooner() -> None:
    plain, told = (
        np.mean([max(found(proxies, 12, seed)) for seed in range(5)])
        for proxies in (None, lambda row: {"p": value(row)})
    )
    assert told > plain


def test_without_results_to_learn_from_proxies_change_nothing() -> None:
    assert found(None, 8, 0) == found(lambda row: {"p": value(row)}, 8, 0)


@pytest.mark.parametrize("scores", [{}, {"p": math.nan}, {"p": math.inf}, {"p": 1.0}])
def test_scores_that_tell_nothing_leave_a_search_that_learns_from_genes(scores: dict[str, float]) -> None:
    values = found(lambda row: scores, 30, 0)
    assert len(values) == 30 and np.mean(values[20:]) > np.mean(values[:8])


def test_proxies_that_fail_are_warned_of_and_the_search_goes_on() -> None:
    def broken(row: Any) -> dict[str, float]:
        if row["g1"] == "c":
            raise RuntimeError("no memory for this one")
        return {"p": value(row)}

    with pytest.warns(UserWarning, match="the proxies failed: RuntimeError: no memory for this one"):
        values = found(broken, 20, 0)
    assert len(values) == 20


def test_scores_are_standardised_by_hand_and_errors_left_out() -> None:
    asked = []

    def proxies(row: Any) -> dict[str, float]:
        asked.append(row)
        number = {1: 2.0, 2: 4.0, 3: 1e6}[row["depth"]]
        return {"depth": number, "depth.se": 0.1} | ({"sometimes": number} if number < 3 else {})

    row = np.zeros(8, np.int64)
    rows = np.stack([row, row + np.eye(8, dtype=np.int64)[7], row + 2 * np.eye(8, dtype=np.int64)[7]])
    scored = Scored(proxies, TABLE)
    standard = scored.standard(rows[:2])
    assert standard(rows).tolist() == [[-1.0, 0.0], [1.0, 0.0], [FAR, 0.0]]  # of "sometimes" one value: no deviation
    assert len(asked) == 3  # each once


def test_networks_are_searched_with_proxies_of_their_own(tmp_path: Path) -> None:
    """A study with proxies, killed after some trials, goes on as one that was not."""
    space = load_space("metanet-tiny").freeze(resolution=28)
    rng = np.random.default_rng(0)
    images = ArrayImages("noise", rng.integers(0, 256, (24, 28, 28), np.uint8), np.arange(24) % 2, ("a", "b"))
    data = Labelled(images, np.arange(24))

    def searched(store: Path, trials: int) -> list[str]:
        sampler = PredictorGuided(
            first=3, pool=6, shortlist=4, proxies=proxy_evaluator(["naswot", "snip"], data, batch=8, repeats=1)
        )
        options: dict[str, Any] = {"constraints": "macs <= 1M", "sampler": sampler, "store": store, "seed": 1}
        result = search(space, lambda spec: float(space.price(spec)["params"]), trials=trials, quiet=True, **options)
        return result.to_dataframe()["spec"].tolist()

    searched(tmp_path / "parts.journal", 5)
    assert searched(tmp_path / "parts.journal", 7) == searched(tmp_path / "whole.journal", 7)


def test_studies_with_other_proxies_are_kept_apart() -> None:
    def cheap(row: Any) -> dict[str, float]:
        return {"p": 1.0}

    assert str(PredictorGuided()) == "PredictorGuided(first=8, pool=200)"
    assert str(PredictorGuided(proxies=cheap)).endswith("cheap, shortlist=32)")


def test_what_is_no_function_is_said_in_one_sentence() -> None:
    with pytest.raises(
        MetanetError, match=r"`proxies` must be a function .*, got 'snip': .*proxy_evaluator` makes one"
    ):
        PredictorGuided(proxies="snip")  # type: ignore[arg-type]
    with pytest.raises(MetanetError, match="shortlist"):
        PredictorGuided(shortlist=0)
