"""Where architectures are evaluated. An executor never proposes: it takes what it is given, when it has room for it."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from metanet.errors import MetanetError
from metanet.searchers.evaluate import checked
from metanet.searchers.space import S


@dataclass(frozen=True)
class Outcome(Generic[S]):
    """What became of one evaluation: metrics, or the reason why there are none; wall time in seconds."""

    spec: S
    metrics: Mapping[str, float] | None
    seconds: float
    reason: str | None = None


class Executor(Protocol):
    """Evaluates a stream of architectures."""

    def map(self, evaluate: Callable[[S], Mapping[str, float]], specs: Iterable[S]) -> Iterator[Outcome[S]]:
        """One outcome for each architecture, in the order in which they end.

        `specs` is taken from only when there is room to evaluate: what is asked for later is proposed from more
        results. An exception of `evaluate` becomes an Outcome; one of `specs` passes.
        """


@dataclass(frozen=True)
class InProcess:
    """One after the other, in this process."""

    def map(self, evaluate: Callable[[S], Mapping[str, float]], specs: Iterable[S]) -> Iterator[Outcome[S]]:
        """Each architecture is proposed after the one before it was told."""
        for spec in specs:
            yield attempt(evaluate, spec)


def attempt(evaluate: Callable[[S], Mapping[str, float]], spec: S) -> Outcome[S]:
    """Evaluates one architecture; an exception becomes the reason."""
    begin = time.perf_counter()
    metrics: Any = None
    reason = None
    try:
        metrics = evaluate(spec)
    except Exception as error:  # whatever a network can do wrong is a result of the search, not its end
        reason = f"{type(error).__name__}: {error}"
    return Outcome(spec, metrics, time.perf_counter() - begin, reason)


def judged(outcome: Outcome[S], objectives: Mapping[str, str]) -> tuple[dict[str, float] | None, str | None]:
    """The numbers of an outcome, or else the reason why it is a failure: it raised, or what it returned is no score."""
    if outcome.reason is not None:
        return None, outcome.reason
    try:
        return checked(outcome.metrics, objectives), None
    except MetanetError as error:
        return None, str(error)
