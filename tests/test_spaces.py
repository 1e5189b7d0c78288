"""Spaces: rows and specs, exact size, constraints, changes that stay feasible; all against full enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metanet
from metanet import MetanetError
from metanet.search_spaces import Constraint, Space, StageChoices, load_space, parse_constraints
from metanet.search_spaces.drawing import draw

SMALL = Space(
    name="small",
    stages=(
        StageChoices(depth=(1, 2), width=(8, 16), expansion=(1, 2), kernel=(3, 5), se=(True,)),
        StageChoices(
            depth=(1, 3), width=(16,), expansion=(2, 3), op=("fused_mbconv", "self_attention"), se=(True, False)
        ),
        StageChoices(depth=(1,), width=(16, 24), expansion=(1, 2), op=("channel_attention",), kernel=(3, 5), stride=2),
    ),
    stem_width=(8,),
    head_width=(16,),
    resolution=(16, 17),
    head_dim=8,
)
TINY = load_space("metanet-tiny")
seeds = st.integers(0, 2**32 - 1)


def rows_of(space):
    return np.array(list(product(*(range(len(gene.choices)) for gene in space.genes))))


@pytest.fixture(scope="module")
def everything():
    """Every distinct architecture of SMALL, by brute force: all rows, decoded, as a set."""
    return {SMALL.decode(row) for row in rows_of(SMALL)}


def test_size_equals_enumeration(everything):
    assert SMALL.size == len(everything) < len(rows_of(SMALL))
    assert TINY.size == 10_012_113_120 > 10**8
    assert TINY.freeze(resolution=28).size * 5 == TINY.size


def test_canonical_rows_are_one_to_one_with_architectures(everything):
    rows = SMALL.canonical(rows_of(SMALL))
    assert len(np.unique(rows, axis=0)) == len(everything)
    for row in rows[::7]:
        spec = SMALL.decode(row)
        assert np.array_equal(SMALL.encode(spec), row) and SMALL.contains(spec)


@given(seeds)
def test_decode_and_encode_are_inverse(seed):
    for row in draw(TINY, 4, np.random.default_rng(seed)):
        spec = TINY.decode(row)
        assert np.array_equal(TINY.encode(spec), row) and TINY.decode(TINY.encode(spec)) == spec


def test_table_costs_equal_the_networks_costs(everything):
    rows = SMALL.canonical(rows_of(SMALL))
    costs = SMALL.table(rows)
    for i in range(0, len(rows), 5):
        assert {metric: int(values[i]) for metric, values in costs.items()} == SMALL.price(SMALL.decode(rows[i]))
    rows = draw(TINY, 100, np.random.default_rng(3))
    costs = TINY.table(rows)
    for i, row in enumerate(rows):
        cost = metanet.cost(TINY.decode(row))
        assert (costs["macs"][i], costs["params"][i]) == (cost.macs, cost.params)


@pytest.mark.parametrize("metric", ["macs", "params", "activations"])
def test_extremes_equal_enumeration(metric, everything):
    values = [SMALL.price(spec)[metric] for spec in everything]
    assert SMALL.table.extremes(metric) == (min(values), max(values))


@settings(max_examples=15)
@given(seeds, st.floats(0.05, 0.95), st.floats(0.05, 0.5))
def test_drawn_architectures_are_feasible_and_fixed_by_the_seed(seed, low, wide):
    values = np.sort(TINY.table(draw(TINY, 2000, np.random.default_rng(0)))["macs"])
    a, b = int(np.quantile(values, low)), int(np.quantile(values, min(1, low + wide)))
    specs = TINY.sample(20, f"macs in [{a}, {b}], params <= 2M", seed=seed)
    assert len(specs) == 20 and all(TINY.contains(spec) for spec in specs)
    assert all(a <= metanet.cost(spec).macs <= b and metanet.cost(spec).params <= 2_000_000 for spec in specs)
    assert specs == TINY.sample(20, f"macs in [{a}, {b}], params <= 2M", seed=seed)


def test_every_architecture_is_drawn(everything):
    rows = draw(SMALL, 500_000, np.random.default_rng(0))  # the rarest has one chance in 32,768
    assert len(np.unique(rows, axis=0)) == len(everything)


@settings(max_examples=30)
@given(seeds)
def test_mutation_changes_one_effective_gene_and_stays_feasible(seed):
    rng = np.random.default_rng(seed)
    rule = "macs <= 6M, params <= 400k"
    (parent,) = TINY.sample(1, rule, seed=seed)
    child = TINY.mutate(parent, rng, rule)
    assert child != parent and TINY.contains(child) and TINY.feasible(child, rule)


def test_mutation_reaches_every_neighbour_and_only_neighbours():
    rng = np.random.default_rng(0)
    parent = SMALL.sample(1, seed=1)[0]
    reached = {SMALL.mutate(parent, rng) for _ in range(3000)}
    rows = rows_of(SMALL)
    same = rows[(SMALL.canonical(rows) == SMALL.encode(parent)).all(axis=1)]  # genes without effect take any value
    want = set()
    for i, gene in enumerate(SMALL.genes):
        for j in range(len(gene.choices)):
            changed = same.copy()
            changed[:, i] = j
            want |= {SMALL.decode(row) for row in np.unique(SMALL.canonical(changed), axis=0)}
    assert reached == want - {parent}


@settings(max_examples=30)
@given(seeds)
def test_crossover_mixes_its_parents_and_stays_feasible(seed):
    rng = np.random.default_rng(seed)
    a, b = TINY.sample(2, "macs <= 8M", seed=seed)
    child = TINY.crossover(a, b, rng, "macs <= 8M")
    assert TINY.feasible(child, "macs <= 8M")
    for own, x, y in zip(child.stages, a.stages, b.stages, strict=True):
        assert own.op in (x.op, y.op) and own.width in (x.width, y.width) and own.depth in (x.depth, y.depth)


def test_what_cannot_be_satisfied_is_refused_at_once_with_the_nearest_value():
    low, high = TINY.table.extremes("macs")
    with pytest.raises(MetanetError, match=rf"satisfies macs <= 1_000: the nearest attainable value is {low:,} "):
        TINY.sample(1, "macs <= 1k", seed=0)
    with pytest.raises(MetanetError, match=f"the nearest attainable value is {high:,} "):
        TINY.sample(1, "macs >= 1G", seed=0)
    with pytest.raises(MetanetError, match=r"of 4,0.* drawn architectures .* satisfy .*: widen the constraints"):
        TINY.sample(1, "macs >= 300M, params <= 30k", seed=0)
    with pytest.raises(MetanetError, match="must be 0 or more, got -1"):
        TINY.sample(-1, seed=0)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("macs <= 5M", Constraint("macs", high=5_000_000)),
        ("params>1.5k", Constraint("params", low=1501)),
        ("macs < 2.5k", Constraint("macs", high=2499)),
        ("macs >= 1e6", Constraint("macs", low=1_000_000)),
        ("params == 12_000", Constraint("params", 12_000, 12_000)),
        ("macs in [1M, 2G]", Constraint("macs", 1e6, 2e9)),
        ("activations <= 1B", Constraint("activations", high=1e9)),
    ],
)
def test_constraints_are_read(text, want):
    assert parse_constraints(text) == (want,) and parse_constraints(f" {text} , macs <= 1T ")[0] == want
    assert parse_constraints(parse_constraints(text)) == (want,) and parse_constraints(None) == ()
    assert parse_constraints(str(want)) == (want,)
    end = want.low if want.low > 0 else want.high
    assert want.holds({want.metric: end}) and not want.holds({want.metric: -1 if want.low > 0 else end + 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("macs <= 5M, params", r"at character 12, 'params'"),
        ("macs = 5", "at character 1, 'macs = 5'"),
        ("flops <= 5M", "unknown metric in a constraint 'flops'"),
        ("macs in [5M, 1M]", r"the range of macs is empty, got \[5,000,000, 1,000,000\]"),
        ("macs <= 5Q", "at character 1"),
        ("mac <= 5M", "did you mean 'macs'"),
    ],
)
def test_malformed_constraints_get_one_sentence(text, said):
    with pytest.raises(MetanetError, match=said):
        parse_constraints(text)


def test_names_and_frozen_genes():
    with pytest.raises(MetanetError, match="unknown space 'metanet-tyni': did you mean 'metanet-tiny'"):
        load_space("metanet-tyni")
    frozen = TINY.freeze(resolution=28, **{"stage0.op": "mbconv"})
    assert {(s.resolution, s.stages[0].op) for s in frozen.sample(50, seed=0)} == {(28, "mbconv")}
    assert frozen.fingerprint != TINY.fingerprint
    with pytest.raises(MetanetError, match=r"unknown gene 'stage0\.pp': did you mean 'stage0\.op'"):
        TINY.freeze(**{"stage0.pp": 3})
    with pytest.raises(MetanetError, match=r"resolution=30 is outside space metanet-tiny, which has \(28, 32"):
        TINY.freeze(resolution=30)
    with pytest.raises(MetanetError, match="stem_width=32 is outside space metanet-tiny"):
        TINY.encode(
            metanet.create("MN-B4", device="meta").spec.__class__(TINY.sample(1, seed=0)[0].stages, 32, 192, 28)
        )
    assert not TINY.contains(metanet.create("MN-B4", device="meta").spec)


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"width": (12,)}, "stage 0 may attend, .* got width=12 and head_dim=8"),
        ({"depth": ()}, r"the choices of stage0\.depth must be distinct and at least one, got \(\)"),
        ({"kernel": (3, 3)}, r"the choices of stage0\.kernel must be distinct"),
        ({"op": ("conv",)}, "unknown op 'conv'"),
    ],
)
def test_spaces_with_an_unbuildable_architecture_are_refused(stage, said):
    choices = {"depth": (1,), "width": (8,), "expansion": (1,), **stage}
    with pytest.raises(MetanetError, match=said):
        Space("bad", (StageChoices(**choices),), (8,), (8,), (16,), head_dim=8)


def test_optuna_suggests_architectures_of_the_space():
    import optuna

    trial = optuna.trial.FixedTrial({g.name: g.choices[-1] for g in SMALL.genes})
    spec = SMALL.suggest(trial)
    assert SMALL.contains(spec) and spec == SMALL.decode([len(g.choices) - 1 for g in SMALL.genes])
    assert set(SMALL.distributions()) == {g.name for g in SMALL.genes if len(g.choices) > 1}
