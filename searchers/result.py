"""What a search found, read from its study."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from metanet.errors import MetanetError
from metanet.searchers import history, measures
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
    def dearest(self) -> Scored[S] | None:
        """The architecture with the most MACs of all that were scored or pruned, whatever its score (NaN where it was
        pruned); None where none has MACs."""
        trial = measures.dearest(measures.evaluations(self.study))
        return None if trial is None else self._scored(trial)

    @property
    def front(self) -> list[Scored[S]]:
        """The architectures that no other one beats in all objectives and in MACs, fewest MACs first.

        Without MACs (the space has none, or they are an objective) by objectives alone, best first.
        """
        scored = self.scored
        if not scored:
            return []
        losses = self._losses(scored)
        priced = all("macs" in one.costs and "macs" not in one.values for one in scored)
        points = np.column_stack([[one.costs["macs"] for one in scored], losses]) if priced else losses
        keep = non_dominated(points)
        return [scored[i] for i in sorted(keep, key=lambda i: tuple(points[i]))]

    def best_so_far(self) -> pd.DataFrame:
        """(evaluations, objectives) the best value of each objective among the first n evaluations, counted from 1;
        NaN before the first score. What failed or was pruned counts as an evaluation, what the study answered does not.
        """
        return measures.best_so_far(self.study)

    def regret(self, control: "SearchResult[Any]") -> pd.DataFrame:
        """(evaluations of the shorter one, objectives) by how much the best so far is worse than the control's after as
        many evaluations, in units of the objective; negative where it is better.

        Raises MetanetError where the two did not look for the same numbers.
        """
        return measures.regret(self.study, control.study)

    @property
    def worst(self) -> dict[str, float]:
        """The most MACs (where the space has them) and the worst value of each objective that was seen; empty before
        the first score."""
        return measures.worst(self.study)

    def hypervolume(self, reference: Mapping[str, float] | None = None) -> "pd.Series[float]":
        """(evaluations,) the volume that the first n evaluations dominate, in the product of the units of its axes:
        MACs (where the space has them) and the objectives, as in `front`.

        reference   a value by axis, {"macs": 5e6, "accuracy": 0.1}, that everything counted is better than; `worst`
                    when not given. Two studies are compared by one reference.

        Raises MetanetError for a reference that is not a finite number for each axis.
        """
        return measures.hypervolume(self.study, reference)

    def importances(self) -> pd.DataFrame:
        """(genes with a choice, objectives) the share of each gene in what single genes explain of an objective's
        variance (fANOVA, Hutter et al. 2014), the most important first; NaN for genes that had one value only.

        Genes are those of the architectures that were scored, not what a sampler suggested: one without effect (the
        kernel of an attention stage) has its first choice. From a few dozen architectures, small shares are chance.

        Raises MetanetError for fewer than 10 architectures, and for an objective that never changed.
        """
        return measures.importances([self.study], self.space.genes)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a trial, in the order of their numbers, abandoned ones too; missing values are NA.

        number        of the trial in the study
        slot          its place in a run that nothing interrupts
        state         COMPLETE, PRUNED, FAIL, RUNNING, WAITING or ABANDONED (its process ended, its slot is run again)
        objectives    a column each, under their names; only of complete trials
        costs         macs, params …: those that the space has
        spec          id of the architecture
        gene.NAME     value of each gene of the architecture
        metric.NAME   what the evaluator returned besides the objectives; only of complete trials
        last_fidelity, last_value   the last look at it, where there are several: all that pruned trials have
        start         when it was proposed, local time
        seconds       wall time of the evaluation, all looks together
        repaired      number of genes that were changed to keep the constraints
        answered_by   number of the earlier trial whose result it is
        reason        why it failed, was pruned or abandoned
        """
        from metanet.searchers.frame import frame

        return frame(self.study, self.space.genes)

    def report(self, path: str | os.PathLike[str], control: "SearchResult[Any] | None" = None) -> Path:
        """Writes what the study tells, and returns the path of the page.

        path      a name that ends in .html: a self-contained page; else a folder: page (report.html) and PNG files
        control   random search at the same budget (`Controls.random`), to be compared with

        Raises MetanetError where it cannot be written, and for a control of another search.
        """
        from metanet.searchers.report import write_report

        return write_report(self, path, control)

    def _scored(self, trial: FrozenTrial) -> Scored[S]:
        attrs = trial.user_attrs
        numbers = trial.values if measures.scored(trial) else [math.nan] * len(self.objectives)
        values = dict(zip(self.objectives, numbers, strict=True))
        return Scored(
            trial.number, self.space.decode(attrs[history.GENES]), values, attrs[history.METRICS], attrs[history.COSTS]
        )

    def _losses(self, scored: list[Scored[S]]) -> NDArray[np.float64]:
        """The objectives with the sign that makes less better, (scored, objectives)."""
        signs = [-1 if direction == "maximize" else 1 for direction in self.objectives.values()]
        return np.array([list(one.values.values()) for one in scored]) * signs


def non_dominated(points: NDArray[np.float64]) -> list[int]:
    """Rows of (n, d) points than which no other is at most as large everywhere and smaller somewhere."""
    left, found = np.lexsort(points.T[::-1]), list[int]()
    while len(left):  # nothing that is left can beat the first of it, and what it beats or equals is settled
        best, rest = points[left[0]], points[left]
        found += left[(rest == best).all(axis=1)].tolist()
        left = left[(rest < best).any(axis=1)]
    return sorted(found)
