"""Counts, nearest architectures, ends of costs, weights of genes: all against enumeration by brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from small import SMALL, prices

import metanet
from metanet import MetanetError
from metanet.search_spaces import load_space, parse_constraints
from metanet.search_spaces.feasible import counting, nearest
from metanet.search_spaces.feasible.sampler import FeasibleSampler

METRICS = ("macs", "params", "activations")


@pytest.fixture(name="prices", scope="module")
def _prices():
    return prices()


def values(prices, metric):
    return np.array([costs[metric] for costs in prices.values()])


def kept(prices, text):
    return [spec for spec, costs in prices.items() if all(rule.holds(costs) for rule in parse_constraints(text))]


def test_all_rows_are_the_space(prices):
    rows = np.concatenate(list(counting.all_rows(SMALL)))
    assert len(rows) == len(prices) and set(SMALL.specs(rows)) == set(prices)


@settings(max_examples=12)
@given(st.sampled_from(METRICS), st.floats(0, 1), st.floats(0, 1), st.sampled_from([16, 100, 2**15]))
def test_brackets_hold_the_count_and_meet_where_bins_are_exact(metric, a, b, bins):
    low, high = np.quantile(values(prices(), metric), sorted((a, b))).astype(int).tolist()
    true = int(((values(prices(), metric) >= low) & (values(prices(), metric) <= high)).sum())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "BINS", bins)
        least, most = counting._brackets(SMALL, metric, low, high)
    assert least <= true <= most
    if bins == 2**15 and metric == "params":
        assert least == true == most  # fewer than 2**15 different parameter counts: a bin each


@pytest.mark.parametrize("text", ["macs <= 500k", "macs <= 700k, params in [11k, 16k]", "params <= 20k, memory <= 60k"])
@pytest.mark.parametrize("most", [0, 10**6])
def test_counts_equal_enumeration(text, most, prices, monkeypatch):
    monkeypatch.setattr(counting, "ENUMERABLE", most)
    true, found = len(kept(prices, text)), SMALL.count(text)
    assert found.low <= true <= found.high
    if most:
        assert found.exact and str(found) == f"{true:,}"
    else:
        assert abs(found.estimate - true) <= 5 * found.error + 1e-9


def test_counts_of_everything_and_of_nothing():
    assert SMALL.count() == counting.Count(SMALL.size, SMALL.size, float(SMALL.size))
    big = load_space("metanet")
    assert big.count().low == big.size
    assert big.count("macs <= 300M, params >= 500M") == counting.Count(0, 0, 0.0)


def test_brackets_at_paper_scale_are_narrow():
    found = load_space("metanet").count("macs in [3.135G, 3.198G]")
    assert 0 < found.low <= found.estimate <= found.high < 1.05 * found.low
    assert "certainly" in str(found)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_the_nearest_is_that_of_enumeration(a, b):
    wish = {"macs": 600_000 * a, "params": 14_000 * b}
    far = np.max([np.abs(values(prices(), metric) / want - 1) for metric, want in wish.items()], axis=0)
    found = SMALL.nearest(**wish)
    assert found.proven and found.deviation == pytest.approx(far.min())
    assert found.costs == SMALL.price(found.spec)


def test_the_nearest_keeps_the_constraints(prices):
    rule = "activations <= 24k"
    costs = [prices[spec]["macs"] for spec in kept(prices, rule)]
    assert SMALL.nearest(rule, macs=10**9).costs["macs"] == max(costs)


def test_a_witness_at_paper_scale_is_near():
    space, wish = load_space("metanet"), {"macs": 7.26e9, "params": 100.2e6}
    found = space.nearest(**wish)
    assert found.deviation < 0.003 and not found.proven and space.contains(found.spec)
    cost = metanet.cost(found.spec)
    assert found.deviation == pytest.approx(max(abs(cost.macs / 7.26e9 - 1), abs(cost.params / 100.2e6 - 1)))


@pytest.mark.parametrize("metric", METRICS)
def test_cheapest_and_dearest(metric, prices):
    assert SMALL.cheapest(metric).costs[metric] == values(prices, metric).min()
    rule = "macs <= 600k"
    want = [prices[spec][metric] for spec in kept(prices, rule)]
    assert (SMALL.cheapest(metric, rule).costs[metric], SMALL.dearest(metric, rule).costs[metric]) == (
        min(want),
        max(want),
    )
    space = load_space("metanet")
    assert space.cheapest(metric).costs[metric] == space.table.extremes(metric)[0]
    cap = space.dearest("macs", "macs <= 600M")
    assert 599_000_000 < cap.costs["macs"] <= 600_000_000


def test_the_impossible_names_what_is_in_the_way():
    space = load_space("metanet")
    with pytest.raises(MetanetError) as error:
        space.sample(1, "macs <= 300M, params >= 500M", seed=0)
    said = str(error.value)
    assert "no architecture of metanet satisfies macs <= 300_000_000 and params >= 500_000_000" in said
    for rule, metric in (("macs <= 300_000_000", "params"), ("params >= 500_000_000", "macs")):
        (number,) = [
            int(part.split(" is ")[1].replace(",", ""))
            for part in said.split(": ", 1)[1].split("; ")
            if part.startswith(f"with {rule} the nearest {metric} found is ")
        ]
        assert space.count(f"{rule}, {metric} in [{number}, {number}]").high > 0


def test_the_most_that_a_rule_leaves_is_named_exactly(prices):
    cap = 500_000
    best = max(prices[spec]["params"] for spec in kept(prices, f"macs <= {cap}"))
    with pytest.raises(MetanetError, match=rf"with macs <= 500_000 the nearest params found is {best:,}"):
        SMALL.sample(1, f"macs <= {cap}, params >= {best + 1}", seed=0)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({}, "nearest needs at least one wished cost"),
        ({"flops": 3}, "unknown metric in a constraint 'flops'"),
        ({"macs": 0}, "a wished cost must be above 0, got macs=0"),
    ],
)
def test_wishes_that_are_none(wish, message):
    with pytest.raises(MetanetError, match=message):
        nearest.nearest(SMALL, wish)


WEIGHTS = {
    "op": {"mbconv": 1.5, "token_mlp": 0.7},
    "stage1.kernel": {5: 1.4},
    "expansion": {2: 0.6},
    "resolution": {17: 1.5},
}


@pytest.mark.parametrize("rules", ["", "macs <= 700k", "macs in [600k, 900k], params in [11k, 16k]"])
def test_draws_follow_the_weights_of_effective_genes(rules, prices):
    want = kept(prices, rules)
    weight = []
    for spec in want:
        w = 1.5 if spec.resolution == 17 else 1.0
        before = spec.stem_width
        for i, stage in enumerate(spec.stages):
            w *= WEIGHTS["op"].get(stage.op, 1.0)
            w *= 1.4 if i == 1 and stage.kernel == 5 else 1.0
            alone = stage.mixes_tokens and stage.depth == 1 and not stage.down
            reduced = stage.stride != 1 or before != stage.width
            w *= 0.6 if stage.expansion == 2 and not (alone and reduced) else 1.0
            before = stage.width
        weight.append(w)
    share = np.array(weight) / sum(weight)
    sampler = FeasibleSampler(SMALL, parse_constraints(rules), WEIGHTS)
    rows = np.array([SMALL.encode(spec) for spec in want])
    for seed in (1, 2):  # fixed beforehand
        drawn = sampler.draw(int(8 / share.min()), np.random.default_rng(seed))
        found, counts = np.unique(np.concatenate([rows, drawn]), axis=0, return_counts=True)
        assert len(found) == len(want)
        place = {tuple(row): i for i, row in enumerate(found.tolist())}
        expected = share[np.argsort([place[tuple(row)] for row in rows.tolist()])] * len(drawn)
        statistic = (((counts - 1) - expected) ** 2 / expected).sum()
        assert 1e-4 < chi2.sf(statistic, len(want) - 1) < 1 - 1e-4


def test_a_weight_of_zero_excludes():
    specs = SMALL.sample(200, seed=0, weights={"op": {"mbconv": 0, "token_mlp": 0}})
    assert {stage.op for spec in specs for stage in spec.stages}.isdisjoint({"mbconv", "token_mlp"})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"opp": {}}, "unknown gene 'opp': did you mean 'op'"),
        ({"op": {"conv": 1.0}}, "op='conv' is outside space small, which has"),
        ({"op": {"mbconv": -1.0}}, "the weight of op='mbconv' must be 0 or more and finite, got -1.0"),
        ({"resolution": {16: 0.0, 17: 0.0}}, "no architecture of small satisfies these weights"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(MetanetError, match=message):
        SMALL.sample(1, seed=0, weights=weights)
