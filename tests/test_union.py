"""Unions of spaces and shared genes: size, draws and counts against enumeration by brute force."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from scipy.stats import chi2
from small import SMALL, enumerated, prices

from metanet import MetanetError
from metanet.search_spaces import Union, load_space, parse_constraints
from metanet.searchers import AgingEvolution, search

CONV = replace(SMALL.where(**{"stage0.op": ("mbconv",), "stage0.depth": (1,)}), name="conv")
WIDE = replace(SMALL.where(**{"stage0.width": (12,), "resolution": (16,), "expansion": (2, 3)}), name="wide")
HEAD = replace(SMALL.where(**{"stage1.op": ("channel_attention",), "resolution": (17,)}), name="head")
SHORT = replace(SMALL, name="short", stages=SMALL.stages[:2])


def everything(union):
    return set().union(*(enumerated(part) for part in union.parts))


@pytest.fixture(scope="module")
def union():
    return CONV | WIDE | HEAD


@pytest.fixture(scope="module")
def members(union):
    return everything(union)


def test_size_is_that_of_the_set(union, members):
    assert union.size == len(members) < sum(part.size for part in union.parts)
    inside = replace(CONV.where(**{"stage0.width": (8,), "resolution": (16,)}), name="inside")
    assert (CONV | inside).size == (inside | CONV).size == CONV.size
    assert (CONV | SHORT).size == CONV.size + SHORT.size  # of other depths


def test_sizes_at_paper_scale():
    conv, attention = load_space("conv-only"), load_space("attention-only")
    assert (conv | attention).size == conv.size + attention.size  # every stage has an op: they share nothing
    assert (load_space("metanet") | conv).size == load_space("metanet").size


def test_every_member_is_encoded_once(union, members):
    rows = {tuple(union.encode(spec).tolist()) for spec in members}
    assert len(rows) == len(members)
    for row in list(rows)[::50]:
        assert tuple(union.encode(union.decode(row)).tolist()) == row
    with pytest.raises(MetanetError, match="is outside of every part of conv"):
        union.encode(load_space("metanet-tiny").sample(1, seed=0)[0])
    assert union.contains(next(iter(members)))


@pytest.mark.parametrize("rules", ["", "macs <= 700k", "macs in [500k, 900k], params in [9k, 18k]"])
def test_draws_are_uniform_over_the_union(rules, union, members):
    parsed, cost = parse_constraints(rules), prices()
    want = [spec for spec in members if all(rule.holds(cost[spec]) for rule in parsed)]
    place = {spec: i for i, spec in enumerate(want)}
    for seed in (1, 2):  # fixed beforehand
        counts = np.bincount(
            [place[spec] for spec in union.sample(10 * len(want), rules, seed=seed)], minlength=len(want)
        )
        assert 1e-4 < chi2.sf(((counts - 10) ** 2 / 10).sum(), len(want) - 1) < 1 - 1e-4
    found = union.count(rules)
    assert found.low <= len(want) <= found.high and abs(found.estimate - len(want)) <= 5 * found.error


def test_changes_stay_inside_and_reach_other_parts(union, members):
    rng, rule = np.random.default_rng(0), "macs <= 900k"
    (spec,) = union.sample(1, rule, seed=3)
    homes = set()
    for _ in range(120):
        child = union.mutate(spec, rng, rule)
        assert child != spec and child in members and union.feasible(child, rule)
        mixed = union.crossover(spec, child, rng, rule)
        assert mixed in members and union.feasible(mixed, rule)
        homes.add(int(union.encode(child)[0]))
        spec = child
    assert homes == {0, 1, 2}


def test_shared_genes():
    shared = SMALL.where(**{"stage0.op": ("mbconv",)})
    with pytest.raises(MetanetError, match="all stages of small have 0 values of op in common: two are needed"):
        shared.shared("op")
    with pytest.raises(MetanetError, match="unknown gene of a stage 'opp': did you mean 'op'"):
        shared.shared("opp")
    tiny = load_space("metanet-tiny").freeze(resolution=28)
    tied = tiny.shared("kernel")
    for spec in tied.sample(300, seed=0):
        assert len({stage.kernel for stage in spec.stages if stage.kernel}) <= 1
    assert (
        tied.size == sum(part.size for part in tied.parts) - tiny.where(op=("self_attention", "channel_attention")).size
    )  # networks without a kernel are in both parts


def test_a_search_over_a_union(union, tmp_path):
    def score(spec):
        return float(union.price(spec)["params"])

    sampler = AgingEvolution(population=8, tournament=3)
    found = search(union, score, constraints="macs <= 900k", sampler=sampler, trials=60, store=tmp_path / "a.journal")
    best = max(cost["params"] for spec, cost in prices().items() if cost["macs"] <= 900_000 and union.contains(spec))
    assert union.feasible(found.best.spec, "macs <= 900k") and found.best.spec == union.decode(
        union.encode(found.best.spec)
    )
    assert 0.8 * best < score(found.best.spec) <= best


def test_optuna_asks_for_every_part(union):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(30):
        trial = study.ask()
        spec = union.suggest(trial)
        assert union.contains(spec) and trial.distributions == union.distributions()
        seen.add(trial.params["part"])
    assert seen == {"conv", "wide", "head"}


def test_ends_and_refusals(union, members):
    cost = prices()
    target = max(cost[spec]["macs"] for spec in members)
    assert union.nearest(macs=target).costs["macs"] == target
    with pytest.raises(MetanetError, match="a union needs two or more spaces of different names"):
        Union("one", (CONV,))
    with pytest.raises(MetanetError, match="no architecture of conv satisfies macs <= 1_000"):
        union.sample(1, "macs <= 1k", seed=0)
    with pytest.raises(MetanetError, match="must be 0 or more, got -1"):
        union.sample(-1, seed=0)


def test_a_part_that_gets_no_try_is_no_mistake():
    tiny = load_space("metanet-tiny")
    ends = tiny.cheapest("macs")
    few = tiny.freeze(
        **{gene.name: gene.choices[i] for gene, i in zip(tiny.genes, tiny.encode(ends.spec), strict=True)}
    )
    drawn = (replace(few, name="one") | tiny.freeze(resolution=28)).sample(20, seed=0)
    assert len(drawn) == 20 and all(tiny.contains(spec) for spec in drawn)
