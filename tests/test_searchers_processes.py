"""Evaluations in local processes: all told, none twice, and whatever becomes of a process is a result."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_searchers_table import Row, TableSpace, score, told

from metanet.errors import MetanetError
from metanet.searchers import InProcess, LocalProcesses, search
from metanet.searchers.executors import Outcome, processes

SPACE = TableSpace()


def outcomes(evaluate: Any, specs: Iterable[Any], **options: Any) -> dict[Any, Outcome[Any]]:
    return {outcome.spec: outcome for outcome in LocalProcesses(**options).map(evaluate, specs)}


def test_a_worker_that_replaces_a_dead_one_sees_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(processes, "COMMAND", "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    found = outcomes(len, ["a", "b", "c", "d"], workers=1)
    assert {outcome.reason for outcome in found.values()} == {"its process ended with status 0; it said last: 4"}
    with processes._pool(LocalProcesses(2), b"") as pool:
        pool.start("a")
        pool.start("b")
        assert [worker.gpu for worker in pool.busy] == [0, 1]
        pool.ended()
        (left,) = pool.busy
        pool.start("c")
        assert pool.busy[1].gpu == 1 - left.gpu


class Unready:
    """An evaluator that takes a minute to read."""

    def __reduce__(self) -> Any:
        return time.sleep, (60,)


def test_a_process_that_never_gets_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "READY", 0.5)
    begun = time.monotonic()
    found = outcomes(Unready(), ["a", "b"], workers=2, timeout=0.25)
    reason = "its process was not ready after 0.75 s: reading the evaluator takes too long"
    assert {outcome.reason for outcome in found.values()} == {reason} and time.monotonic() - begun < 30


@pytest.mark.slow
def test_every_end_of_an_evaluation_is_told_and_the_others_go_on() -> None:
    def evaluate(spec: str) -> Any:
        if spec == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if spec == "aborted":
            os.kill(os.getpid(), signal.SIGABRT)
        if spec == "left":
            print("no room for a tensor", file=sys.stderr, flush=True)
            os._exit(3)
        if spec == "slow":
            subprocess.run(["sleep", "60"])
        if spec == "raised":
            raise MemoryError("4 GiB")
        if spec == "odd":
            return {"accuracy": threading.Lock()}
        return {"accuracy": float(len(spec)), "pid": float(os.getpid())}

    before = set(psutil.Process().children(recursive=True))  # of other tests, which are none of ours
    names = ["fine", "killed", "aborted", "left", "slow", "raised", "odd", "good"]
    found = outcomes(evaluate, names, workers=2, timeout=2.0)
    assert set(found) == set(names)
    assert found["fine"].metrics == {"accuracy": 4.0, "pid": found["fine"].metrics["pid"]}  # type: ignore[index]
    assert found["fine"].metrics["pid"] != os.getpid()  # type: ignore[index]
    reasons = {name: outcome.reason for name, outcome in found.items() if outcome.reason}
    odd = reasons.pop("odd")
    assert odd.startswith("what the evaluator returned cannot be sent back (TypeError: cannot pickle")
    assert reasons == {
        "killed": "its process was killed (SIGKILL), as systems do where memory is short",
        "aborted": "its process was ended by SIGABRT",
        "left": "its process ended with status 3; it said last: no room for a tensor",
        "slow": "it took longer than the timeout of 2 s",
        "raised": "MemoryError: 4 GiB",
    }
    assert found["slow"].seconds >= 2
    assert set(psutil.Process().children(recursive=True)) <= before  # no worker is left, nor what one had started


@pytest.mark.slow
def test_a_search_by_processes_evaluates_each_architecture_once(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def evaluate(spec: Row) -> float:
        with open(log, "a") as file:
            file.write(f"{spec.id} {os.getpid()}\n")
        time.sleep(0.02)
        return score(spec)

    result = search(SPACE, evaluate, trials=40, store=tmp_path / "s", executor=LocalProcesses(3))
    asked = [line.split() for line in log.read_text().splitlines()]
    assert len(asked) == len({spec for spec, _ in asked}) == 40
    assert len({pid for _, pid in asked}) == 3
    assert {one.spec.id: one.values["accuracy"] for one in result.scored} == {
        spec.id: score(spec) for spec in SPACE.everything if spec.id in {name for name, _ in asked}
    }


def test_one_process_gives_the_study_that_no_process_gives(tmp_path: Path) -> None:
    here = search(SPACE, score, trials=25, store=tmp_path / "here", executor=InProcess())
    there = search(SPACE, score, trials=25, store=tmp_path / "there", executor=LocalProcesses(1))
    assert told(here) == told(there)


@pytest.mark.slow
def test_more_is_asked_for_only_when_there_is_room_and_after_what_ended_was_told() -> None:
    told_, asked = [], []

    def specs() -> Iterator[int]:
        for i in range(9):
            asked.append((i, len(told_)))
            yield i

    for outcome in LocalProcesses(2).map(lambda i: {"accuracy": float(i)}, specs()):
        told_.append(outcome.spec)
    assert sorted(told_) == list(range(9))
    assert asked == [(0, 0), (1, 0), *((i, i - 1) for i in range(2, 9))]


def test_nothing_to_do_means_ask_again_after_the_next_outcome() -> None:
    told_: list[int] = []

    def specs() -> Iterator[int | None]:
        yield 0
        while not told_:
            yield None
        yield 1

    for outcome in LocalProcesses(2).map(lambda i: {"accuracy": float(i)}, specs()):
        told_.append(outcome.spec)
    assert told_ == [0, 1]


@pytest.mark.slow
def test_workers_share_the_cores_and_keep_their_words_to_themselves(capfd: pytest.CaptureFixture[str]) -> None:
    def threads(spec: int) -> dict[str, float]:
        import torch

        print("chatter", flush=True)
        return {"threads": torch.get_num_threads()}

    assert outcomes(threads, [0], workers=1, threads=1)[0].metrics == {"threads": 1}
    cores = max(1, (os.cpu_count() or 1) // 2)
    assert outcomes(threads, [0], workers=2)[0].metrics == {"threads": cores}
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_worker_dies_with_its_driver(tmp_path: Path) -> None:
    script = f"""
