"""Every space's tables against `metanet.cost`, and against torch's own count of the networks; all to the integer."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import metanet
from metanet.search_spaces import SPACES, load_space

COSTS = ("macs", "params", "activations", "memory")
PRICED = 100
# Networks that are built: a space's slowest take seconds. `perf/exact.py` builds a thousand of each.
BUILT = {"metanet": 2, "metanet-tiny": 5, "uninet": 1, "uninet-scaled": 1, "conv-only": 1, "attention-only": 1}


def counted(spec):
    net = metanet.create(spec, device="meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 3, spec.resolution, spec.resolution, device="meta"))
    return {"macs": counter.get_total_flops() // 2, "params": sum(p.numel() for p in net.parameters())}


@pytest.mark.parametrize("name", SPACES)
def test_tables_equal_the_costs_of_architectures_and_torchs_count_of_their_networks(name):
    space = load_space(name)
    rows = space.sampler().draw(PRICED, np.random.default_rng(7))
    table, specs = space.table(rows, COSTS), space.specs(rows)
    for i, spec in enumerate(specs):
        cost = metanet.cost(spec)
        own = {"macs": cost.macs, "params": cost.params, "activations": cost.activations, "memory": cost.memory()}
        assert {metric: int(table[metric][i]) for metric in COSTS} == own
    for i, spec in enumerate(specs[: BUILT[name]]):
        assert {metric: int(table[metric][i]) for metric in ("macs", "params")} == counted(spec)


@pytest.mark.parametrize("name", SPACES)
def test_architectures_from_tables_are_those_of_their_own_checks(name):
    space = load_space(name)
    rows = space.sampler().draw(200, np.random.default_rng(8))
    for row, spec in zip(rows, space.specs(rows), strict=True):
        again = metanet.ArchSpec.from_dict(spec.to_dict())
        assert again == spec and again.id == spec.id and np.array_equal(space.encode(spec), row)
        for stage, checked in zip(spec.stages, again.stages, strict=True):
            assert stage.__dict__ == checked.__dict__ and all(
                type(v) is type(checked.__dict__[k]) for k, v in stage.__dict__.items()
            )


def test_prices_do_not_depend_on_the_size_of_blocks(monkeypatch):
    from metanet.search_spaces import costs

    space = load_space("metanet-tiny")
    rows = space.sampler().draw(1_000, np.random.default_rng(9))
    whole = space.table(rows, COSTS)
    monkeypatch.setattr(costs, "BLOCK", 300)
    for metric, values in space.table(rows, COSTS).items():
        assert np.array_equal(values, whole[metric])
    assert len(space.table(rows[:0])["macs"]) == 0
