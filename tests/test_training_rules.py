"""Rules of supernet training: which go together, and which networks each of them trains, against brute force."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from small import SMALL, enumerated, prices
from torch.nn import functional as F
from trained import SPACE, steps

from metanet import MetanetError
from metanet.data import batch_ids
from metanet.search_spaces import RULES, TrainingConfig, load_space, parse_constraints
from metanet.search_spaces.training.attentive import POOL
from metanet.search_spaces.training.parts import PARTS
from metanet.search_spaces.training.pools import Bands, banded, cost_bands
from metanet.search_spaces.training.shrinking import PHASES, phases

DEFAULT = ("sandwich", "best-up")


def combinations():
    """Every combination of rules that has a meaning."""
    by_part = {part: [n for n, r in RULES.items() if r.part == part] for part in PARTS}
    optional = [[None, *by_part[part]] for part in PARTS if part != "networks"]
    for networks, *others in product(by_part["networks"], *optional):
        rules = tuple(name for name in (networks, *others) if name)
        if networks == "sandwich" or not any(RULES[name].needs_largest for name in rules):
            yield rules


def test_rules_combine_where_they_mean_something():
    found = list(combinations())
    assert len(found) == 4 * 2 * (3 * 2 + 1)  # sandwich with every teacher and join, single-path with neither
    for rules in found:
        assert set(TrainingConfig(rules=rules).rules) == set(rules)
    assert TrainingConfig(rules=("alpha-divergence", "sandwich")).rules == ("sandwich", "alpha-divergence")
    assert TrainingConfig().rules == DEFAULT
    for rule in RULES.values():
        assert rule.part in PARTS and rule.about and any(year in rule.paper for year in map(str, range(2019, 2024)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rules": ("sandwhich",)}, "unknown rule 'sandwhich': did you mean 'sandwich'"),
        ({"rules": ("sandwich", "sandwich")}, "one rule for the networks of a step, got sandwich and sandwich"),
        (
            {"rules": ("sandwich", "best-up", "cost-band")},
            "one rule for how its random networks are drawn, got best-up and cost-band: leave one of them out",
        ),
        ({"rules": ("best-up",)}, "which networks a step trains: add sandwich or single-path, got best-up"),
        ({"rules": ()}, "add sandwich or single-path, got none"),
        (
            {"rules": ("single-path", "in-place-distillation")},
            "in-place-distillation needs the largest network in each step, and single-path trains one random",
        ),
        (
            {"rules": ("single-path", "gradient-projection")},
            "take sandwich in its place, or leave gradient-projection out",
        ),
        ({"rules": ("sandwich", "worst-up"), "samples": 0}, "worst-up chooses among random networks, and samples=0"),
        ({"batch_size": 5, "micro_batches": 3}, "got batch_size=5 in micro_batches=3: use at most 2"),
        ({"steps": 0}, "`steps` must be a whole number of at least 1, got 0"),
        ({"batch_size": 1}, "`batch_size` must be a whole number of at least 2, got 1"),
        ({"micro_batches": 0}, "`micro_batches` must be a whole number of at least 1, got 0"),
        ({"candidates": 1}, "`candidates` must be a whole number of at least 2, got 1"),
        ({"bands": 0}, "`bands` must be a whole number of at least 1, got 0"),
        ({"shift": -1}, "`shift` must be a whole number of at least 0, got -1"),
        ({"steps": 1.5}, "`steps` must be a whole number of at least 1, got 1.5"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be at least 0 and below 1, got 1.0"),
        ({"weight_decay": -1}, "`weight_decay` must be at least 0, got -1"),
        ({"rules": "sandwich"}, "`rules` must be names one by one, as .'sandwich',., got 'sandwich'"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0, got -1"),
        ({"lr": 0.0}, "`lr` must be above 0, got 0.0"),
        ({"constraints": "macs"}, "cannot read the constraints"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(MetanetError, match=said):
        TrainingConfig(**options)


@pytest.mark.parametrize("rules", list(combinations())[::5], ids="+".join)
def test_networks_are_feasible_and_a_function_of_seed_and_step(rules):
    shrinking = "progressive-shrinking" in rules
    rule = None if shrinking else "macs <= 150k"
    made = [steps(*rules, constraints=rule, samples=2, seed=seed) for seed in (0, 1)]  # weights do not matter
    seen = set()
    for step in (0, 3, 5, 7):
        first, again = (one.networks(step) for one in made)
        assert first == again
        specs = [*first.ends, *(spec for group in first.random for spec in group)]
        assert all(SPACE.feasible(spec, rule) and SPACE.contains(spec) for spec in specs)
        assert len(first.ends) == (2 if "sandwich" in rules else 0)
        assert len(first.random) == (2 if "sandwich" in rules else 1)
        seen.update(specs)
    assert len(seen) >= 4


TINY = load_space("metanet-tiny").freeze(resolution=28)


def test_the_sandwich_holds_both_ends():
    made = steps("sandwich", samples=3)
    tiny = replace(made.pools[0][0], space=TINY, sampler=TINY.sampler())
    made.pools = [[tiny]]
    largest, smallest = made.networks(5).ends
    assert [s.depth for s in largest.stages] == [2, 3, 3, 3] and [s.width for s in smallest.stages] == [16, 24, 40, 64]
    assert {made.networks(step % 8).ends[0].stages[0].op for step in range(8)} == set(TINY.stages[0].op)


def test_under_constraints_the_ends_are_feasible_and_apart():
    made = steps("sandwich", samples=3, constraints="macs <= 150k")
    for step in range(8):
        networks = made.networks(step)
        largest, smallest, *others = [
            SPACE.price(spec)["macs"] for spec in (*networks.ends, *(group[0] for group in networks.random))
        ]
        assert 120_000 < largest <= 150_000 and smallest < 60_000 and max(others) <= 150_000


# --- attentive sampling


@pytest.mark.parametrize("rule", ["best-up", "worst-up"])
def test_the_best_or_the_worst_of_networks_of_one_cost_is_taken(rule):
    made = steps("sandwich", rule, samples=2, candidates=4, shift=0)
    torch.manual_seed(0)
    with torch.no_grad():  # weights at which networks differ
        for parameter in made.supernet.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    for step in (0, 1):
        groups = made.networks(step).random
        _, told = made.gradients(step)
        for i, group in enumerate(groups):
            assert len(set(group)) == 4
            pool = SPACE.sample(4 * POOL, seed=[3, 0, step, 1, i])  # the same draw, judged by hand
            target = SPACE.price(pool[0])["macs"]
            nearest = sorted(abs(SPACE.price(spec)["macs"] - target) for spec in set(pool))[:4]
            assert sorted(abs(SPACE.price(spec)["macs"] - target) for spec in group) == nearest
            losses = [loss_alone(made, spec, step) for spec in group]
            assert told[f"taken {i}"] == losses.index((min if rule == "best-up" else max)(losses))


def loss_alone(made, spec, step):
    """The loss of an extracted network on the step's images, with the batch's own statistics."""
    ids = batch_ids(made.data.ids, made.config.batch_size, seed=made.config.seed, step=step)
    x = made.data.images.batch(ids, spec.resolution)
    with torch.no_grad():
        logits = made.supernet.extract(spec).train()(x)
    return F.cross_entropy(logits, torch.from_numpy(made.data.images.labels[ids])).item()


# --- bands of cost


def test_bands_are_equally_wide_between_the_ends_of_what_is_feasible():
    macs = sorted(costs["macs"] for costs in prices().values())
    bands = cost_bands(SMALL, (), 4)
    assert bands.edges[0] == pytest.approx(macs[0]) and bands.edges[-1] == pytest.approx(macs[-1])
    widths = np.diff(np.log(bands.edges))
    assert widths == pytest.approx(np.full(4, widths[0]))
    feasible = sorted(m["macs"] for m in prices().values() if m["params"] <= 9000)
    capped = cost_bands(SMALL, parse_constraints("params <= 9000"), 3)
    assert capped.edges[0] == pytest.approx(feasible[0]) and capped.edges[-1] == pytest.approx(feasible[-1])
    for cost in macs:
        assert bands.of(cost) == min(3, sum(cost >= edge for edge in bands.edges[1:-1]))
    assert bands.of(0) == 0 and bands.of(10**12) == 3
    even = Bands((10.0, 100.0, 1000.0))  # a cost on an edge belongs to the band above, in the draw as in the history
    assert (even.of(99), even.of(100)) == (0, 1)
    assert [(window.low, window.high) for window in even.windows()] == [(-np.inf, 99), (100, np.inf)]


def test_all_networks_of_a_step_lie_in_one_band_and_all_bands_are_drawn():
    made = steps("sandwich", "cost-band", samples=3, steps=60)
    bands = cost_bands(SPACE, (), 4)
    seen = []
    for step in range(60):
        networks = made.networks(step)
        specs = (*networks.ends, *(group[0] for group in networks.random))
        own = {bands.of(SPACE.price(spec)["macs"]) for spec in specs}
        assert len(own) == 1
        seen.append(own.pop())
    counts = np.bincount(seen, minlength=4)
    assert stats.chisquare(counts).pvalue > 0.001


def test_bands_without_a_network_are_left_out():
    two = SPACE.where(depth=[2], width=[16], expansion=[2], kernel=[3], se=[False], head_width=[16], op=["mbconv"])
    two = two.freeze(**{"stage1.down": None})
    assert two.size == 2  # the resolutions
    pools = banded(two, (), 6)
    assert len(pools) == 2
    drawn = {pool.draw(1, [0])[0] for pool in pools}
    assert drawn == enumerated(two)


# --- progressive shrinking


def test_phases_open_what_the_paper_opens():
    found = phases(SMALL)
    assert list(found) == list(PHASES) == ["largest", "kernel", "depth", "width"]
    networks = [enumerated(space) for space in found.values()]
    assert networks[0] < networks[1] < networks[2] < networks[3] == set(prices())
    # In stage 1 one alternative is the deepest and another one the widest: each has its own largest network.
    assert {tuple((s.depth, s.width) for s in spec.stages) for spec in networks[0]} == {
        ((2, 12), (3, 16), (1, 24)),
        ((2, 12), (1, 24), (1, 24)),
    }
    assert {spec.stages[1].depth for spec in networks[2]} == {1, 3} and {
        spec.stages[0].width for spec in networks[2]
    } == {12}
    assert {spec.resolution for spec in networks[0]} == {16, 17}
    assert {spec.stages[0].op for spec in networks[0]} == {"mbconv", "self_attention"}


def test_each_phase_has_its_share_of_the_steps():
    made = steps("sandwich", "progressive-shrinking", steps=8, samples=6)
    shapes = []
    for step in range(8):
        networks = made.networks(step)
        specs = [*networks.ends, *(group[0] for group in networks.random)]
        shapes.append([{getattr(s, gene) for spec in specs for s in spec.stages[:1]} for gene in ("depth", "width")])
    assert shapes[:4] == [[{2}, {16}]] * 4
    assert any(depths == {1, 2} for depths, _ in shapes[4:6]) and all(widths == {16} for _, widths in shapes[4:6])
    assert any(widths == {8, 16} for _, widths in shapes[6:])


def test_an_infeasible_phase_is_told_before_training():
    said = (
        r"phase 'largest' of progressive-shrinking has no network under macs <= 60k \(.*nearest attainable.*\): widen"
    )
    with pytest.raises(MetanetError, match=said):
        steps("sandwich", "progressive-shrinking", constraints="macs <= 60k")
    with pytest.raises(MetanetError, match=r"^no architecture of shaded satisfies macs <= 1_000: the nearest"):
        steps("sandwich", constraints="macs <= 1k")


def test_a_phase_without_any_network_is_told():
    odd = replace(SPACE, stages=(replace(SPACE.stages[0], op=("self_attention",), width=(8, 12)), SPACE.stages[1]))
    odd = replace(odd, stem_width=(8, 12))
    assert odd.size > 0
    with pytest.raises(MetanetError, match="phase 'largest' of progressive shrinking has no network in space shaded"):
        phases(odd)
