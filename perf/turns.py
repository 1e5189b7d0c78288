"""Timing several works in turns, on a machine that others use, too.

Rounds in which other programs kept still are taken alone where there are enough; processor time, which does not count
the time of other programs, is kept beside the time on the clock.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Work = Callable[[], object]

STILL = 0.1  # share of one core that other programs may take
SHORTEST = 0.3  # seconds: shorter works are repeated, since the clocks of /proc tick every 10 ms


@dataclass(frozen=True)
class Turns:
    """What was measured.

    seconds     on the clock, of one call of each work, one number a round
    processor   seconds of processor time of all threads, likewise
    still       rounds in which other programs kept still: those alone are kept if there are at least three
    rounds      all rounds
    """

    seconds: dict[str, list[float]]
    processor: dict[str, list[float]]
    still: int
    rounds: int

    def median(self, name: str) -> float:
        """Seconds of one call."""
        return float(np.median(self.seconds[name]))

    def ratio(self, of: str, to: str) -> list[float]:
        """Quartiles over rounds of (seconds of one work) / (seconds of another): lower, median, upper."""
        return _quartiles(self.seconds[of], self.seconds[to])

    def processor_ratio(self, of: str, to: str) -> list[float]:
        """The same of processor time."""
        return _quartiles(self.processor[of], self.processor[to])


def _quartiles(of: list[float], to: list[float]) -> list[float]:
    return [float(q) for q in np.quantile(np.divide(of, to), (0.25, 0.5, 0.75))]


def in_turns(works: Mapping[str, Work], *, rounds: int = 9, most: float = 60.0) -> Turns:
    """Runs each work once a round, until `rounds` rounds were still or `most` seconds are over."""
    repeats = {name: _repeats(work) for name, work in works.items()}
    kept: list[tuple[bool, dict[str, tuple[float, float]]]] = []
    start = time.monotonic()
    while sum(still for still, _ in kept) < rounds and (len(kept) < 3 or time.monotonic() - start < most):
        took, others = {}, 0.0
        for name, work in works.items():
            seconds, processor, share = _timed(work, repeats[name])
            took[name], others = (seconds, processor), max(others, share)
        kept.append((others < STILL, took))
    still = [took for quiet, took in kept if quiet]
    used = still if len(still) >= 3 else [took for _, took in kept]
    columns = ({name: [took[name][i] for took in used] for name in works} for i in (0, 1))
    return Turns(*columns, len(still), len(kept))


def _repeats(work: Work) -> int:
    work()
    return max(1, round(SHORTEST / max(1e-9, _timed(work, 1)[0])))


def _timed(work: Work, times: int) -> tuple[float, float, float]:
    """Seconds and processor seconds a call, and the share of one core that other programs took meanwhile."""
    busy, own, start = _busy(), time.process_time(), time.perf_counter()
    for _ in range(times):
        work()
    took, used = time.perf_counter() - start, time.process_time() - own
    return took / times, used / times, max(0.0, _busy() - busy - used) / took if busy else 0.0


def _busy() -> float:
    """Seconds of work of all programs since the start of the machine; 0 where the system does not tell (not Linux)."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system, _, _, *rest = (int(value) for value in path.read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
