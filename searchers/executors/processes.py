"""Evaluations in several processes of this machine."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import IO, Any, Generic

import cloudpickle
import torch

from metanet.errors import MetanetError, check_whole
from metanet.searchers.executors.pool import check_timeout, fed, seconds_left, too_long
from metanet.searchers.executors.protocol import Outcome, T, reason_of
from metanet.searchers.executors.worker import BEGUN, COMMAND

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
TAIL = 400  # characters of what a worker said before it died
READY = 300.0  # seconds beside the timeout, for a process to start and to read its evaluator


@dataclass(frozen=True)
class LocalProcesses:
    """So many processes, each with one evaluation at a time; they never touch the study.

    An evaluator is sent to each process once, by value (cloudpickle): it may be a lambda or hold a supernet. A process
    that dies is recorded as the failure of what it evaluated, with its last words, and another one takes its place.
    What evaluations print is not shown. Where there are several GPUs each process sees one of them, in turns.

    workers  how many processes
    timeout  seconds after which an evaluation is killed and counts as failed; so does one whose process was not ready
             300 seconds later still; None: never
    threads  that a process computes with; None shares the cores out evenly
    """

    workers: int = 2
    timeout: float | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        check_whole("workers", self.workers, 1, "LocalProcesses")
        if self.threads is not None:
            check_whole("threads", self.threads, 1, "LocalProcesses")
        check_timeout("LocalProcesses", self.timeout)

    def map(self, evaluate: Callable[[T], Mapping[str, float]], specs: Iterable[T | None]) -> Iterator[Outcome[T]]:
        """As many evaluations at once as there are workers; each outcome is told before more is asked for.

        Raises MetanetError where the evaluator cannot be sent to another process.
        """
        with _pool(self, pickled(evaluate)) as pool:
            yield from fed(pool, specs)


def pickled(evaluate: Callable[..., Any]) -> bytes:
    """An evaluator by value. Raises MetanetError where it cannot be pickled."""
    try:
        return bytes(cloudpickle.dumps(evaluate))
    except Exception as error:  # objects say in their own ways that they cannot be pickled
        raise MetanetError(
            f"the evaluator cannot be sent to another process ({reason_of(error)}): "
            "leave out of it what cannot be pickled (open files, locks, generators), or evaluate in one process"
        ) from None


@contextmanager
def _pool(options: LocalProcesses, evaluator: bytes) -> Iterator["_Pool[Any]"]:
    """Workers for the length of a `with` block. They read the evaluator from a file without a name: written once,
    read when they are ready for it, and gone with the last of them, whatever ends the search."""
    with tempfile.TemporaryFile() as file:
        file.write(evaluator)
        file.flush()
        pool = _Pool[Any](options, file)
        try:
            yield pool
        finally:
            pool.close()


@dataclass
class _Worker(Generic[T]):
    process: "subprocess.Popen[bytes]"
    pipe: Connection
    said: IO[bytes]
    gpu: int = 0  # which of several it sees
    spec: T | None = None
    begun: float = 0.0  # when the evaluation was handed over, later when it began
    running: bool = False  # whether it has begun


@dataclass
class _Pool(Generic[T]):
    options: LocalProcesses
    evaluator: IO[bytes]
    idle: list[_Worker[T]] = field(default_factory=list)
    busy: list[_Worker[T]] = field(default_factory=list)

    @property
    def room(self) -> bool:
        return len(self.busy) < self.options.workers

    def start(self, spec: T) -> None:
        """Hands an evaluation to a worker."""
        worker = self.idle.pop() if self.idle else self._worker()
        worker.spec, worker.begun, worker.running = spec, time.monotonic(), False
        self.busy.append(worker)
        with suppress(OSError):  # of a worker that is dead: `ended` finds the end of its pipe
            worker.pipe.send_bytes(cloudpickle.dumps(spec))

    def ended(self) -> Outcome[T]:
        """The next outcome, whatever becomes of its worker."""
        while True:
            for ready in wait([worker.pipe for worker in self.busy], self._patience()):
                worker = next(worker for worker in self.busy if worker.pipe is ready)
                if (outcome := self._heard(worker)) is not None:
                    return outcome
            for worker in self.busy:
                left, late = self._limit(worker)
                if left <= 0:
                    return self._buried(worker, late)

    def close(self) -> None:
        """Ends all workers, in the middle of what they do."""
        for worker in [*self.idle, *self.busy]:
            _kill(worker)
        self.idle, self.busy = [], []

    def _heard(self, worker: _Worker[T]) -> Outcome[T] | None:
        """The outcome that a worker sends; None where it says that it has begun."""
        try:
            content = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            return self._buried(worker, None)
        message = cloudpickle.loads(content)
        if message == BEGUN:
            worker.begun, worker.running = time.monotonic(), True
            return None
        self.busy.remove(worker)
        self.idle.append(worker)
        found: Outcome[T] = message
        return found

    def _buried(self, worker: _Worker[T], reason: str | None) -> Outcome[T]:
        """The outcome of an evaluation whose worker is dead, or is killed for the reason given."""
        self.busy.remove(worker)
        if reason is None:
            with suppress(subprocess.TimeoutExpired):  # its pipe ends a little before it does
                worker.process.wait(timeout=5)
        said = _kill(worker)
        assert worker.spec is not None
        seconds = time.monotonic() - worker.begun
        return Outcome(worker.spec, None, seconds, reason or _cause(worker.process.returncode, said))

    def _limit(self, worker: _Worker[T]) -> tuple[float, str]:
        """Seconds until a worker is given up, and the reason: its evaluation takes too long, or reading it did."""
        timeout = self.options.timeout
        if timeout is None:
            return math.inf, ""
        if worker.running:
            return seconds_left(timeout, worker), too_long(timeout)
        left = timeout + READY - (time.monotonic() - worker.begun)
        return left, f"its process was not ready after {timeout + READY:g} s: reading the evaluator takes too long"

    def _patience(self) -> float | None:
        """How long the next timeout is away; None where there is none."""
        left = min(self._limit(worker)[0] for worker in self.busy)
        return None if left == math.inf else max(0.0, left)

    def _worker(self) -> _Worker[T]:
        if os.name != "posix":
            raise MetanetError("several processes need a POSIX system: evaluate in one process, or by Ray")
        gpu = self._freest()
        own, its = Pipe()
        said = tempfile.TemporaryFile()  # noqa: SIM115  # closed where the worker is buried
        handles = (its.fileno(), self.evaluator.fileno())
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, json.dumps(sys.path), *map(str, handles)],
            pass_fds=handles,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is the driver's to answer, and a kill takes the worker's children, too
            env={**os.environ, **self._environment(gpu)},
        )
        its.close()
        return _Worker(process, own, said, gpu)

    def _freest(self) -> int:
        """The GPU that the fewest workers see, of those the first: that of a worker that died."""
        taken = [worker.gpu for worker in (*self.idle, *self.busy)]
        return min(range(max(1, torch.cuda.device_count())), key=taken.count)

    def _environment(self, gpu: int) -> dict[str, str]:
        """Threads, and one GPU of several."""
        threads = self.options.threads or max(1, (os.cpu_count() or 1) // self.options.workers)
        found = dict.fromkeys(THREADS, str(threads))
        count = torch.cuda.device_count()
        if count > 1:
            known = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
            found["CUDA_VISIBLE_DEVICES"] = known[gpu]
        return found


def _kill(worker: _Worker[Any]) -> str:
    """Ends a worker and its children; the last that it said."""
    worker.pipe.close()
    with suppress(OSError):
        os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    with worker.said as said:
        said.seek(max(0, said.seek(0, os.SEEK_END) - TAIL))
        return said.read().decode(errors="replace").strip()


def _cause(code: int, said: str) -> str:
    """Why a worker died, by its exit status."""
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as systems do where memory is short"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return f"its process {how}" + (f"; it said last: {said.splitlines()[-1]}" if said else "")
