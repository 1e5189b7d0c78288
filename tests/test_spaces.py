"""Spaces: rows and specs, exact size, constraints, changes that stay feasible; all against full enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import SMALL, prices

import metanet
from metanet import ArchSpec, MetanetError
from metanet.search_spaces import Space, StageChoices, load_space, parse_constraints, variation
from metanet.search_spaces.cost_parts import COUNTED
from metanet.search_spaces.feasible.planes import Plane, PlaneLayer
from metanet.search_spaces.feasible.sampler import FeasibleSampler


def draw(space, n, rng):
    return space.sampler().draw(n, rng)


TINY = load_space("metanet-tiny")
seeds = st.integers(0, 2**32 - 1)


def rows_of(space):
    return np.array(list(product(*(range(len(gene.choices)) for gene in space.genes))))


@pytest.fixture(name="prices", scope="module")
def _prices():
    return prices()


@pytest.fixture(scope="module")
def everything():
    """Every distinct architecture of SMALL."""
    return set(prices())


def test_size_equals_enumeration(everything):
    assert SMALL.size == len(everything)
    assert TINY.size == 10_012_113_120 > 10**8 and load_space("metanet").size > 10**26
    assert TINY.freeze(resolution=28).size * 5 == TINY.size


def test_canonical_rows_are_one_to_one_with_architectures(everything):
    rows = rows_of(SMALL)
    rows = np.unique(SMALL.canonical(rows[SMALL.valid(rows)]), axis=0)
    assert len(rows) == len(everything) and set(SMALL.specs(rows)) == everything
    for row in rows[::37]:
        spec = SMALL.decode(row)
        assert np.array_equal(SMALL.encode(spec), row) and SMALL.contains(spec)


@given(seeds)
def test_decode_and_encode_are_inverse(seed):
    for row in draw(TINY, 4, np.random.default_rng(seed)):
        spec = TINY.decode(row)
        assert np.array_equal(TINY.encode(spec), row) and TINY.decode(TINY.encode(spec)) == spec


def test_table_costs_equal_the_networks_costs(everything):
    rows = draw(SMALL, 300, np.random.default_rng(0))
    costs = SMALL.table(rows, (*COUNTED, "memory"))
    for i, spec in enumerate(SMALL.specs(rows)):
        assert {metric: int(values[i]) for metric, values in costs.items()} == SMALL.price(spec)
    rows = draw(TINY, 100, np.random.default_rng(3))
    costs = TINY.table(rows)
    for i, row in enumerate(rows):
        cost = metanet.cost(TINY.decode(row))
        assert (costs["macs"][i], costs["params"][i]) == (cost.macs, cost.params)


@pytest.mark.parametrize("metric", ["macs", "params", "activations"])
def test_extremes_equal_enumeration(metric, prices):
    values = [costs[metric] for costs in prices.values()]
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


RULES = [
    "",
    "macs in [500k, 560k]",
    "params <= 8k",
    "macs in [600k, 900k], params in [11k, 16k]",
    "macs >= 400k, params <= 14k, activations <= 24k",
    "params <= 20k, memory <= 60k",
]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("plane", [False, True])
def test_draws_are_uniform_over_the_feasible_architectures(rules, plane, prices, monkeypatch):
    from scipy.stats import chi2

    from metanet.search_spaces.feasible import sampler as feasible

    monkeypatch.setattr(feasible, "ENOUGH", 2.0 if plane else 0.0)
    parsed = parse_constraints(rules)
    want = [spec for spec, costs in prices.items() if all(rule.holds(costs) for rule in parsed)]
    sampler = FeasibleSampler(SMALL, parsed)
    rows = np.unique(np.array([SMALL.encode(spec) for spec in want]), axis=0)
    for seed in (1, 2):  # fixed beforehand
        drawn = sampler.draw(20 * len(want), np.random.default_rng(seed))
        found, counts = np.unique(np.concatenate([rows, drawn]), axis=0, return_counts=True)
        assert len(found) == len(want) > 60  # nothing infeasible, and nothing outside
        statistic = (((counts - 1) - 20) ** 2 / 20).sum()
        assert 1e-4 < chi2.sf(statistic, len(want) - 1) < 1 - 1e-4


@settings(max_examples=30)
@given(seeds)
def test_mutation_changes_one_effective_gene_and_stays_feasible(seed):
    rng = np.random.default_rng(seed)
    rule = "macs <= 6M, params <= 400k"
    (parent,) = TINY.sample(1, rule, seed=seed)
    child = TINY.mutate(parent, rng, rule)
    assert child != parent and TINY.contains(child) and TINY.feasible(child, rule)


def test_mutation_reaches_every_neighbour_and_only_neighbours(monkeypatch):
    monkeypatch.setattr(variation, "JUMP", 0.0)
    rng = np.random.default_rng(0)
    parent = SMALL.sample(1, seed=1)[0]
    reached = {SMALL.mutate(parent, rng) for _ in range(1500)}
    rows = rows_of(SMALL)
    rows = rows[SMALL.valid(rows)]
    same = rows[(SMALL.canonical(rows) == SMALL.encode(parent)).all(axis=1)]  # genes without effect take any value
    want = set()
    for i, gene in enumerate(SMALL.genes):
        for j in range(len(gene.choices)):
            changed = same.copy()
            changed[:, i] = j
            changed = changed[SMALL.valid(changed)]
            want |= set(SMALL.specs(np.unique(SMALL.canonical(changed), axis=0)))
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
    with pytest.raises(MetanetError, match="must be 0 or more, got -1"):
        TINY.sample(-1, seed=0)


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
        ({"width": (12,), "op": ("self_attention",)}, r"no stage 0 of space bad can be built: .* got widths \(12,\) "),
        ({"down": ("pool",)}, "unknown downsampling module 'pool'"),
        ({"depth": ()}, r"the choices of stage0\.depth must be distinct and at least one, got \(\)"),
        ({"kernel": (3, 3)}, r"the choices of stage0\.kernel must be distinct"),
        ({"op": ("conv",)}, "unknown op 'conv'"),
    ],
)
def test_spaces_with_an_unbuildable_architecture_are_refused(stage, said):
    choices = {"depth": (1,), "width": (8,), "expansion": (1,), **stage}
    with pytest.raises(MetanetError, match=said):
        Space("bad", (StageChoices(**choices, head_dim=(8,)),), (8,), (8,), (16,))


def test_optuna_suggests_architectures_of_the_space():
    import optuna

    trial = optuna.trial.FixedTrial({g.name: g.choices[-1] for g in SMALL.genes})
    spec = SMALL.suggest(trial)
    assert SMALL.contains(spec) and spec == SMALL.decode([len(g.choices) - 1 for g in SMALL.genes])
    assert set(SMALL.distributions()) == {g.name for g in SMALL.genes if len(g.choices) > 1}


def test_the_released_networks_are_points_of_the_paper_scale_space():
    space = load_space("metanet")
    for name in ("MN-B4", "MN-B15"):
        spec = metanet.create(name, device="meta").spec
        assert space.specs(space.encode(spec)[None]) == [spec] and space.contains(spec)


@pytest.mark.parametrize("rules", ["", "macs in [3.13G, 3.2G]", "macs in [3.13G, 3.2G], params in [30.1M, 30.8M]"])
def test_tables_and_draws_at_paper_scale_are_exact(rules):
    space = load_space("metanet")
    rows = space.sampler(rules).draw(60, np.random.default_rng(0))
    costs = space.table(rows, (*COUNTED, "memory"))
    for i, spec in enumerate(space.specs(rows)):
        assert {metric: int(values[i]) for metric, values in costs.items()} == space.price(spec)
        assert space.feasible(spec, rules) and spec == ArchSpec.from_dict(spec.to_dict())
    assert len({spec.id for spec in space.specs(rows)}) == 60


def test_few_paths_among_very_many_are_not_called_none():
    few, many = np.array([[[1, 5]]]), np.array([[[1e20, 1.0]]])
    layers = [PlaneLayer((few, few), many)] * 3
    window = (15.0, 15.0), (15, 15)  # the dearest option three times: one path beside 1e60 others
    assert Plane(layers, *window, 16).weight == 0  # lost in rounding
    assert Plane(layers, *window, 16, boolean=True).weight == 1
    assert Plane(layers, (14.0, 14.0), (14, 14), 16, boolean=True).weight == 0  # 1s and 5s make no 14


def test_rare_pairs_of_rules_are_drawn_by_chains_where_planes_lose_them(monkeypatch):
    from metanet.search_spaces.feasible import planes

    monkeypatch.setattr(planes, "NOISE", 1.0)  # all but the largest entry of a plane counts as none
    rules = "macs in [600k, 900k], params in [11k, 16k]"
    rows = FeasibleSampler(SMALL, parse_constraints(rules)).draw(50, np.random.default_rng(0))
    assert all(SMALL.feasible(spec, rules) for spec in SMALL.specs(rows))
