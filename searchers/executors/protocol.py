"""Where architectures are evaluated. An executor never proposes: it takes what it is given, when it has room for it."""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from metanet.errors import MetanetError
from metanet.searchers.evaluate import checked

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of one evaluation: metrics, or the reason why there are none; wall time in seconds."""

    spec: T
    metrics: Mapping[str, float] | None
    seconds: float
    reason: str | None = None


class Executor(Protocol):
    """Evaluates a stream of architectures, or of whatever `evaluate` takes."""

    def map(self, evaluate: Callable[[T], Mapping[str, float]], specs: Iterable[T | None]) -> Iterator[Outcome[T]]:
        """One outcome for each architecture, in the order in which they end.

        `specs` is taken from only when there is room to evaluate: what is asked for later is proposed from more
        results. None among them says that there is nothing to do until one of the running evaluations has ended and
        was told: ask again then. (It comes only where there are several fidelities or several hosts.) An exception of
        `evaluate`, or the death of the process that it ran in, becomes an Outcome; an exception of `specs` passes.
        """


def attempt(evaluate: Callable[[T], Mapping[str, float]], spec: T) -> Outcome[T]:
    """Evaluates one architecture; an exception becomes the reason."""
    begin = time.perf_counter()
    metrics: Any = None
    reason = None
    try:
        metrics = evaluate(spec)
    except Exception as error:  # whatever a network can do wrong is a result of the search, not its end
        reason = reason_of(error)
    return Outcome(spec, metrics, time.perf_counter() - begin, reason)


def reason_of(error: BaseException) -> str:
    """An exception in one line, whoever wrote its class."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}, which cannot be shown"


def judged(outcome: Outcome[T], objectives: Mapping[str, str]) -> tuple[dict[str, float] | None, str | None]:
    """The numbers of an outcome, or else the reason why it is a failure: it raised, or what it returned is no score."""
    if outcome.reason is not None:
        return None, outcome.reason
    try:
        return checked(outcome.metrics, objectives), None
    except MetanetError as error:
        return None, str(error)
