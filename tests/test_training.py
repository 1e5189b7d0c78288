"""Schedules, parameter groups and the digest of a module's state."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from metanet.training import cosine, parameter_groups, state_sha256


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


class Counting(nn.BatchNorm1d):
    def __init__(self):
        super().__init__(3)
        self.register_buffer("calls", torch.zeros(()), persistent=False)


@pytest.mark.parametrize("name", ["weight", "bias", "running_var", "num_batches_tracked", "calls"])
def test_the_digest_of_a_state_sees_every_value_saved_or_not(name):
    net = nn.Sequential(Counting())
    before = state_sha256(net)
    assert state_sha256(nn.Sequential(Counting())) == before
    with torch.no_grad():
        getattr(net[0], name).add_(1)
    assert state_sha256(net) != before


def test_the_digest_of_a_state_sees_types_shapes_and_names():
    def digest(value, name="value"):
        module = nn.Module()
        module.register_buffer(name, value)
        return state_sha256(module)

    zero = torch.zeros(2, 1)
    different = [zero, zero.T, zero[:0], zero.int(), zero.bfloat16(), zero.bool(), torch.tensor(0.0)]
    assert len({digest(value) for value in different} | {digest(zero, "other")}) == len(different) + 1
    assert digest(torch.ones(2, 4)[:, ::2]) == digest(torch.ones(2, 2))  # strides are no part of a value


def test_the_digest_of_a_state_stays_what_stored_runs_know():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        for layer, value in zip(net, (1.0, -2.0), strict=True):
            layer.weight.fill_(value)
    state = b"0.weight torch.float32 (1, 1)\x00\x00\x80\x3f1.weight torch.float32 (1, 1)\x00\x00\x00\xc0"
    assert state_sha256(net) == hashlib.sha256(state).hexdigest()
