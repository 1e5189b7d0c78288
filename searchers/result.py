"""What a search found, read from its study."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from metanet.errors import MetanetError
from metanet.searchers import history
from metanet.searchers.space import S, SearchSpace


@dataclass(frozen=True)
class Scored(Generic[S]):
    """An architecture with its numbers: `values` of the objectives, `metrics` all that was returned, `costs` of the
    space (multiply-accumulates, parameters), `number` of its trial."""

    number: int
    spec: S
    values: Mapping[str, float]
    metrics: Mapping[str, float]
    costs: Mapping[str, int]


@dataclass(frozen=True)
class SearchResult(Generic[S]):
    """A view of a study: `study` is Optuna's own object, with all that Optuna can do with one."""

    study: optuna.Study
    space: SearchSpace[S]

    @property
    def objectives(self) -> Mapping[str, str]:
        """Direction by name."""
        return history.objectives_of(self.study)

    @property
    def stopped(self) -> str | None:
        """Why the search ended before its number of trials; None where it did not."""
        reason: str | None = self.study.user_attrs.get(history.STOPPED)
        return reason

    @property
    def scored(self) -> list[Scored[S]]:
        """Every evaluated architecture once, oldest first."""
        trials = [t for t in history.complete(self.study) if history.ANSWERED_BY not in t.user_attrs]
        return [self._scored(trial) for trial in trials]

    @property
    def best(self) -> Scored[S]:
        """The best architecture, of equals the first. Raises MetanetError where there is none, or no one objective."""
        if len(self.objectives) > 1:
            raise MetanetError(f"no one architecture is best in {' and '.join(self.objectives)}: see `front`")
        scored = self.scored
        if not scored:
            raise MetanetError("no architecture of the study was evaluated without failure: see `to_dataframe()`")
        return scored[int(np.argmin(self._losses(scored)[:, 0]))]

    @property
    def front(self) -> list[Scored[S]]:
        """The architectures that no other one beats in all objectives and in MACs, fewest MACs first.

        Without MACs (the space has none) by objectives alone, best first.
        """
        scored = self.scored
        if not scored:
            return []
        losses = self._losses(scored)
        priced = all("macs" in one.costs for one in scored)
        points = np.column_stack([[one.costs["macs"] for one in scored], losses]) if priced else losses
        keep = non_dominated(points)
        return [scored[i] for i in sorted(keep, key=lambda i: tuple(points[i]))]

    def to_dataframe(self) -> pd.DataFrame:
        """One row a trial, abandoned ones too: number, slot, state, objectives, costs, spec (its id), a column
        `gene.<name>` with each gene's value, seconds (of the evaluation), repaired (genes changed), answered_by
        (number of the trial whose result it is), reason (of a failure)."""
        return pd.DataFrame([self._row(trial) for trial in self.study.get_trials(deepcopy=False)])

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes a self-contained HTML page. Raises MetanetError where it cannot be written."""
        from metanet.searchers.report import write_report

        write_report(self, path)

    def _scored(self, trial: FrozenTrial) -> Scored[S]:
        attrs = trial.user_attrs
        values = dict(zip(self.objectives, trial.values, strict=True))
        return Scored(
            trial.number, self.space.decode(attrs[history.GENES]), values, attrs[history.METRICS], attrs[history.COSTS]
        )

    def _losses(self, scored: list[Scored[S]]) -> NDArray[np.float64]:
        """The objectives with the sign that makes less better, (scored, objectives)."""
        signs = [-1 if direction == "maximize" else 1 for direction in self.objectives.values()]
        return np.array([list(one.values.values()) for one in scored]) * signs

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        attrs = trial.user_attrs
        genes = attrs.get(history.GENES, [None] * len(self.space.genes))
        return {
            "number": trial.number,
            "slot": attrs.get(history.SLOT),
            "state": "ABANDONED" if history.ABANDONED in attrs else trial.state.name,
            **dict(zip(self.objectives, trial.values or [math.nan] * len(self.objectives), strict=True)),
            **attrs.get(history.COSTS, {}),
            "spec": attrs.get(history.SPEC),
            **{
                f"gene.{gene.name}": None if i is None else gene.choices[i]
                for gene, i in zip(self.space.genes, genes, strict=True)
            },
            "seconds": attrs.get(history.SECONDS),
            "repaired": attrs.get(history.REPAIRED),
            "answered_by": attrs.get(history.ANSWERED_BY),
            "reason": attrs.get(history.REASON, attrs.get(history.ABANDONED)),
        }


def non_dominated(points: NDArray[np.float64]) -> list[int]:
    """Rows of (n, d) points than which no other is at most as large everywhere and smaller somewhere."""
    at_most = (points[:, None] <= points[None]).all(axis=2)
    smaller = (points[:, None] < points[None]).any(axis=2)
    return [int(i) for i in np.flatnonzero(~(at_most & smaller).any(axis=0))]
