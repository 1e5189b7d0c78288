"""Timing many modules as a network runs them, on a machine that is not quiet.

Each round calls every work once, in another order: a block runs after other modules then, and finds caches as it does
inside of a network. Called again and again alone it would be a third faster than it is there, and slow moments of the
machine would hit some works and not others.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from metanet.errors import MetanetError, check_whole, unknown
from metanet.runs import track

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
KEPT = 2**28  # numbers in the works that are called in turns
WARMUP = 3  # calls of a work that do not count: weights are packed and memory is fetched
BATCHED = 10  # calls between two synchronisations of a GPU, whose queue hides the time of launches as in a network
EVERY = 5.0  # seconds between two writes of what was measured


@dataclass(frozen=True)
class Setting:
    """How latency is measured: what its numbers depend on besides the machine.

    device    "cpu", "cuda" or "cuda:1"
    dtype     of weights and inputs: a name of DTYPES
    threads   of torch, for the time of the measurement
    batch     images a call
    fused     whether networks are fused (`metanet.fuse`) or run as they are
    rounds    times of each part and of each whole network; the median counts
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    batch: int = 1
    fused: bool = False
    rounds: int = 31

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise unknown("dtype", self.dtype, DTYPES)
        for name in ("threads", "batch", "rounds"):
            check_whole(name, getattr(self, name), 1, "a latency")

    @property
    def clock(self) -> str:
        """What time is read: "processor", which leaves out the time of other programs, where one thread of a CPU does
        all the work (the two are equal on a quiet machine), else "wall"."""
        return "processor" if self.device == "cpu" and self.threads == 1 else "wall"

    def check(self) -> None:
        """Raises MetanetError where this machine has no such device."""
        kind, _, number = self.device.partition(":")
        count = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(kind, 0)
        if not (number or "0").isdigit() or int(number or 0) >= count:
            raise MetanetError(
                f"latency cannot be measured on {self.device!r}, which this machine lacks: "
                "take cpu" + (" or cuda" if torch.cuda.is_available() else "")
            )


@dataclass(frozen=True)
class Work:
    """A module in eval mode and the input that it is timed with."""

    module: nn.Module
    x: Tensor

    @property
    def numbers(self) -> int:
        """Weights, and numbers in the input."""
        return self.x.numel() + sum(p.numel() for p in self.module.parameters())


Clock = Callable[[Work], int]  # nanoseconds of one call


def stopwatch(setting: Setting) -> Clock:
    """The clock of a setting."""
    now = time.thread_time_ns if setting.clock == "processor" else time.perf_counter_ns
    if not setting.device.startswith("cuda"):

        def clock(work: Work) -> int:
            module, x = work.module, work.x
            start = now()
            module(x)
            return now() - start

        return clock

    def batched(work: Work) -> int:
        torch.cuda.synchronize(setting.device)
        start = now()
        for _ in range(BATCHED):
            work.module(work.x)
        torch.cuda.synchronize(setting.device)
        return (now() - start) // BATCHED

    return batched


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Runs a block on so many threads of torch, then on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(
    works: Mapping[str, Callable[[], Work]],
    times: dict[str, list[int]],
    setting: Setting,
    *,
    seed: int,
    clock: Clock,
    keep: Callable[[], None],
    quiet: bool | None = None,
) -> None:
    """Times every work `setting.rounds` times; those that do not fit into memory together, lot by lot.

    works   what makes each work, by name
    times   nanoseconds so far, by name; it is added to
    keep    called every few seconds and at the end, whatever ends it: writes `times` down
    """
    kept = time.monotonic()
    order = np.random.default_rng(seed).permutation(sorted(works)).tolist()
    missing = {name: setting.rounds - len(times.setdefault(name, [])) for name in order}
    try:
        with threads(setting.threads), torch.inference_mode():
            visits = _visits({name: works[name] for name in order if missing[name]}, times, setting.rounds, seed)
            for name, work in track(visits, "latency", total=sum(missing.values()), quiet=quiet):
                times[name].append(clock(work))
                if time.monotonic() > kept + EVERY:
                    keep()
                    kept = time.monotonic()
    finally:
        keep()


def _visits(
    works: Mapping[str, Callable[[], Work]], times: Mapping[str, list[int]], rounds: int, seed: int
) -> Iterator[tuple[str, Work]]:
    """Works to be timed next, until each has its rounds."""
    for lot in _lots(works):
        names = list(lot)
        for i in range(rounds):
            for k in np.random.default_rng([seed, i]).permutation(len(names)):
                if len(times[names[k]]) <= i:
                    yield names[k], lot[names[k]]


def _lots(works: Mapping[str, Callable[[], Work]]) -> Iterator[dict[str, Work]]:
    """All works, made and warmed up, KEPT numbers at a time."""
    lot: dict[str, Work] = {}
    room = KEPT
    for name, make in works.items():
        work = make()
        if lot and work.numbers > room:
            yield lot
            lot, room = {}, KEPT
        for _ in range(WARMUP):
            work.module(work.x)
        lot[name], room = work, room - work.numbers
    if lot:
        yield lot
