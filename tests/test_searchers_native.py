"""What every native sampler promises, and what is each one's own."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.study import Study
from test_searchers_table import Recorder, Row, TableSpace, score, told

from metanet.errors import MetanetError
from metanet.search_spaces import load_space
from metanet.searchers import ChoiceTable, search
from metanet.searchers.executors import Outcome, attempt
from metanet.searchers.history import genome
from metanet.searchers.samplers import (
    SAMPLERS,
    LocalSearch,
    NativeSampler,
    ParetoEvolution,
    PolicyGradient,
    PredictorGuided,
    RandomFeasible,
    RepeatFree,
)
from metanet.searchers.samplers.pareto_evolution import best_first, crowding
from metanet.searchers.samplers.policy_gradient import CLIP, EPOCHS
from metanet.searchers.samplers.told import costs_of, neighbours
from metanet.searchers.table import TableRow

SPACE = TableSpace()
LIMIT = "macs <= 14"
ONE = [name for name in SAMPLERS if SAMPLERS[name].one_objective]
SEVERAL = [name for name in SAMPLERS if not SAMPLERS[name].one_objective]


class Backwards:
    """Takes three architectures at a time and returns them last first, as parallel workers may."""

    def map(self, evaluate: Any, specs: Iterable[Any]) -> Iterator[Outcome[Any]]:
        stream = iter(specs)
        while batch := list(itertools.islice(stream, 3)):
            yield from [attempt(evaluate, spec) for spec in reversed(batch)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_search_in_pieces_is_the_search_in_one_go(name: str, tmp_path: Path) -> None:
    def run(store: str, trials: int, seed: int = 5) -> list[tuple[Any, ...]]:
        options: dict[str, Any] = {"constraints": LIMIT, "sampler": name, "seed": seed, "trials": trials}
        return told(search(SPACE, score, store=tmp_path / store, **options))

    whole = run("whole", 32)
    for trials in (7, 8, 21, 32):
        pieces = run("pieces", trials)
        assert pieces == whole[:trials]
    assert run("other", 32, seed=6) != whole
    assert len({spec for _, spec, *_ in whole}) == 32


@pytest.mark.parametrize("name", SAMPLERS)
def test_parallel_proposals_differ_and_none_is_evaluated_twice(name: str, tmp_path: Path) -> None:
    recorder = Recorder()
    search(SPACE, recorder, constraints=LIMIT, sampler=name, trials=36, executor=Backwards(), store=tmp_path / "s")
    assert len(recorder.asked) == len(set(recorder.asked)) == 36
    assert set(recorder.asked) <= set(SPACE.allowed(LIMIT))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_feasible_architecture_is_found_before_the_end(name: str, tmp_path: Path) -> None:
    recorder = Recorder()
    result = search(SPACE, recorder, constraints="macs <= 5", sampler=name, trials=60, store=tmp_path / "s")
    assert set(recorder.asked) == set(SPACE.allowed("macs <= 5"))
    assert result.stopped is not None


@pytest.mark.parametrize("name", SAMPLERS)
def test_networks_and_tables_are_searched_alike(name: str, tmp_path: Path) -> None:
    from metanet.search_spaces import load_space

    networks, limit = load_space("metanet-tiny"), "macs <= 5M, params <= 400k"
    result = search(
        networks, lambda spec: sum(s.depth for s in spec.stages), sampler=name, constraints=limit, trials=14,
        store=tmp_path / "networks",
    )  # fmt: skip
    assert all(networks.feasible(one.spec, limit) for one in result.scored)
    assert len({one.spec.id for one in result.scored}) == 14
    table = ChoiceTable("t", {"a": ("x", "y"), "b": range(4), "c": range(4)}, {"macs": {"b": range(4), "c": range(4)}})
    found = search(
        table, lambda row: row["b"] + (row["a"] == "y"), sampler=name, constraints="macs <= 4", trials=14,
        store=tmp_path / "table",
    )  # fmt: skip
    assert len({one.spec for one in found.scored}) == 14
    assert all(one.costs["macs"] == one.spec["b"] + one.spec["c"] <= 4 for one in found.scored)


@pytest.mark.parametrize("name", ONE)
def test_a_sampler_of_one_objective_says_so(name: str, tmp_path: Path) -> None:
    objectives = {"a": "maximize", "b": "minimize"}
    with pytest.raises(MetanetError, match="climbs one objective, got 2: take the sampler 'pareto', 'predictor' or"):
        search(SPACE, score, objectives=objectives, sampler=name, store=tmp_path / "s")


@pytest.mark.parametrize("name", [None, *SEVERAL])
def test_several_objectives_are_searched_and_their_front_is_that_of_brute_force(
    name: str | None, tmp_path: Path
) -> None:
    def two(spec: Row) -> dict[str, float]:
        return {"accuracy": score(spec), "latency": float(sum(spec.choices))}

    objectives = {"accuracy": "maximize", "latency": "minimize"}
    result = search(SPACE, two, objectives=objectives, sampler=name, trials=63, store=tmp_path / "s")
    assert {one.spec for one in result.scored} == set(SPACE.everything)
    points = {spec: (-score(spec), sum(spec.choices), SPACE.price(spec)["macs"]) for spec in SPACE.everything}
    beaten = {
        a
        for a in points
        for b in points
        if points[a] != points[b] and all(y <= x for x, y in zip(points[a], points[b], strict=True))
    }
    assert {one.spec for one in result.front} == set(points) - beaten


def test_neighbours_are_all_that_one_gene_makes() -> None:
    from metanet.search_spaces import load_space

    networks = load_space("metanet-tiny")
    small, large = (replace(networks.freeze(resolution=side), name=f"at {side}") for side in (28, 64))
    union = small | large
    cases: list[tuple[Any, str | None]] = [(networks, "macs <= 5M, params <= 400k"), (union, None)]
    for space, limit in cases:
        spec = space.sample(1, limit, seed=3)[0]
        key = genome(space, spec)
        found = neighbours(space, key, limit)
        assert len(found) == len(set(found)) > 10
        assert key not in found
        near = [space.decode(row) for row in found]
        assert all(space.feasible(one, limit) and one != spec for one in near)
        assert [genome(space, one) for one in near] == found
        rng = np.random.default_rng(0)
        mutants = [space.mutate(spec, rng, limit) for _ in range(12)]  # now and then one is a fresh draw
        assert np.mean([genome(space, one) in found for one in mutants]) > 0.6
    one = SPACE.decode([1, 2, 0, 1])
    assert {SPACE.decode(row) for row in neighbours(SPACE, (1, 2, 0, 1), LIMIT)} == {
        row for row in SPACE.near(one) if SPACE.feasible(row, LIMIT)
    }


@pytest.mark.parametrize("name", SAMPLERS)
def test_infinite_results_do_not_stop_a_study(name: str) -> None:
    study = optuna.create_study(sampler=SAMPLERS[name](space=SPACE), direction="maximize")
    values = itertools.cycle([1.0, -np.inf, 0.5, np.inf, 0.0])
    study.optimize(lambda trial: next(values) + 0 * score(SPACE.suggest(trial)), n_trials=16)
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 16


def run(sampler: NativeSampler, space: TableSpace, trials: int, **options: Any) -> tuple[Study, list[Row]]:
    study = optuna.create_study(sampler=sampler, **({"direction": "maximize"} | options))
    asked: list[Row] = []
    for _ in range(trials):
        trial = study.ask()
        asked.append(space.suggest(trial))
        value = score(asked[-1])
        study.tell(trial, [value, space.price(asked[-1])["macs"]] if len(study.directions) == 2 else value)
    return study, asked


def test_local_search_evaluates_the_neighbours_of_the_best_and_begins_anew_when_none_is_left() -> None:
    space = TableSpace(count=5)
    _, asked = run(LocalSearch(space=space, first=3, seed=2), space, 110)
    climbs, begin = 0, 0
    for i, spec in enumerate(asked):
        climb = asked[begin:i]
        if len(climb) < 3:
            continue
        left = set(space.near(max(climb, key=score))) - set(asked[:i])
        if left:
            assert spec in left
        else:
            climbs, begin = climbs + 1, i
    assert climbs >= 2


def test_points_are_ordered_by_front_and_crowding_as_by_hand() -> None:
    # Fronts: {0, 1, 2, 3}, {4, 5}, {6}; of the first the ends come first, then the lonelier of the two others.
    values = np.array([[0, 10], [10, 0], [2, 9], [6, 7], [1, 8], [5, 6], [0, 0]], float)
    assert crowding(values[:4]).tolist() == [np.inf, np.inf, 0.6 + 0.3, 0.8 + 0.9]
    assert best_first(values) == [0, 1, 3, 2, 4, 5, 6]
    assert best_first(values, 3) == [0, 1, 3]
    assert best_first(np.array([[3.0], [5.0], [4.0]]), 9) == [1, 2, 0]
    assert crowding(np.ones((3, 2))).tolist() == [np.inf, 0.0, np.inf]


def volume(study: Study) -> float:
    """What (score, MACs) dominate of [0, 1] x [0, 30], by cells."""
    scores, macs = np.meshgrid(np.linspace(0, 1, 101), np.arange(31))
    inside = np.zeros(scores.shape, bool)
    for trial in study.trials:
        inside |= (scores <= trial.values[0]) & (macs >= trial.values[1])
    return float(inside.mean())


@pytest.mark.parametrize("make", [ParetoEvolution, PredictorGuided])
def test_several_objectives_are_climbed_better_than_by_chance(make: type[NativeSampler]) -> None:
    space = TableSpace(count=6)
    pairs = [
        [
            volume(run(kind(space=space, seed=seed), space, 50, directions=["maximize", "minimize"], direction=None)[0])
            for kind in (make, RandomFeasible)
        ]
        for seed in range(4)
    ]
    assert sum(ours > chance for ours, chance in pairs) == 4


def test_the_predictor_finds_the_best_of_a_table_in_a_fraction_of_its_rows() -> None:
    space = TableSpace(count=6)
    best = max(space.everything, key=score)
    found = [best in run(PredictorGuided(space=space, seed=seed), space, 60)[1] for seed in range(4)]
    assert sum(found) >= 3  # of 567 rows: chance would find it in one run of ten


def test_failures_teach_the_predictor_where_not_to_look(tmp_path: Path) -> None:
    """Half of the rows fail; once that was seen, few more of them are tried."""
    space = TableSpace(count=6)

    def fragile(spec: Row) -> float:
        if spec.choices[2] == 1:  # where the score is best
            raise RuntimeError("out of memory")
        return score(spec)

    options: dict[str, Any] = {"sampler": "predictor", "trials": 60, "max_failures": 60}
    frame = search(space, fragile, store=tmp_path / "s", **options).to_dataframe()
    assert (frame["state"][20:] == "FAIL").mean() < 0.2  # 1 in 3 by chance


def test_the_policy_is_that_of_torch() -> None:
    """The same clipped surrogate with torch's gradients and torch's Adam."""
    sampler = PolicyGradient(space=SPACE, batch=6, rate=0.2, entropy=0.03)
    rng = np.random.default_rng(0)
    rows, rewards = rng.integers(3, size=(26, 4)), rng.normal(size=26)
    logits = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.2)
    for end in (6, 12, 18, 24):
        batch, seen = torch.tensor(rows[end - 6 : end]), rewards[:end]
        advantage = torch.tensor((rewards[end - 6 : end] - seen.mean()) / seen.std())

        def chances(batch: torch.Tensor) -> torch.Tensor:
            policy = torch.distributions.Categorical(logits=logits)
            return policy.log_prob(batch).sum(1)

        before = chances(batch).detach()
        for _ in range(EPOCHS):
            ratio = (chances(batch) - before).exp()
            clipped = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)
            entropy = torch.distributions.Categorical(logits=logits).entropy().sum()
            adam.zero_grad()
            (-clipped.mean() - 0.03 * entropy).backward()  # type: ignore[no-untyped-call]
            adam.step()
    np.testing.assert_allclose(sampler.policy(SPACE, rows, rewards), logits.detach().numpy(), atol=1e-6)


def test_costs_of_rows_are_the_prices_of_their_architectures() -> None:
    tiny = load_space("metanet-tiny")
    table = ChoiceTable("t", {"a": (1, 2, 3), "b": ("x", "y")}, {"macs": {"a": (1, 5, 9), "b": (0, 2)}})
    kinds: list[Any] = [SPACE, table, tiny, tiny.shared("expansion")]
    for space in kinds:
        specs = space.sample(20, seed=3)
        rows = np.array([genome(space, spec) for spec in specs])
        assert costs_of(space, rows, "macs").tolist() == [space.price(spec)["macs"] for spec in specs]
        assert costs_of(space, rows[:0], "macs").tolist() == []


def test_a_policy_with_a_target_looks_for_architectures_that_cost_so_much() -> None:
    space = TableSpace(count=6)
    asked = {
        target: run(PolicyGradient(space=space, target=target, beta=-5.0, batch=5, seed=1), space, 90)[1][60:]
        for target in (6.0, 30.0)
    }
    costs = {target: np.mean([space.price(spec)["macs"] for spec in late]) for target, late in asked.items()}
    assert costs[6.0] + 4 < costs[30.0]
    with pytest.raises(MetanetError, match="the space 'table' has no latency to aim at: take another `cost`"):
        run(PolicyGradient(space=SPACE, target=5.0, cost="latency"), SPACE, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LocalSearch(first=0), "`first` of LocalSearch must be a whole number of at least 1, got 0"),
        (lambda: ParetoEvolution(population=1.5), "`population` of ParetoEvolution must be a whole number"),
        (lambda: PredictorGuided(pool=True), "`pool` of PredictorGuided must be a whole number"),
        (lambda: PolicyGradient(batch=-1), "`batch` of PolicyGradient must be a whole number of at least 1, got -1"),
        (lambda: PolicyGradient(rate=0.0), "`rate` of PolicyGradient must be above 0, got 0.0"),
        (lambda: PolicyGradient(entropy=-1.0), "`entropy` of PolicyGradient must be at least 0, got -1.0"),
        (lambda: PolicyGradient(target=0.0), "`target` of PolicyGradient must be above 0, or None, got 0.0"),
        (lambda: PolicyGradient(beta=0.1), "`beta` of PolicyGradient must be below 0, got 0.1"),
    ],
)
def test_a_wrong_option_is_said_in_one_sentence(make: Callable[[], NativeSampler], message: str) -> None:
    with pytest.raises(MetanetError) as failure:
        make()
    assert message in str(failure.value)


FOREIGN: list[Callable[[], optuna.samplers.BaseSampler]] = [
    lambda: optuna.samplers.TPESampler(seed=0),
    lambda: optuna.samplers.NSGAIISampler(seed=0, population_size=5),
    lambda: optuna.samplers.RandomSampler(seed=0),
]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_repeats_nothing_by_itself_is_not_wrapped() -> None:
    with pytest.raises(MetanetError, match="BruteForceSampler repeats nothing by itself: give it to `search` without"):
        RepeatFree(sampler=optuna.samplers.BruteForceSampler())


@pytest.mark.parametrize("make", FOREIGN)
def test_a_wrapped_sampler_repeats_nothing_and_keeps_the_constraints(
    make: Callable[[], optuna.samplers.BaseSampler], tmp_path: Path
) -> None:
    recorder = Recorder()
    allowed = SPACE.allowed(LIMIT)
    sampler = RepeatFree(sampler=make())
    result = search(SPACE, recorder, constraints=LIMIT, sampler=sampler, trials=len(allowed), store=tmp_path / "s")
    assert sorted(recorder.asked, key=str) == sorted(allowed, key=str)
    assert not result.to_dataframe()["repaired"].notna().any()
    assert result.study.user_attrs["search"]["sampler"] == f"RepeatFree({type(make()).__name__})"


def test_a_wrapped_sampler_is_followed_where_it_is_right() -> None:
    """What it suggests first is taken whenever that is new and feasible; the mind of random search is known."""
    bare = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    table = ChoiceTable("t", {f"g{i}": range(5) for i in range(12)})
    suggested = [table.suggest(bare.ask()) for _ in range(10)]
    wrapped = optuna.create_study(sampler=RepeatFree(sampler=optuna.samplers.RandomSampler(seed=3), space=table))
    taken: list[TableRow] = []
    for _ in range(10):
        trial = wrapped.ask()
        taken.append(table.suggest(trial))
        wrapped.tell(trial, 0.0)
    assert taken == suggested
