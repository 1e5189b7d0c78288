"""The seam of a search: anything that turns an architecture into numbers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from metanet.errors import MetanetError

S_contra = TypeVar("S_contra", contravariant=True)


class Evaluator(Protocol[S_contra]):
    """Scores an architecture."""

    @property
    def fingerprint(self) -> str:
        """What the score depends on besides the architecture (data, seeds, settings): results of one are comparable."""

    def __call__(self, spec: S_contra, *, fidelity: float = 1.0) -> Mapping[str, float]:
        """Numbers by name, the objectives among them: {"accuracy": 0.91, "accuracy.se": 0.004}."""


@dataclass(frozen=True)
class FunctionEvaluator:
    """A plain function of the architecture as an Evaluator: a bare number is the value of `objective`."""

    function: Callable[[Any], float | Mapping[str, float]]
    objective: str

    @property
    def fingerprint(self) -> str:
        """The function's own name: its code is not looked at."""
        kind = type(self.function)
        name = getattr(self.function, "__qualname__", kind.__qualname__)
        return f"{getattr(self.function, '__module__', kind.__module__)}.{name}"

    def __call__(self, spec: Any, *, fidelity: float = 1.0) -> Mapping[str, float]:
        """The function's result by name; a function knows one fidelity only."""
        value = self.function(spec)
        return value if isinstance(value, Mapping) else {self.objective: value}


def as_evaluator(
    evaluate: Evaluator[S_contra] | Callable[[S_contra], float | Mapping[str, float]], objectives: Mapping[str, str]
) -> Evaluator[S_contra]:
    """`evaluate` itself where it has a fingerprint; else the function of the architecture that it is.

    Raises MetanetError where it cannot be called.
    """
    if not callable(evaluate):
        raise MetanetError(f"`evaluate` must be a function of an architecture, got {evaluate!r}")
    if hasattr(evaluate, "fingerprint"):
        return cast(Evaluator[S_contra], evaluate)
    return FunctionEvaluator(evaluate, next(iter(objectives)))


def one_objective(objectives: Mapping[str, str]) -> None:
    """Raises MetanetError where there is more than one objective, or none: a family is chosen by one number."""
    if len(objectives) != 1:
        raise MetanetError(f"a family is chosen by one objective, got {', '.join(objectives) or 'none'}")


def checked(metrics: object, objectives: Mapping[str, str]) -> dict[str, float]:
    """What an evaluator returned, as floats. Raises MetanetError where an objective is missing or not finite."""
    if not isinstance(metrics, Mapping):
        raise MetanetError(f"the evaluator must return numbers by name, got {metrics!r}")
    for name in objectives:
        if name not in metrics:
            raise MetanetError(f"the evaluator returned no {name!r}, only {', '.join(map(str, metrics)) or 'nothing'}")
    values = {}
    for name, value in metrics.items():
        try:
            values[str(name)] = float(value)
        except Exception:  # what is asked for a number may be anybody's class
            raise MetanetError(f"the evaluator returned {name} = {value!r}, which is no number") from None
    for name in objectives:
        if not math.isfinite(values[name]):
            raise MetanetError(f"the evaluator returned {name} = {values[name]}")
    return values
