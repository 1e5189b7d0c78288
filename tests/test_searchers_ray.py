"""Evaluations on a Ray cluster: all told, none twice, and whatever becomes of a worker or a node is a result."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psutil
import pytest
from test_searchers_table import Row, TableSpace, score, told

from metanet.errors import MetanetError
from metanet.searchers import InProcess, RayTasks, search
from metanet.searchers.executors import Outcome

SPACE = TableSpace()
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray has no wheel for this Python or processor")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with one CPU each, all on this machine; one says that it has two GPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to Ray's makers
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        made.add_node(**NODE, num_gpus=2)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def joined(cluster: Any) -> Iterator[Any]:
    """The two nodes, with a connection from here that all tests below share, and so their workers."""
    import ray

    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    yield cluster
    ray.shutdown()


def outcomes(evaluate: Any, specs: Iterable[Any], **options: Any) -> dict[Any, Outcome[Any]]:
    return {outcome.spec: outcome for outcome in RayTasks(**options).map(evaluate, specs)}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def alone() -> dict[str, str]:
    """The environment of a process that no cluster was named to."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == "zombie"
    except psutil.NoSuchProcess:
        return True


@needs_ray
def test_a_cluster_that_does_not_answer_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    for options in ({}, {"address": "auto"}, {"address": address}):
        with pytest.raises(MetanetError) as failure:
            outcomes(score, SPACE.everything, **options)
        assert str(failure.value) == (
            f"no Ray cluster can be joined at the address {address!r} (ConnectionRefusedError: [Errno 111] Connection "
            "refused): start one by `ray start --head`, or give no address for one that lasts as long as the search"
        )


@needs_ray
def test_ray_client_is_refused() -> None:
    with pytest.raises(MetanetError, match=r"cannot be followed by Ray Client, got the address 'ray://host:10001': "):
        outcomes(score, SPACE.everything, address="ray://host:10001")


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MetanetError, match=r"need the package 'ray': pip install 'metanet-nas\[ray\]'"):
        outcomes(score, SPACE.everything)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "`workers` of RayTasks must be a whole number of at least 1, got 0"),
        ({"retries": None}, "`retries` of RayTasks must be a whole number of at least 0, got None"),
        ({"cpus": 1.5}, "`cpus` of RayTasks must be from 0 to 1 or a whole number, got 1.5"),
        ({"gpus": -1}, "`gpus` of RayTasks must be from 0 to 1 or a whole number, got -1"),
        ({"cpus": 0}, "`cpus` of RayTasks must be above 0: Ray counts by it what a node has room for"),
        ({"timeout": 0}, "`timeout` of RayTasks must be above 0 seconds, or None, got 0"),
    ],
)
def test_a_wrong_option_is_said_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MetanetError) as failure:
        RayTasks(**options)
    assert str(failure.value) == message


@needs_ray
@pytest.mark.slow
def test_every_end_of_an_evaluation_is_told_and_the_others_go_on(
    cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def evaluate(spec: str) -> Any:
        with open(tmp_path / spec, "a") as file:
            file.write(f"{os.getpid()}\n")
        tries = len((tmp_path / spec).read_text().split())
        if spec == "unlucky" and tries == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if spec == "slow":
            child = subprocess.Popen(["sleep", "600"])
            (tmp_path / "child").write_text(str(child.pid))
            child.wait()
        if spec == "raised":
            raise MemoryError("4 GiB")
        if spec == "odd":
            return {"accuracy": threading.Lock()}
        print("chatter", flush=True)
        return {"accuracy": float(len(spec))}

    names = ["fine", "unlucky", "slow", "raised", "odd", "good"]
    handler = signal.getsignal(signal.SIGTERM)
    found = outcomes(evaluate, names, address=cluster.address, timeout=3.0)
    assert set(found) == set(names)
    metrics = {name: outcome.metrics for name, outcome in found.items() if outcome.reason is None}
    assert metrics == {"fine": {"accuracy": 4.0}, "good": {"accuracy": 4.0}, "unlucky": {"accuracy": 7.0}}
    reasons = {name: outcome.reason for name, outcome in found.items() if outcome.reason}
    odd = reasons.pop("odd")
    assert odd.startswith("what the evaluator returned cannot be sent back (TypeError: cannot pickle")
    assert reasons == {
        "slow": "it took longer than the timeout of 3 s",
        "raised": "MemoryError: 4 GiB",
    }
    assert found["slow"].seconds >= 3
    tries = {name: len((tmp_path / name).read_text().split()) for name in names}
    assert tries == {**dict.fromkeys(names, 1), "unlucky": 2}
    until(lambda: gone(int((tmp_path / "child").read_text())))
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGTERM) is handler