import os, time
from metanet.searchers import LocalProcesses
def evaluate(spec):
    open({str(tmp_path / "pid")!r} + spec, "w").write(str(os.getpid()))
    time.sleep(100)
list(LocalProcesses(2).map(evaluate, ["a", "b"]))
"""
    with subprocess.Popen([sys.executable, "-c", script]) as driver:
        files = [tmp_path / "pida", tmp_path / "pidb"]
        while not all(file.exists() and file.read_text() for file in files):
            assert driver.poll() is None
            time.sleep(0.05)
        driver.kill()
    workers = [int(file.read_text()) for file in files]
    until = time.monotonic() + 20
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_evaluator_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    lock = threading.Lock()

    def evaluate(spec: Row) -> float:
        with lock:
            return 1.0

    with pytest.raises(MetanetError, match=r"the evaluator cannot be sent to another process \(TypeError: .*lock"):
        search(SPACE, evaluate, trials=3, store=tmp_path / "s", executor=LocalProcesses())


class Unreadable:
    """Goes there, but does not come back from its pickle."""

    fingerprint = "unreadable"

    def __call__(self, spec: Any, *, fidelity: float = 1.0) -> dict[str, float]:
        return {"accuracy": 1.0}

    def __reduce__(self) -> Any:
        return eval, ("1 / 0",)


def test_an_evaluator_that_cannot_be_read_there_says_so() -> None:
    found = outcomes(Unreadable(), ["a"], workers=1)
    assert found["a"].reason == (
        "RuntimeError: the evaluator cannot be read in a worker process (ZeroDivisionError: division by zero)"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "`workers` of LocalProcesses must be a whole number of at least 1, got 0"),
        ({"threads": 1.5}, "`threads` of LocalProcesses must be a whole number of at least 1, got 1.5"),
        ({"timeout": 0}, "`timeout` of LocalProcesses must be above 0 seconds, or None, got 0"),
    ],
)
def test_a_wrong_option_is_said_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MetanetError) as failure:
        LocalProcesses(**options)
    assert str(failure.value) == message
