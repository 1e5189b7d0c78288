"""The loop: what is proposed, evaluated and recorded."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from test_searchers_table import Recorder, Row, TableSpace, score, told

from metanet.errors import MetanetError
from metanet.searchers import search
from metanet.searchers.executors import Outcome, attempt

LIMIT = "macs <= 8, params <= 7"
SPACE = TableSpace()
FOREIGN: list[Callable[[], optuna.samplers.BaseSampler]] = [
    lambda: optuna.samplers.TPESampler(seed=0),
    lambda: optuna.samplers.RandomSampler(seed=0),
    lambda: optuna.samplers.NSGAIISampler(population_size=6, seed=0),
]


@pytest.mark.parametrize("sampler", ["random", "evolution", None])
def test_only_feasible_architectures_are_evaluated_and_none_twice(sampler: str | None, tmp_path: Path) -> None:
    recorder = Recorder()
    allowed = SPACE.allowed(LIMIT)
    result = search(SPACE, recorder, constraints=LIMIT, sampler=sampler, trials=len(allowed) - 3, store=tmp_path / "s")
    assert len(recorder.asked) == len(set(recorder.asked)) == len(allowed) - 3
    assert set(recorder.asked) <= set(allowed)
    assert [one.spec for one in result.scored] == recorder.asked
    assert result.best.values["accuracy"] == max(map(score, recorder.asked))


def test_a_space_of_networks_is_searched_like_a_table(tmp_path: Path) -> None:
    from metanet.search_spaces import load_space

    space = load_space("metanet-tiny")
    limit = "macs <= 5M, params <= 400k"
    result = search(
        space, lambda spec: sum(s.depth for s in spec.stages), constraints=limit, trials=40, store=tmp_path / "s"
    )
    assert all(space.feasible(one.spec, limit) and one.costs == space.price(one.spec) for one in result.scored)
    assert len({one.spec.id for one in result.scored}) == 40
    row = result.to_dataframe().iloc[7]
    assert [row[f"gene.{gene.name}"] for gene in space.genes] == [
        gene.choices[i] for gene, i in zip(space.genes, space.encode(result.scored[7].spec), strict=True)
    ]


def test_equal_seeds_give_equal_studies_and_other_seeds_others(tmp_path: Path) -> None:
    runs = [search(SPACE, score, seed=seed, trials=40, store=tmp_path / f"{i}") for i, seed in enumerate((3, 3, 4))]
    assert told(runs[0]) == told(runs[1])
    assert told(runs[0]) != told(runs[2])


def test_a_study_is_extended_by_more_trials_and_a_finished_one_evaluates_nothing(tmp_path: Path) -> None:
    whole = search(SPACE, score, trials=40, store=tmp_path / "whole")
    search(SPACE, score, trials=25, store=tmp_path / "pieces")
    again = Recorder(lambda spec: pytest.fail("evaluated again"))
    with pytest.raises(MetanetError, match="evaluator"):
        search(SPACE, again, trials=25, store=tmp_path / "pieces")
    pieces = search(SPACE, score, trials=40, store=tmp_path / "pieces")
    assert told(pieces) == told(whole)
    content = (tmp_path / "pieces").read_bytes()
    assert told(search(SPACE, score, trials=40, store=tmp_path / "pieces")) == told(whole)
    assert told(search(SPACE, score, trials=7, store=tmp_path / "pieces")) == told(whole)
    assert (tmp_path / "pieces").read_bytes() == content


@pytest.mark.parametrize("make", FOREIGN)
def test_an_optuna_sampler_is_repaired_and_answered(
    make: Callable[[], optuna.samplers.BaseSampler], tmp_path: Path
) -> None:
    recorder = Recorder()
    result = search(SPACE, recorder, constraints=LIMIT, sampler=make(), trials=50, store=tmp_path / "s")
    assert len(recorder.asked) == len(set(recorder.asked))
    assert set(recorder.asked) <= set(SPACE.allowed(LIMIT))
    frame = result.to_dataframe()
    assert len(frame) == 50
    assert frame["answered_by"].isna().sum() == len(recorder.asked) < 50
    for trial in result.study.trials:
        suggested = Row(tuple(SPACE.genes[i].choices.index(v) for i, v in enumerate(trial.params.values())))
        evaluated = SPACE.decode(trial.user_attrs["genes"])
        changed = sum(a != b for a, b in zip(suggested.choices, evaluated.choices, strict=True))
        assert trial.user_attrs.get("repaired", 0) == changed
        assert ("repaired" in trial.user_attrs) == (not SPACE.feasible(suggested, LIMIT))
        assert trial.values == [score(evaluated)]
        first = result.study.trials[trial.user_attrs.get("answered_by", trial.number)]
        assert first.user_attrs["genes"] == trial.user_attrs["genes"]


def test_a_sampler_with_a_finite_grid_ends_the_search(tmp_path: Path) -> None:
    grid = {gene.name: gene.choices[:2] for gene in SPACE.genes}
    result = search(SPACE, score, sampler=optuna.samplers.GridSampler(grid, seed=0), trials=99, store=tmp_path / "s")
    assert len(result.study.trials) == 16
    assert result.stopped == "GridSampler has nothing more to propose"


@pytest.mark.parametrize("sampler", ["random", "evolution"])
def test_an_exhausted_space_ends_the_search_with_a_sentence(sampler: str, tmp_path: Path) -> None:
    limit = "macs <= 3"
    recorder = Recorder()
    for trials in (50, 60):
        result = search(SPACE, recorder, constraints=limit, sampler=sampler, trials=trials, store=tmp_path / "s")
        assert sorted(recorder.asked, key=str) == sorted(SPACE.allowed(limit), key=str)
        assert result.stopped is not None
        assert f"after {len(recorder.asked)} trials" in result.stopped
        assert "loosen the constraints" in result.stopped


def test_a_finished_search_was_not_stopped(tmp_path: Path) -> None:
    assert search(SPACE, score, trials=3, store=tmp_path / "s").stopped is None


def test_results_may_come_in_any_order(tmp_path: Path) -> None:
    class Backwards:
        """Takes three architectures at a time and returns them last first, as parallel workers may."""

        def map(self, evaluate: Any, specs: Iterable[Any]) -> Iterator[Outcome[Any]]:
            stream = iter(specs)
            while batch := list(itertools.islice(stream, 3)):
                yield from [attempt(evaluate, spec) for spec in reversed(batch)]

    samplers: list[str | optuna.samplers.BaseSampler] = ["evolution", optuna.samplers.RandomSampler(seed=1)]
    for i, sampler in enumerate(samplers):
        recorder = Recorder()
        result = search(SPACE, recorder, sampler=sampler, trials=40, executor=Backwards(), store=tmp_path / f"{i}")
        assert len(recorder.asked) == len(set(recorder.asked))
        assert all(trial.values == [score(SPACE.decode(trial.user_attrs["genes"]))] for trial in result.study.trials)


def test_optuna_says_nothing_and_is_left_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    search(SPACE, score, trials=3, store=tmp_path / "s")
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before


def test_the_bar_shows_how_far_it_is_and_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = search(SPACE, score, trials=3, store=tmp_path / "s", quiet=False)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert f"best accuracy {result.best.values['accuracy']:.4g}" in shown