INTERRUPTED = """
import os, sys, time
from metanet.searchers import RayTasks
file = sys.argv[1]
def evaluate(spec):
    open(file + spec, "w").write(str(os.getpid()))
    time.sleep(600)
list(RayTasks(workers=2).map(evaluate, ["a", "b"]))
"""


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_was_started_for_a_search_ends_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "pid")]
    with subprocess.Popen(command, env=alone(), stdout=PIPE, stderr=PIPE, text=True) as driver:
        files = [tmp_path / "pida", tmp_path / "pidb"]
        until(lambda: all(file.exists() and file.read_text() for file in files) or driver.poll() is not None)
        started = {one.pid for one in psutil.Process(driver.pid).children(recursive=True)}
        assert {int(file.read_text()) for file in files} <= started
        driver.send_signal(signal.SIGINT)
        said = driver.communicate(timeout=60)
    assert driver.returncode == -signal.SIGINT
    assert said[0] == ""
    assert [line for line in said[1].splitlines() if not line.startswith(" ")] == [
        "Traceback (most recent call last):",
        "KeyboardInterrupt",
    ]
    until(lambda: all(map(gone, started)))


HUNGRY = """
import time
from metanet.searchers import RayTasks
for outcome in RayTasks(workers=1, retries=0).map(lambda spec: time.sleep(600), ["a"]):
    print(outcome.reason)
"""


