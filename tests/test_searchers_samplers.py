"""Native samplers: the algorithm of the paper, and a life without `search`."""

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from test_searchers_table import Row, TableSpace, score

from metanet.errors import MetanetError
from metanet.searchers.samplers import SAMPLERS, AgingEvolution, NativeSampler, RandomFeasible

SPACE = TableSpace()
LIMIT = "macs <= 14"


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("direction", [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
def test_a_sampler_lives_in_optuna_without_search(name: str, direction: StudyDirection) -> None:
    sampler = SAMPLERS[name](space=SPACE, constraints=LIMIT, seed=1)
    study = optuna.create_study(direction=direction, sampler=sampler)
    asked: list[Row] = []

    def objective(trial: optuna.Trial) -> float:
        asked.append(SPACE.suggest(trial))
        return score(asked[-1])

    study.enqueue_trial({gene.name: 0 for gene in SPACE.genes} | {"g3": 20})  # `g3` has no effect here: not canonical
    study.optimize(objective, n_trials=35)
    assert len(set(asked)) == 35
    assert all(SPACE.feasible(spec, LIMIT) for spec in asked)
    for trial, spec in zip(study.trials[1:], asked[1:], strict=True):
        assert tuple(trial.params.values()) == tuple(10 * i for i in spec.choices)  # canonical as suggested


def test_evolution_mutates_the_best_of_the_living() -> None:
    """With a tournament that all of the living enter, each child is one step from the best of the last four."""
    space = TableSpace(count=8)
    sampler = AgingEvolution(space=space, population=4, tournament=200, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    asked: list[Row] = []
    for _ in range(24):
        trial = study.ask()
        asked.append(space.suggest(trial))
        study.tell(trial, score(asked[-1]))
    for i in range(4, len(asked)):
        parent = max(asked[i - 4 : i], key=score)
        assert asked[i] in space.near(parent)
    youngest = [max(asked[i - 4 : i], key=score) != max(asked[:i], key=score) for i in range(4, len(asked))]
    assert any(youngest)  # the best of all had died of age in between: elitism would fail above


def test_evolution_beats_chance() -> None:
    space = TableSpace(count=6)

    def best(sampler: NativeSampler) -> float:
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(lambda trial: score(space.suggest(trial)), n_trials=60)
        return study.best_value

    wins = [
        best(AgingEvolution(space=space, population=15, seed=seed)) - best(RandomFeasible(space=space, seed=seed))
        for seed in range(6)
    ]
    assert sum(win > 0 for win in wins) >= 5


def test_a_sampler_without_a_space_says_what_to_do() -> None:
    study = optuna.create_study(sampler=RandomFeasible())
    with pytest.raises(MetanetError, match=r"RandomFeasible has no space: make it as RandomFeasible\(space=space\)"):
        SPACE.suggest(study.ask())


@pytest.mark.parametrize("options", [{"population": 0}, {"tournament": 2.5}])
def test_wrong_options_are_said_in_one_sentence(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(MetanetError, match=f"`{name}` of AgingEvolution must be a whole number of at least 1, got "):
        AgingEvolution(**options)
    assert str(AgingEvolution(population=9)) == "AgingEvolution(population=9, tournament=5, first=10)"


def test_a_parent_without_neighbours_gives_way_to_chance() -> None:
    class Lonely(TableSpace):
        def mutate(self, spec: Row, rng: np.random.Generator, constraints: str | None = None) -> Row:
            raise MetanetError("no feasible neighbour")

    space = Lonely()
    study = optuna.create_study(sampler=AgingEvolution(space=space, population=2))
    study.optimize(lambda trial: score(space.suggest(trial)), n_trials=6)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 6
