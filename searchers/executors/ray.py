"""Evaluations as tasks on a Ray cluster."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic

import cloudpickle

from metanet.errors import MetanetError, check_whole
from metanet.searchers.executors.cluster import connected, imported
from metanet.searchers.executors.pool import check_timeout, fed, seconds_left, too_long
from metanet.searchers.executors.processes import pickled
from metanet.searchers.executors.protocol import Outcome, T, attempt, reason_of
from metanet.searchers.executors.worker import BEGUN, readable, sendable

POLL = 1.0  # seconds between looks for nodes that have joined
GRACE = 5.0  # seconds that cancelled tasks may take to end
LOST = {  # of Ray's errors, those that another try may not meet
    "WorkerCrashedError": "its Ray worker died",
    "OutOfMemoryError": "Ray killed its worker, since the memory of its node was short",
    "NodeDiedError": "its Ray node was lost",
    "LocalRayletDiedError": "its Ray node was lost",
    "ObjectLostError": "its result was lost with its Ray node",
}


@dataclass(frozen=True)
class RayTasks:
    """Each evaluation is a task on a Ray cluster: this process asks and tells, the tasks never touch the study.

    An evaluator is stored in the cluster once, by value (cloudpickle), and read once by each worker process; what it
    imports, metanet too, must be installed on every node, or be where it is on this machine. A connection that this
    process has already is used and kept; otherwise it is made for the time of the search, quietly, and a cluster that
    was started here is ended. Nodes may join and leave. What evaluations print is in Ray's own logs.

    address  HOST:PORT of a node of the cluster, "auto" for the cluster that this machine belongs to, "local" for one
             started here; None: the one that the variable RAY_ADDRESS names, else one started here
    workers  how many evaluations at once, if need be waiting for nodes that are still to come; None: as many as the
             nodes that are there have room for, more when nodes join. A cluster started here has room for as many
    cpus     that Ray sets aside for an evaluation, also the number of its threads; parts of one are allowed
    gpus     that Ray sets aside for an evaluation, which then sees no others; parts of one are allowed. With GPUs Ray
             starts a new process for each evaluation, so that none computes on another one's GPU
    timeout  seconds after which an evaluation is killed and counts as failed, without the time that it waits for a
             worker; None: never
    retries  how many times more an evaluation is tried whose worker or node was lost; exceptions are not retried
    """

    address: str | None = None
    workers: int | None = None
    cpus: float = 1
    gpus: float = 0
    timeout: float | None = None
    retries: int = 1

    def __post_init__(self) -> None:
        if self.workers is not None:
            check_whole("workers", self.workers, 1, "RayTasks")
        check_whole("retries", self.retries, 0, "RayTasks")
        for name, value in (("cpus", self.cpus), ("gpus", self.gpus)):
            if not 0 <= value < math.inf or (value > 1 and value != int(value)):
                raise MetanetError(f"`{name}` of RayTasks must be from 0 to 1 or a whole number, got {value!r}")
        if self.cpus == 0:
            raise MetanetError("`cpus` of RayTasks must be above 0: Ray counts by it what a node has room for")
        check_timeout("RayTasks", self.timeout)

    def map(self, evaluate: Callable[[T], Mapping[str, float]], specs: Iterable[T | None]) -> Iterator[Outcome[T]]:
        """As many evaluations at once as there is room for; each outcome is told before more is asked for.

        Raises MetanetError where Ray is not installed, no cluster answers, no node can have an evaluation, or the
        evaluator cannot be sent to another process.
        """
        with _pool(self, pickled(evaluate)) as pool:
            yield from fed(pool, specs)


@contextmanager
def _pool(options: RayTasks, evaluator: bytes) -> Iterator["_Pool[Any]"]:
    """Tasks for the length of a `with` block: those that are still running at its end are killed."""
    cpus = None if options.workers is None else math.ceil(options.workers * options.cpus)
    with connected(options.address, cpus) as ray:
        pool = _Pool[Any](options, ray, ray.put(evaluator))
        pool.check()
        try:
            yield pool
        finally:
            pool.close()


@dataclass
class _Task(Generic[T]):
    """stream: Ray's generator of what the task yields; begun: when it was submitted, later when it began."""

    spec: T
    stream: Any
    begun: float
    running: bool = False
    tries: int = 1


