"""A search beside its two controls, random search and the architecture with the most MACs, at equal budget."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from metanet.errors import MetanetError
from metanet.searchers import history, measures
from metanet.searchers.result import SearchResult

SEARCH, RANDOM, LARGEST = "search", "random search", "most MACs"
SAME = ("space_fingerprint", "constraints", "objectives", "evaluator", "fidelities", "pruner")


@dataclass(frozen=True)
class Comparison:
    """A search and, where there is one, the random search beside it."""

    search: SearchResult[Any]
    control: SearchResult[Any] | None

    def __post_init__(self) -> None:
        if self.control is not None:
            _check_control(self.search.study, self.control.study)

    @property
    def results(self) -> dict[str, SearchResult[Any]]:
        """The search, then random search where there is one."""
        return {SEARCH: self.search} if self.control is None else {SEARCH: self.search, RANDOM: self.control}

    @property
    def studies(self) -> dict[str, optuna.Study]:
        """Their studies."""
        return {name: result.study for name, result in self.results.items()}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The search's trials as a table."""
        return self.search.to_dataframe()

    @cached_property
    def budget(self) -> int:
        """Evaluations that every one of them had."""
        return min(len(measures.evaluations(study)) for study in self.studies.values())

    @cached_property
    def scores(self) -> dict[str, pd.DataFrame]:
        """What each evaluation gave, of random search those within the search's budget."""
        count = len(measures.evaluations(self.search.study))
        return {name: measures.scores(study).iloc[:count] for name, study in self.studies.items()}

    @cached_property
    def largest(self) -> pd.DataFrame | None:
        """What the architecture with the most MACs of the first n random draws has; None where no draw has MACs."""
        if self.control is None:
            return None
        found = measures.dearest_so_far(self.control.study).iloc[: len(self.scores[SEARCH])]
        return found if found.notna().any(axis=None) else None

    @cached_property
    def importances(self) -> pd.DataFrame:
        """Over all that the search and its control scored. Raises MetanetError as `measures.importances` does."""
        return measures.importances(list(self.studies.values()), self.search.space.genes)

    @property
    def minimized(self) -> dict[str, bool]:
        """Whether less is better, by objective."""
        return {name: direction == "minimize" for name, direction in self.search.objectives.items()}

    @property
    def trials(self) -> dict[str, pd.DataFrame]:
        """MACs, objectives and id of what was scored, of random search within the search's budget."""
        count = len(self.scores[SEARCH])
        return {name: _scored_rows(result, count) for name, result in self.results.items()}

    @property
    def table(self) -> pd.DataFrame:
        """One row for each objective and chooser: the architecture that it would take after `budget` evaluations."""
        names = list(self.search.objectives)
        rows = [
            {"by": objective, "chosen by": chooser}
            | dict(zip(names, trial.values, strict=True))
            | {"architecture": trial.user_attrs[history.SPEC], "trial": trial.number}
            | trial.user_attrs.get(history.COSTS, {})
            for objective in names
            for chooser, trial in self._taken(objective).items()
        ]
        return pd.DataFrame(rows) if len(names) > 1 else pd.DataFrame(rows).drop(columns="by", errors="ignore")

    def sentence(self, objective: str) -> str:
        """How the search stands against its controls after equally many evaluations."""
        taken = self._taken(objective)
        at = list(self.search.objectives).index(objective)
        if self.control is None or {SEARCH, RANDOM} - set(taken):
            return ""
        behind = float(self.search.regret(self.control)[objective].iloc[self.budget - 1])
        stands = "is level" if behind == 0 else f"is {abs(behind):.3g} {'worse' if behind > 0 else 'better'}"
        said = (
            f"After {self.budget} evaluations each, the best {objective} of the search is "
            f"{taken[SEARCH].values[at]:.4g}, of random search {taken[RANDOM].values[at]:.4g}: the search {stands}."
        )
        if reached := self.reached(objective):
            said += f" It was as good as random search's best after {reached} evaluations."
        if LARGEST in taken:
            said += f" The architecture with the most MACs that was drawn has {taken[LARGEST].values[at]:.4g}."
        return said

    def reached(self, objective: str) -> int | None:
        """After how many evaluations the search was at least as good as random search at the end of the budget."""
        if self.control is None or not self.budget:
            return None
        sign = 1 if self.minimized[objective] else -1
        goal = sign * self.control.best_so_far()[objective].iloc[self.budget - 1]
        own = sign * self.search.best_so_far()[objective].iloc[: self.budget]
        there = np.flatnonzero(own <= goal)
        return int(there[0]) + 1 if len(there) else None

    def _taken(self, objective: str) -> dict[str, FrozenTrial]:
        """The trial whose architecture each chooser would take after `budget` evaluations."""
        at, sign = list(self.search.objectives).index(objective), 1 if self.minimized[objective] else -1
        drawn = {
            name: [t for t in measures.evaluations(study)[: self.budget] if measures.scored(t)]
            for name, study in self.studies.items()
        }
        found = {name: min(own, key=lambda t: sign * t.values[at]) for name, own in drawn.items() if own}
        if RANDOM in found and self.largest is not None:
            looked = measures.evaluations(self.studies[RANDOM])[: self.budget]
            dearest = measures.dearest(looked)
            if dearest is not None and measures.scored(dearest):  # else it was pruned: there is no score to show
                found[LARGEST] = dearest
        return found


def _scored_rows(result: SearchResult[Any], count: int) -> pd.DataFrame:
    """Columns macs (NaN without), id and the objectives, of what the first evaluations scored."""
    rows = [
        {"macs": t.user_attrs.get(history.COSTS, {}).get("macs", math.nan), "id": t.user_attrs[history.SPEC]}
        | dict(zip(result.objectives, t.values, strict=True))
        for t in measures.evaluations(result.study)[:count]
        if measures.scored(t)
    ]
    return pd.DataFrame(rows, columns=list(dict.fromkeys(["macs", "id", *result.objectives])))


def _check_control(study: optuna.Study, control: optuna.Study) -> None:
    """Raises MetanetError where a study is not random search for the same."""
    own, other = study.user_attrs[history.OPTIONS], control.user_attrs[history.OPTIONS]
    if not str(other["sampler"]).startswith("RandomFeasible"):
        raise MetanetError(
            f"a control is random search, this one was searched by {other['sampler']}: give the study that `controls` "
            "made (random.journal)"
        )
    if differences := [name for name in SAME if own.get(name) != other.get(name)]:
        said = "; ".join(f"{name} {own.get(name)!r} and {other.get(name)!r}" for name in differences)
        raise MetanetError(f"a control must be of the same search, got {said}: give the control of this study")
