"""One supernet trained by two real processes (gloo): the same networks in both, the result of one process, and no
waiting for a process that failed."""

import json
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from trained import SPACE, shades, steps, weights_of
from two_processes import RULES, endless, everything, named, options

from metanet import MetanetError
from metanet.search_spaces import Supernet, train_supernet
from metanet.search_spaces.training.processes import Processes
from metanet.search_spaces.training.step import Steps

PATIENCE = 120  # seconds until a hang is a failure


def start(target: Callable[[int, int, Path], None], folder: Path) -> list[BaseProcess]:
    """Two processes of one training, forked from one that has imported what takes seconds to import."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch._dynamo", "pandas", "pytest", "hypothesis", "lightning_fabric"])
    processes = [context.Process(target=target, args=(rank, port, folder)) for rank in (0, 1)]
    for process in processes:
        process.start()
    return processes


def ended(processes: list[BaseProcess]) -> list[int | None]:
    """The exit code of each; a process that hangs is killed, and its code says so."""
    begin = time.monotonic()
    for process in processes:
        process.join(max(0.0, begin + PATIENCE - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes did everything."""
    folder = tmp_path_factory.mktemp("two")
    assert ended(start(everything, folder)) == [0, 0]
    return folder


def saved(folder, name):
    """What both processes saved by a name."""
    return [torch.load(folder / f"{name}{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_both_processes_train_the_same_networks_with_the_gradients_of_one_process(two):
    first, second = saved(two, "")
    made = Steps(Supernet(SPACE, 4).train(), shades(), options(), Processes())
    alone, told = made.gradients(0)
    assert first["names"] == second["names"] == named(made)
    assert first["told"] == pytest.approx(second["told"], abs=0, nan_ok=True)
    assert first["told"] == pytest.approx(told, abs=1e-5, nan_ok=True)
    assert first["gradients"].keys() == second["gradients"].keys() == alone.keys()
    assert max(gradient.abs().max().item() for gradient in alone.values()) > 0.01
    for name, gradient in alone.items():
        assert torch.equal(first["gradients"][name], second["gradients"][name])
        assert torch.allclose(first["gradients"][name], gradient, atol=1e-5), name


def test_two_processes_end_with_the_weights_of_one(two, tmp_path):
    alone = weights_of(train_supernet(Supernet(SPACE), shades(), options(), out=tmp_path, quiet=True))
    start_of_all = weights_of(Supernet(SPACE, 4))
    first, second = saved(two, "run")
    assert torch.equal(first, second)
    assert (alone - start_of_all).norm() > 1
    # AdamW's first steps have the length of the learning rate, however small the gradient, and where that is next to 0
    # its sign is rounding's; the gradients of the first step are compared to 1e-5 above.
    other = weights_of(train_supernet(Supernet(SPACE), shades(), options(seed=1), quiet=True))
    assert (first - alone).norm() < 3e-2 * (alone - start_of_all).norm() < 4e-2 * (other - alone).norm()
    histories = [pd.read_csv(folder / "history.csv") for folder in (two / "run", tmp_path)]
    assert list(histories[0].columns) == list(histories[1].columns)
    assert np.allclose(*histories, atol=1e-2, equal_nan=True)
    assert sorted(path.name for path in (two / "run").iterdir()) == sorted(path.name for path in tmp_path.iterdir())


def test_an_error_in_one_process_ends_both_and_the_run_goes_on(two):
    first, second = (json.loads((two / f"{rank}.json").read_text()) for rank in (0, 1))
    assert second["failed"] == "an image cannot be read: get the file again"
    assert first["failed"] == (
        "another process of this training failed, and its message says why; the same command goes on where it was"
    )
    assert 0 < first["steps"] < 4
    for found, calm in zip(saved(two, "failed"), saved(two, "run"), strict=True):
        assert torch.equal(found, calm)


def test_what_only_the_first_process_sees_is_told_in_both(two):
    for rank in (0, 1):
        said = json.loads((two / f"{rank}.json").read_text())["damaged"]
        assert "checkpoint.pt' is damaged or not one of metanet's: restore it from a copy" in said


def test_a_process_that_is_killed_leaves_the_other_with_a_sentence(tmp_path):
    processes = start(endless, tmp_path)
    begin = time.monotonic()
    while not (tmp_path / "checkpoint.pt").exists() and time.monotonic() - begin < PATIENCE:
        time.sleep(0.05)
    processes[1].kill()
    assert ended(processes) == [0, -signal.SIGKILL]
    said = (tmp_path / "0.txt").read_text()
    assert said.startswith("another process of this training failed, and its message says why")


def several(world_size, precision="32-true"):
    """What a Fabric of some processes says of itself."""
    strategy = SimpleNamespace(precision=SimpleNamespace(precision=precision))
    return SimpleNamespace(world_size=world_size, global_rank=0, strategy=strategy)


def test_processes_without_a_micro_batch_are_refused():
    made, data = steps(*RULES, micro_batches=2), shades()
    with pytest.raises(
        MetanetError, match=r"^3 processes need as many micro-batches or more, got micro_batches=2: the"
    ):
        Steps(made.supernet, data, made.config, Processes(several(3)))


def test_a_precision_that_would_need_scaled_gradients_is_refused():
    with pytest.raises(MetanetError, match="16-mixed loses the small ones: use precision='bf16-mixed'"):
        Processes(several(1, "16-mixed"))


def test_a_fabric_of_one_process_and_bfloat16_trains(tmp_path):
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    made = options(steps=2, micro_batches=1)
    half = weights_of(train_supernet(Supernet(SPACE), shades(), made, quiet=True, fabric=fabric))
    full = weights_of(train_supernet(Supernet(SPACE), shades(), made, quiet=True))
    moved = (full - weights_of(Supernet(SPACE, 4))).norm()
    assert 0 < (half - full).norm() < 0.5 * moved