@needs_ray
@pytest.mark.slow
def test_a_worker_killed_for_want_of_memory_says_so() -> None:
    environment = {**alone(), "RAY_memory_usage_threshold": "0.001"}  # every machine uses more
    done = subprocess.run([sys.executable, "-c", HUNGRY], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == "Ray killed its worker, since the memory of its node was short\n"


@needs_ray
@pytest.mark.slow
def test_a_search_on_two_nodes_evaluates_each_architecture_once_and_outlives_its_failures(
    joined: Any, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    deadly, silly = SPACE.sample(2, seed=1)
    assert deadly != silly

    def evaluate(spec: Row) -> float:
        import ray

        with open(log, "a") as file:
            file.write(f"{spec.id} {ray.get_runtime_context().get_node_id()}\n")
        time.sleep(0.05)
        if spec == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return float("nan") if spec == silly else score(spec)

    everything = len(SPACE.everything)
    executor = RayTasks()
    result = search(SPACE, evaluate, sampler="random", trials=everything, store=tmp_path / "s", executor=executor)
    asked = [line.split() for line in log.read_text().splitlines()]
    assert sorted(spec for spec, _ in asked) == sorted([*(spec.id for spec in SPACE.everything), deadly.id])
    assert len({node for _, node in asked}) == 2
    frame = result.to_dataframe()
    failed = frame[frame["state"] != "COMPLETE"]
    assert dict(zip(failed["spec"], failed["reason"], strict=True)) == {
        deadly.id: "its Ray worker died, at the last of 2 tries",
        silly.id: "the evaluator returned accuracy = nan",
    }
    assert {one.spec.id: one.values["accuracy"] for one in result.scored} == {
        spec.id: score(spec) for spec in SPACE.everything if spec not in (deadly, silly)
    }


@needs_ray
@pytest.mark.slow
def test_one_task_at_a_time_gives_the_study_that_this_process_gives(joined: Any, tmp_path: Path) -> None:
    here = search(SPACE, score, trials=25, store=tmp_path / "here", executor=InProcess())
    there = search(SPACE, score, trials=25, store=tmp_path / "there", executor=RayTasks(workers=1))
    assert told(here) == told(there)


@needs_ray
@pytest.mark.slow
def test_more_is_asked_for_only_when_there_is_room_and_after_what_ended_was_told(joined: Any) -> None:
    told_: list[int] = []
    asked = []

    def specs() -> Iterator[int | None]:
        for i in range(9):
            asked.append((i, len(told_)))
            yield i
        while len(told_) < 9:
            yield None  # nothing to do until the rest is told
        yield 9

    for outcome in RayTasks().map(lambda i: {"accuracy": float(i)}, specs()):
        told_.append(outcome.spec)
    assert sorted(told_[:9]) == list(range(9))
    assert told_[9] == 9
    assert asked == [(0, 0), (1, 0), *((i, i - 1) for i in range(2, 9))]


@needs_ray
@pytest.mark.slow
def test_nodes_join_and_are_lost(joined: Any, tmp_path: Path) -> None:
    def evaluate(spec: str) -> dict[str, float]:
        import ray

        (tmp_path / f"{spec}.{ray.get_runtime_context().get_node_id()}.{os.getpid()}").touch()
        while not (tmp_path / "go").exists():
            time.sleep(0.05)
        return {"accuracy": 1.0}

    def begun() -> list[list[str]]:
        return [path.name.split(".") for path in tmp_path.glob("*.*")]

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(outcomes, evaluate, "abcd")
        until(lambda: len(begun()) == 2)
        third = joined.add_node(**NODE)
        until(lambda: len(begun()) == 3)
        ((lost, pid),) = [(spec, int(pid)) for spec, node, pid in begun() if node == third.node_id]
        joined.remove_node(third, allow_graceful=False)
        until(lambda: gone(pid))
        (tmp_path / "go").touch()
        found = future.result()
    assert {spec: outcome.reason for spec, outcome in found.items()} == dict.fromkeys("abcd")
    assert sorted(spec for spec, _, _ in begun()) == sorted(["a", "b", "c", "d", lost])


@needs_ray
@pytest.mark.slow
def test_a_connection_that_was_there_stays_but_no_evaluation(joined: Any, tmp_path: Path) -> None:
    import ray

    def evaluate(spec: str) -> dict[str, float]:
        if spec == "slow":
            (tmp_path / "pid").write_text(str(os.getpid()))
            time.sleep(600)
        while not (tmp_path / "pid").exists():
            time.sleep(0.05)
        return {"accuracy": 1.0}

    running = RayTasks().map(evaluate, ["slow", "fine"])
    assert next(running).spec == "fine"
    running.close()  # type: ignore[attr-defined]
    assert gone(int((tmp_path / "pid").read_text()))
    assert ray.is_initialized()


@needs_ray
@pytest.mark.slow
def test_an_evaluation_that_no_node_can_have_is_refused(joined: Any) -> None:
    with pytest.raises(MetanetError) as failure:
        outcomes(score, SPACE.everything, cpus=2, gpus=0.5)
    assert str(failure.value) == (
        "no node of the Ray cluster has 2 CPUs and 0.5 GPUs for an evaluation: ask for less, or name the number of "
        "`workers` to wait for nodes that are still to come"
    )


@needs_ray
@pytest.mark.slow
def test_each_evaluation_has_its_gpu_and_a_process_that_saw_no_other(joined: Any, tmp_path: Path) -> None:
    def evaluate(spec: str) -> dict[str, float]:
        (tmp_path / spec).touch()
        while len(list(tmp_path.iterdir())) < 2:  # two at once
            time.sleep(0.05)
        return {"gpu": float(os.environ["CUDA_VISIBLE_DEVICES"]), "pid": float(os.getpid())}

    found = outcomes(evaluate, "abc", cpus=0.5, gpus=1)
    metrics = {spec: outcome.metrics or {} for spec, outcome in found.items()}
    assert {metrics["a"]["gpu"], metrics["b"]["gpu"]} == {0, 1}
    assert len({one["pid"] for one in metrics.values()}) == 3
