"""Looks at a candidate: cheap ones first, the full score only for those that stay in the race."""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Generic

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from metanet.errors import MetanetError
from metanet.searchers.cache import EvaluationCache
from metanet.searchers.evaluate import Evaluator, FunctionEvaluator
from metanet.searchers.history import ANSWERED_BY, live
from metanet.searchers.space import S

STEPS = 1_000  # of Optuna's steps make the full fidelity
FULL = (1.0,)


@dataclass(frozen=True)
class Look(Generic[S]):
    """An architecture to be evaluated at a fidelity."""

    spec: S
    fidelity: float = 1.0

    @property
    def step(self) -> int:
        """The fidelity as a step of Optuna's, in thousandths."""
        return round(self.fidelity * STEPS)


@dataclass(frozen=True)
class Looking(Generic[S]):
    """What an executor is given: the evaluator as a function of a Look, answered by the cache where it knows."""

    evaluator: Evaluator[S]
    cache: EvaluationCache | None = None

    def __call__(self, look: Look[S]) -> Mapping[str, float]:
        """The evaluator's numbers; an exception of it passes."""
        if self.cache is None:
            return self._asked(look)
        return self.cache.answer(look.spec.id, look.fidelity, lambda: self._asked(look))

    def _asked(self, look: Look[S]) -> Mapping[str, float]:
        # An evaluator that knows one fidelity need not have heard of others.
        if look.fidelity == 1:
            return self.evaluator(look.spec)
        return self.evaluator(look.spec, fidelity=look.fidelity)


@dataclass(frozen=True)
class AsynchronousHalving(BasePruner):
    """Lets the best third of those that came so far pass each fidelity (Li and others, "A System for Massively
    Parallel Hyperparameter Tuning", MLSys 2020, arXiv 1810.05934, algorithm 2, without late promotions).

    Unlike Optuna's SuccessiveHalvingPruner it counts no trial that a dead process left, so that a search that was
    killed and run again decides as one that was not.

    keep  the share that passes; the best so far always does
    """

    keep: float = 1 / 3

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1:
            raise MetanetError(f"`keep` of AsynchronousHalving must be between 0 and 1, got {self.keep!r}")

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether too many of those that were seen at the trial's fidelity are better."""
        step = trial.last_step
        if step is None:
            return False
        sign = 1 if study.direction is StudyDirection.MAXIMIZE else -1
        rivals = [
            sign * one.intermediate_values[step]
            for one in live(study)
            if step in one.intermediate_values and ANSWERED_BY not in one.user_attrs
        ]
        better = sum(value > sign * trial.intermediate_values[step] for value in rivals)
        return better >= max(1, math.floor(self.keep * len(rivals)))

    def __str__(self) -> str:
        return f"AsynchronousHalving(keep={self.keep:.4g})"


def check_growing(fidelities: object) -> None:
    """Raises MetanetError for fidelities that do not grow to 1, or differ by less than a step of Optuna's."""
    if isinstance(fidelities, str) or not isinstance(fidelities, Sequence | np.ndarray):
        raise MetanetError(f"`fidelities` must be several numbers, as (0.1, 0.3, 1.0), got {fidelities!r}")
    shares = list(fidelities)
    numbers = all(isinstance(share, Real) and math.isfinite(share) for share in shares)
    steps = [round(STEPS * share) for share in shares] if numbers else []
    if not steps or shares[-1] != 1 or steps[0] < 1 or sorted(set(steps)) != steps:
        raise MetanetError(
            f"`fidelities` must grow from at least 1/{STEPS} to 1, as (0.1, 0.3, 1.0), got {tuple(shares)}"
        )


def check_fidelities(fidelities: Sequence[float], evaluator: Evaluator[Any], objectives: Mapping[str, str]) -> None:
    """Raises MetanetError for fidelities that the evaluator or the pruners cannot have."""
    if len(fidelities) == 1:
        return
    if isinstance(evaluator, FunctionEvaluator) or not _takes_fidelity(evaluator):
        raise MetanetError(
            f"`fidelities` need an evaluator that takes `fidelity`, {evaluator.fingerprint!r} does not: give an object "
            "with a `fingerprint` and `__call__(spec, *, fidelity=1.0)`, or one fidelity"
        )
    if len(objectives) > 1:
        raise MetanetError(
            f"with several fidelities candidates are compared by one objective, got {', '.join(objectives)}: "
            "give one objective, or one fidelity"
        )


def _takes_fidelity(evaluator: Evaluator[Any]) -> bool:
    try:
        parameters = inspect.signature(evaluator).parameters.values()
    except (TypeError, ValueError):  # of a callable that is not written in Python: it may
        return True
    return any(one.name == "fidelity" or one.kind is one.VAR_KEYWORD for one in parameters)
