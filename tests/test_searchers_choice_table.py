"""A table of choices is a search space: everything by brute force over all rows."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanet.errors import MetanetError
from metanet.searchers import ChoiceTable, SearchSpace, search, table_costs
from metanet.searchers.additive import UNITS, additive
from metanet.searchers.table import TableRow

CHOICES = {"op": ("none", "skip", "conv"), "width": (8, 16), "fixed": (None,), "depth": (1, 2, 3)}
MACS = {"op": (0, 1, 9), "width": (1, 2), "depth": (0, 4, 8)}
PARAMS = {row: 1000 * i for i, row in enumerate(itertools.product(*CHOICES.values()))}
TABLE = ChoiceTable("cells", CHOICES, {"macs": MACS}, {"params": PARAMS})
LIMIT = "macs <= 9, params in [2k, 14k]"


def brute(low: int = 2_000, high: int = 14_000, macs: int = 9) -> set[tuple[Any, ...]]:
    """All rows within the limits, by a loop."""
    found = set()
    for i, (op, width, fixed, depth) in enumerate(itertools.product(*CHOICES.values())):
        cost = dict(zip(CHOICES["op"], MACS["op"], strict=True))[op]
        cost += {8: 1, 16: 2}[width] + {1: 0, 2: 4, 3: 8}[depth]
        if cost <= macs and low <= 1000 * i <= high:
            found.add((op, width, fixed, depth))
    return found


def values(row: TableRow) -> tuple[Any, ...]:
    return tuple(row[name] for name in CHOICES)


def test_the_feasible_rows_are_those_of_brute_force_and_each_is_drawn_as_often() -> None:
    space: SearchSpace[TableRow] = TABLE
    expected = brute()
    assert {values(TABLE.decode(row)) for row in TABLE.allowed(LIMIT)} == expected
    drawn = space.sample(4_000, LIMIT, seed=0)
    counts = {row: sum(values(one) == row for one in drawn) for row in expected}
    assert sum(counts.values()) == 4_000
    mean = 4_000 / len(expected)
    chi = sum((count - mean) ** 2 / mean for count in counts.values())
    assert chi < len(expected) + 4 * np.sqrt(2 * len(expected))
    assert [row.id for row in drawn[:50]] == [row.id for row in space.sample(4_000, LIMIT, seed=0)[:50]]


@given(st.tuples(*(st.integers(0, len(values) - 1) for values in CHOICES.values())))
def test_every_row_is_read_back_priced_and_judged(indices: tuple[int, ...]) -> None:
    row = TABLE.decode(indices)
    assert tuple(TABLE.encode(row)) == indices
    assert row.id == "-".join(map(str, indices))
    assert TABLE.contains(row)
    assert TABLE.price(row)["params"] == PARAMS[values(row)]
    assert TABLE.price(row)["macs"] == MACS["op"][indices[0]] + MACS["width"][indices[1]] + MACS["depth"][indices[3]]
    assert TABLE.feasible(row, LIMIT) == (values(row) in brute())


@given(st.integers(0, len(brute()) - 1), st.integers(0, len(brute()) - 1), st.integers(0, 2**32 - 1))
def test_mutation_changes_one_gene_and_crossover_takes_from_either(a: int, b: int, seed: int) -> None:
    one, other = (TABLE.decode(TABLE.allowed(LIMIT)[i]) for i in (a, b))
    rng = np.random.default_rng(seed)
    mutant = TABLE.mutate(one, rng, LIMIT)
    near = {row for row in brute() if sum(x != y for x, y in zip(row, values(one), strict=True)) == 1}
    assert {values(TABLE.decode(row)) for row in TABLE.neighbours(one.indices, LIMIT)} == near
    assert values(mutant) in (near or brute() - {values(one)})
    child = TABLE.crossover(one, other, rng, LIMIT)
    assert values(child) in brute()
    assert all(gene in pair for gene, *pair in zip(values(child), values(one), values(other), strict=True))


def test_a_row_without_neighbours_jumps_and_an_only_row_says_so() -> None:
    macs = {(0, 0): 1, (0, 1): 5, (1, 0): 5, (1, 1): 1}
    apart = ChoiceTable("apart", {"a": (0, 1), "b": (0, 1)}, None, {"macs": macs})
    rng = np.random.default_rng(0)
    assert apart.mutate(apart.decode([0, 0]), rng, "macs <= 1").indices == (1, 1)
    with pytest.raises(MetanetError, match="'cells' holds a single row here"):
        TABLE.mutate(TABLE.decode([0, 0, 0, 0]), rng, "macs <= 1")


def test_a_large_table_is_drawn_from_without_listing_it() -> None:
    genes = {f"g{i}": range(4) for i in range(20)}
    large = ChoiceTable("large", genes, {"macs": genes, "params": genes})
    drawn = large.sample(300, "macs <= 20", seed=1)
    assert len(drawn) == 300
    assert all(sum(row.indices) <= 20 for row in drawn)
    assert large.sample(0, seed=0) == []
    assert {row.indices for row in large.sample(5, "macs <= 0", seed=0)} == {(0,) * 20}
    rules = "of 1,048,576 that were drawn keeps macs <= 0, params >= 1 at once: loosen one of them"
    with pytest.raises(MetanetError, match=f"no row of the table 'large' {rules}"):
        large.sample(1, "macs <= 0, params >= 1", seed=0)
    with pytest.raises(MetanetError, match="the table 'large' has no memory to constrain: it has macs, params"):
        large.sample(1, "memory <= 1", seed=0)
    with pytest.raises(MetanetError, match="more than the 262,144 that are listed: take `sample`"):
        large.allowed()
    lonely = ChoiceTable("large", dict(large.choices), {"macs": {"g0": (0, 9, 9, 9), "g1": (0, 0, 0, 9)}})
    assert lonely.mutate(large.decode([0] * 20), np.random.default_rng(0), "macs <= 0").indices != (0,) * 20


def test_optuna_sees_the_genes_that_have_a_choice() -> None:
    assert list(TABLE.distributions()) == ["op", "width", "depth"]
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert {name: TABLE.suggest(trial)[name] for name in trial.params} == trial.params


def test_the_fingerprint_is_that_of_genes_choices_and_costs() -> None:
    assert ChoiceTable("other", CHOICES, {"macs": MACS}, {"params": PARAMS}).fingerprint == TABLE.fingerprint
    others = [
        ChoiceTable("cells", CHOICES, {"macs": MACS}),
        ChoiceTable("cells", CHOICES, {"macs": {**MACS, "width": (1, 3)}}, {"params": PARAMS}),
        ChoiceTable("cells", {**CHOICES, "width": (8, 24)}, {"macs": MACS}),
        ChoiceTable("cells", {**CHOICES, "depth": (3, 2, 1)}, {"macs": MACS}),
    ]
    assert len({table.fingerprint for table in (TABLE, *others)}) == 5
    arrays = {gene: np.array(values) for gene, values in MACS.items()}
    assert ChoiceTable("cells", CHOICES, {"macs": arrays}).fingerprint == others[0].fingerprint
    turned = {name: dict(reversed(values.items())) for name, values in {"params": PARAMS, "macs": MACS}.items()}
    again = ChoiceTable("cells", CHOICES, {"macs": turned["macs"]}, {"params": turned["params"]})
    assert again.fingerprint == TABLE.fingerprint  # in whatever order costs are told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"op": ()},), "the choices of 'op' must be distinct and at least one, got ()"),
        (({"op": (1, 1)},), "the choices of 'op' must be distinct and at least one, got (1, 1)"),
        (({"op": ((1, 2),)},), "a choice of 'op' must be a text, a number or None, got (1, 2)"),
        (({"op": ([1], [2])},), "a choice of 'op' must be a text, a number or None, got [1]"),
        (({"op": 3},), "the choices of 'op' must be several values, as (8, 16), got 3"),
        (({"op": "abc"},), "the choices of 'op' must be several values, as (8, 16), got 'abc'"),
        (({"op": (1,)}, {"flops": {"op": (1,)}}), "unknown cost of the table 't' 'flops'"),
        (({"op": (1,)}, {"macs": {"po": (1,)}}), "unknown gene in the macs of the table 't' 'po': did you mean 'op'"),
        (({"op": (1,)}, {"macs": {"op": (1, 2)}}), "the macs of 'op' must be one number a choice, got 2 for 1 choices"),
        (({"op": (1, 2)}, None, {"macs": {(1,): 5}}), "the macs of rows must be given for every row, got none"),
        (
            ({f"{i}": (0, 1) for i in range(19)}, None, {"macs": {}}),
            "the macs of whole rows can be given for up to 262,144 rows, the table 't' has 524,288: give",
        ),
    ],
)
def test_a_wrong_table_is_said_in_one_sentence(arguments: Any, message: str) -> None:
    with pytest.raises(MetanetError) as failure:
        ChoiceTable("t", *arguments)
    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("macs <= 0", "no row of the table 'cells' keeps macs <= 0: the nearest has 1"),
        ("params >= 18k", "no row of the table 'cells' keeps params >= 18_000: the nearest has 17_000"),
        ("macs <= 1, params >= 5k", "no row of the table 'cells' keeps macs <= 1, params >= 5_000 at once: loosen one"),
        ("memory <= 1", "the table 'cells' has no memory to constrain: it has macs, params"),
    ],
)
def test_what_cannot_be_kept_is_said_in_one_sentence(limit: str, message: str) -> None:
    with pytest.raises(MetanetError) as failure:
        TABLE.sample(1, limit, seed=0)
    assert message in str(failure.value)


@pytest.mark.parametrize("row", [[0, 0, 0], [3, 0, 0, 0], [0, -1, 0, 0]])
def test_a_row_that_is_none_is_refused(row: list[int]) -> None:
    with pytest.raises(MetanetError, match="a row of 'cells' is one position a gene, each below"):
        TABLE.decode(row)
    assert not TABLE.contains(TableRow(tuple(row), {}))


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=5),
    st.tuples(st.integers(0, 120), st.integers(0, 60)),
    st.sampled_from([1, 1_000, 1_000_003]),
    st.integers(0, 99),
)
def test_rows_by_additive_costs_are_those_of_brute_force(
    costs: list[list[int]], window: tuple[int, int], scale: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    arrays = [np.array(own) * scale + rng.integers(scale, size=len(own)) for own in costs]
    low, high = window[0] * scale, (window[0] + window[1]) * scale
    rows = np.array(list(itertools.product(*(range(len(own)) for own in costs))))
    sums = sum(own[rows[:, i]] for i, own in enumerate(arrays))
    kept = (sums >= low) & (sums <= high)
    found = additive(arrays, low, high)
    slack = len(costs) * (max(1, -(-int(sums.max() - sums.min()) // UNITS)) - 1)
    near = (sums >= low - slack) & (sums <= high + slack)
    assert kept.mean() <= found.share * (1 + 1e-9) and found.share <= near.mean() * (1 + 1e-9)
    if kept.any():
        drawn = set(map(tuple, found.draw(2_000, rng).tolist()))
        assert drawn <= set(map(tuple, rows[near].tolist()))
        if len(rows[near]) <= 100:  # each is missed with a chance of exp(-20) at most
            assert set(map(tuple, rows[kept].tolist())) <= drawn
    else:
        assert found.empty or near.any()


def test_rows_of_a_large_table_are_drawn_uniformly_however_rare() -> None:
    genes = {f"g{i}": (0, 1, 2, 3) for i in range(20)}
    table = ChoiceTable("large", genes, {"macs": dict.fromkeys(genes, (0, 1, 2, 3))})
    # With sums of at most 2 there are 1 + 20 + (20 + 190) rows of 4^20.
    drawn = [row.id for row in table.sample(23_100, "macs <= 2", seed=0)]
    counts = np.unique(drawn, return_counts=True)[1]
    assert len(counts) == 231
    assert ((counts - 100) ** 2 / 100).sum() < 231 + 4 * np.sqrt(2 * 231)
    with pytest.raises(MetanetError, match=r"no row of the table 'large' keeps macs >= 61: they have 0 to 60"):
        table.sample(1, "macs >= 61", seed=0)


def test_limits_of_a_large_table_are_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def counted(costs: Any, low: float, high: float) -> Any:
        asked.append(high)
        return additive(costs, low, high)

    monkeypatch.setattr(table_costs, "additive", counted)
    genes = {f"g{i}": (0, 1, 2, 3) for i in range(20)}
    table = ChoiceTable("large", genes, {"macs": dict.fromkeys(genes, (0, 1, 2, 3))})
    first = table.sample(5, "macs <= 9", seed=0)
    table.sample(5, "macs <= 10", seed=0)
    assert asked == [9, 10] and pickle.loads(pickle.dumps(table)).sample(5, "macs <= 9", seed=0) == first
    assert table.sample(5, "macs <= 9", seed=0) == first and len(asked) == 2


def test_a_table_says_what_is_wrong_with_it() -> None:
    with pytest.raises(MetanetError, match="the table 'none' has no genes: give names with their choices"):
        ChoiceTable("none", {})
    with pytest.raises(
        MetanetError, match=r"a cost of macs must be at most 2\^53, so that sums are exact, got 1844674407"
    ):
        ChoiceTable("large", {"a": (1, 2)}, {"macs": {"a": (0, 2**64)}})
    for costs in ({"costs": {"macs": {"a": (0.5, 1.7)}}}, {"row_costs": {"macs": {(1,): 0.5, (2,): 1}}}):
        with pytest.raises(
            MetanetError, match=r"a cost of macs must be a whole number, got 0\.5: give it in its small"
        ):
            ChoiceTable("t", {"a": (1, 2)}, **costs)


def test_a_table_of_one_row_is_searched_once(tmp_path: Path) -> None:
    asked: list[Any] = []

    def score(row: TableRow) -> float:
        asked.append(row["a"])
        return 1.0

    for name in ("predictor", "random", "local"):
        result = search(ChoiceTable("one", {"a": (7,)}), score, sampler=name, trials=3, store=tmp_path / name)
        assert result.best.values == {"accuracy": 1.0}
    assert asked == [7, 7, 7]
