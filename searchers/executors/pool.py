"""What executors with several evaluations at once share: when they ask for more, and when one has taken too long."""

import math
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Protocol

from metanet.errors import MetanetError
from metanet.searchers.executors.protocol import Outcome, T


class Running(Protocol):
    """An evaluation: `begun`, by the monotonic clock, counts once it is `running`."""

    begun: float
    running: bool


class Pool(Protocol[T]):
    """Evaluations that run at the same time."""

    @property
    def busy(self) -> Sized:
        """Those that were started and have not ended."""

    @property
    def room(self) -> bool:
        """Whether another one may be started."""

    def start(self, spec: T) -> None:
        """Starts one."""

    def ended(self) -> Outcome[T] | None:
        """Waits for the next outcome; None where something else may have happened, room among it."""


def fed(pool: Pool[T], specs: Iterable[T | None]) -> Iterator[Outcome[T]]:
    """The outcomes of a stream, which is asked while there is room, and after None not before an outcome was told."""
    stream, more, asking = iter(specs), True, True
    while True:
        while more and asking and pool.room:
            try:
                spec = next(stream)
            except StopIteration:
                more = False
                break
            if spec is None:
                asking = False
            else:
                pool.start(spec)
        if not pool.busy:
            return
        if (outcome := pool.ended()) is not None:
            yield outcome
            asking = True


def check_timeout(owner: str, timeout: float | None) -> None:
    """Raises MetanetError for a timeout that nothing can keep."""
    if timeout is not None and not timeout > 0:
        raise MetanetError(f"`timeout` of {owner} must be above 0 seconds, or None, got {timeout!r}")


def seconds_left(timeout: float | None, evaluation: Running) -> float:
    """Until the timeout of an evaluation that is running; infinite without one, and for those that wait."""
    if timeout is None or not evaluation.running:
        return math.inf
    return timeout - (time.monotonic() - evaluation.begun)


def too_long(timeout: float | None) -> str:
    """The reason of an evaluation that was killed for its time."""
    return f"it took longer than the timeout of {timeout:g} s"
