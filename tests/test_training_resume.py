"""The training loop that is killed for real and ends the same to the bit."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import nn
from torch.nn import functional as F

from metanet import runs, training
from metanet.errors import MetanetError
from metanet.training import parameter_groups, resumable

STEPS = 60


def problem(momentum_seed: int = 0):
    """A small network with BatchNorm and dropout, its optimiser, and a step that depends on the step's number."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(momentum_seed)
        net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 4))
    optimizer = torch.optim.AdamW(parameter_groups(net, 0.1), lr=1e-2)

    def step_fn(step):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(32, 8, generator=generator)
        loss = F.cross_entropy(net(x), x[:, :4].argmax(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.item(), "norm": sum(p.norm().item() for p in net.parameters())}

    return step_fn, {"net": net, "optimizer": optimizer}


def train(out: Path, *, steps: int = STEPS, every: float = 0.0, fingerprint: str = "options", pause: float = 0.0):
    step_fn, state = problem()

    def slow(step):
        time.sleep(pause)
        return step_fn(step)

    history = resumable(slow, state, steps=steps, out=out, fingerprint=fingerprint, every=every, quiet=True)
    return history, state


def content(out: Path):
    """What the last checkpoint holds, read without the code under test."""
    return torch.load(out / "checkpoint.pt", weights_only=True)


def assert_same(a, b):
    """Equal to the bit, through all containers."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def start(target: Callable[..., Any], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """A new process, forked from one that has imported what takes seconds to import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch._dynamo", "pandas", "pytest", "hypothesis"])
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def train_slowly(out: Path) -> None:
    train(out, pause=0.01)


def next_step(out: Path) -> int:
    return content(out)["step"] if (out / "checkpoint.pt").exists() else 0


def test_killed_at_any_moment_it_ends_the_same_to_the_bit(tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    history, _ = train(calm)
    kills, moments = 0, random.Random(0)
    while next_step(killed) < STEPS:
        process, begin = start(train_slowly, killed), next_step(killed)
        while process.is_alive() and next_step(killed) < begin + STEPS // 4:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 3
    assert_same(content(killed), content(calm))
    again, _ = train(killed)
    assert again.equals(history)
    assert sorted(path.name for path in killed.iterdir()) == [".checkpoint.lock", "checkpoint.pt"]


def train_and_die_while_writing(out: Path, write: int) -> None:
    """Ends by SIGKILL half through the given write of the fourth checkpoint."""
    real_save, real_write, saves, writes = training._save, runs.Sealing.write, 0, 0

    def save(*arguments):
        nonlocal saves, writes
        saves, writes = saves + 1, 0
        real_save(*arguments)

    def write_or_die(self, data):
        nonlocal writes
        if (saves, writes) == (4, write):
            self.file.write(bytes(data)[: len(data) // 2])
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        writes += 1
        return real_write(self, data)

    training._save, runs.Sealing.write = save, write_or_die
    train(out, steps=8)


@pytest.mark.parametrize("write", [0, 1, 7])
def test_killed_inside_the_write_of_a_checkpoint(tmp_path, write):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    process = start(train_and_die_while_writing, killed, write)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert content(killed)["step"] == 3
    assert any(path.suffix == ".tmp" for path in killed.iterdir())
    train(killed, steps=8)
    train(calm, steps=8)
    assert_same(content(killed), content(calm))
    assert not any(path.suffix == ".tmp" for path in killed.iterdir())


def test_state_is_what_the_history_says(tmp_path):
    history, state = train(tmp_path, steps=5)
    _, resumed = train(tmp_path, steps=5)
    assert list(history.columns) == ["step", "loss", "norm"]
    assert list(history["step"]) == [0, 1, 2, 3, 4]
    assert history["norm"].iloc[-1] == sum(p.norm().item() for p in resumed["net"].parameters())
    assert_same(dict(state["net"].state_dict()), dict(resumed["net"].state_dict()))


def test_checkpoints_are_rare_and_the_end_is_always_one(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(training, "_save", lambda path, state, fingerprint, step, history: saved.append(step))
    train(tmp_path, steps=6, every=3600)
    assert saved == [6]


def test_the_global_generator_is_seeded_by_step_and_given_back(tmp_path):
    drawn = []

    def draw(step):
        drawn.append(torch.rand(()).item())
        return {"value": drawn[-1]}

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for seed in (0, 1):
        resumable(draw, {}, steps=3, out=tmp_path / str(seed), fingerprint="", seed=seed)
    assert torch.equal(torch.rand(3), expected)
    assert len(set(drawn)) == 6


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"fingerprint": "two"}, "one, 2 steps, seed 0, not two, 2 steps, seed 0"),
        ({"steps": 1}, "one, 2 steps, seed 0, not one, 1 steps, seed 0"),
    ],
)
def test_other_options_are_refused_and_the_checkpoint_stays(tmp_path, change, found):
    options = {"steps": 2, "fingerprint": "one"}
    train(tmp_path, **options)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    message = rf"^the checkpoint '.*checkpoint.pt' belongs to other options \({found}\): repeat the options .* folder$"
    with pytest.raises(MetanetError, match=message):
        train(tmp_path, **{**options, **change})
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"not a checkpoint, but long enough to have a digest",
        lambda data: data[:900] + bytes([data[900] ^ 1]) + data[901:],
    ],
    ids=["half", "one byte short", "empty", "foreign", "one bit flipped"],
)
def test_a_damaged_checkpoint_is_refused_and_stays(tmp_path, damage):
    train(tmp_path, steps=2)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(damaged := damage(path.read_bytes()))
    with pytest.raises(MetanetError, match=r"^the checkpoint '.*checkpoint.pt' is damaged or not one of metanet's: re"):
        train(tmp_path, steps=2)
    assert path.read_bytes() == damaged


def test_a_checkpoint_never_runs_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save(
        {"fingerprint": "options, 2 steps, seed 0", "step": 1, "history": Evil(), "state": {}},
        tmp_path / "checkpoint.pt",
    )
    data = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(data + hashlib.sha256(data).digest())
    with pytest.raises(MetanetError, match="is damaged or not one of metanet's"):
        train(tmp_path, steps=2)
    assert not (tmp_path / "owned").exists()


def test_two_processes_do_not_share_a_folder(tmp_path):
    message = r"^another process is training in '.*': wait for it or choose another folder$"
    with FileLock(tmp_path / ".checkpoint.lock"), pytest.raises(MetanetError, match=message):
        train(tmp_path, steps=2)
