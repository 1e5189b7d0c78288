"""Schedules, parameter groups and the digest of weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from metanet.training import cosine, parameter_groups, weights_digest


@given(st.integers(1, 500), st.integers(0, 50), st.floats(1e-6, 1.0), st.floats(0.0, 1e-7))
def test_cosine_rises_then_falls(steps, warmup, peak, floor):
    rates = [cosine(i, steps=steps + warmup, peak=peak, warmup=warmup, floor=floor) for i in range(steps + warmup)]
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert rates[warmup] == pytest.approx(max(rates)) == pytest.approx(peak)
    assert cosine(steps + warmup, steps=steps + warmup, peak=peak, warmup=warmup, floor=floor) == pytest.approx(floor)


def test_cosine_is_torchs():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1)
    for step in range(10):
        assert cosine(step + 5, steps=15, peak=0.3, warmup=5, floor=0.1) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_only_matrices_and_kernels_decay():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    net[3].weight.requires_grad_(False)
    decaying, free = parameter_groups(net, 0.05)
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.05, 0.0)
    assert [tuple(p.shape) for p in decaying["params"]] == [(4, 3, 3, 3)]
    assert [tuple(p.shape) for p in free["params"]] == [(4,), (4,), (4,), (2,)]


@pytest.mark.parametrize("name", ["weight", "bias", "running_var", "num_batches_tracked"])
def test_the_digest_of_weights_sees_every_value(name):
    net = nn.BatchNorm1d(3)
    before = weights_digest(net)
    assert weights_digest(nn.BatchNorm1d(3)) == before
    with torch.no_grad():
        net.state_dict()[name].add_(1)
    assert weights_digest(net) != before