@dataclass
class _Pool(Generic[T]):
    options: RayTasks
    ray: Any
    evaluator: Any  # Ray's reference to it
    busy: list[_Task[T]] = field(default_factory=list)

    @property
    def room(self) -> bool:
        """Whether another evaluation may be submitted; where all nodes are lost, a single one waits for new ones."""
        return len(self.busy) < (self.options.workers or max(1, self._places()))

    def check(self) -> None:
        """Raises MetanetError where an evaluation would wait for ever."""
        if self.options.workers is None and not self._places():
            raise MetanetError(
                f"no node of the Ray cluster has {self.options.cpus:g} CPUs and {self.options.gpus:g} GPUs for an "
                "evaluation: ask for less, or name the number of `workers` to wait for nodes that are still to come"
            )

    def start(self, spec: T) -> None:
        """Submits an evaluation."""
        self.busy.append(_Task(spec, self._submitted(spec), time.monotonic()))

    def ended(self) -> Outcome[T] | None:
        """The next outcome; None where something else may have happened."""
        for task in self.busy:
            if self._left(task) <= 0 and not self._ready([task], 0):
                self.ray.cancel(task.stream, force=True)
                return self._failed(task, too_long(self.options.timeout))
        ready = self._ready(self.busy, max(0.0, min([POLL, *map(self._left, self.busy)])))
        return None if ready is None else self._heard(ready)

    def close(self) -> None:
        """Kills all tasks, in the middle of what they do."""
        for task in self.busy:
            self.ray.cancel(task.stream, force=True)
        until = time.monotonic() + GRACE
        while self.busy and (ready := self._ready(self.busy, max(0.0, until - time.monotonic()))):
            with suppress(self.ray.exceptions.RayError):
                if self.ray.get(next(ready.stream)) == BEGUN:
                    continue
            self.busy.remove(ready)
        self.busy = []

    def _ready(self, tasks: list[_Task[T]], seconds: float) -> _Task[T] | None:
        """One of the tasks that have something to say; None where none has in time."""
        ready, _ = self.ray.wait([task.stream for task in tasks], num_returns=1, timeout=seconds)
        return next((task for task in tasks if task.stream in ready), None)

    def _heard(self, task: _Task[T]) -> Outcome[T] | None:
        """The outcome that a task yields; None where it says that it has begun, or is tried again."""
        try:
            message = self.ray.get(next(task.stream))
        except self.ray.exceptions.RayTaskError as error:  # of its surroundings: `attempt` has those of the evaluator
            return self._failed(task, reason_of(error.cause or error).splitlines()[0])
        except self.ray.exceptions.RayError as error:
            return self._lost(task, error)
        if message == BEGUN:
            task.begun, task.running = time.monotonic(), True
            return None
        self.busy.remove(task)
        found: Outcome[T] = cloudpickle.loads(message)
        return found

    def _lost(self, task: _Task[T], error: Exception) -> Outcome[T] | None:
        """None where an evaluation whose worker is lost is tried again, else its outcome."""
        cause = next((LOST[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in LOST), None)
        if cause is None:
            return self._failed(task, reason_of(error).splitlines()[0])
        if task.tries > self.options.retries:
            return self._failed(task, cause if task.tries == 1 else f"{cause}, at the last of {task.tries} tries")
        task.stream, task.begun, task.running = self._submitted(task.spec), time.monotonic(), False
        task.tries += 1
        return None

    def _failed(self, task: _Task[T], reason: str) -> Outcome[T]:
        self.busy.remove(task)
        return Outcome(task.spec, None, time.monotonic() - task.begun, reason)

    def _submitted(self, spec: T) -> Any:
        # Ray's own retries would run under the timeout of the first try, and those for want of memory never end.
        how = {"num_cpus": self.options.cpus, "num_gpus": self.options.gpus or None, "max_retries": 0}
        task = self.ray.remote(**how, num_returns="streaming", name="evaluation")(_evaluation)
        # In a list a reference arrives as such: who has read the evaluator before need not fetch it again.
        return task.remote([self.evaluator], tuple(sys.path), cloudpickle.dumps(spec))

    def _left(self, task: _Task[T]) -> float:
        """Seconds to a task's timeout."""
        return seconds_left(self.options.timeout, task)

    def _places(self) -> int:
        """How many evaluations the nodes that are there have room for."""
        asked = {"CPU": self.options.cpus, "GPU": self.options.gpus}
        return sum(
            min(math.floor(node["Resources"].get(name, 0) / each + 1e-6) for name, each in asked.items() if each)
            for node in self.ray.nodes()
            if node["Alive"]
        )


def _evaluation(evaluator: list[Any], folders: tuple[str, ...], spec: bytes) -> Iterator[Any]:
    """The task: says that it has begun, then gives the pickled Outcome."""
    evaluate = _evaluator(evaluator[0], folders)
    yield BEGUN
    yield sendable(attempt(evaluate, cloudpickle.loads(spec)))


@lru_cache(maxsize=1)
def _evaluator(reference: Any, folders: tuple[str, ...]) -> Any:
    """The evaluator, read once in each worker process; what the worker cannot import is looked for in `folders`."""
    sys.path.extend(folder for folder in folders if folder and folder not in sys.path)
    return readable(imported().get(reference))
