"""Evaluations in the process of the search."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from metanet.searchers.executors.protocol import Outcome, T, attempt


@dataclass(frozen=True)
class InProcess:
    """One after the other, in this process."""

    def map(self, evaluate: Callable[[T], Mapping[str, float]], specs: Iterable[T | None]) -> Iterator[Outcome[T]]:
        """Each architecture is proposed after the one before it was told."""
        for spec in specs:
            if spec is not None:
                yield attempt(evaluate, spec)
