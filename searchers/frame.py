"""A study as a table: one row a trial, the same columns for every study of a space."""

import math
from collections.abc import Sequence
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from metanet.searchers import history
from metanet.searchers.looks import STEPS
from metanet.searchers.measures import scored
from metanet.searchers.space import Gene

FIRST = ("number", "slot", "state")
LAST = ("last_fidelity", "last_value", "start", "seconds", "repaired", "answered_by", "reason")
COLUMNS = (*FIRST, "spec", *LAST)  # of every study; those of objectives, costs and genes are named after them
WHOLE = ("slot", "repaired", "answered_by")  # may be missing: pandas' nullable integers


def state_of(trial: FrozenTrial) -> str:
    """COMPLETE, PRUNED, FAIL, RUNNING, WAITING or ABANDONED."""
    return "ABANDONED" if history.ABANDONED in trial.user_attrs else trial.state.name


def reason_of(trial: FrozenTrial) -> str | None:
    """Why a trial failed, was pruned or abandoned, where that was written down."""
    reason: str | None = trial.user_attrs.get(history.REASON, trial.user_attrs.get(history.ABANDONED))
    return reason


def frame(study: optuna.Study, genes: Sequence[Gene]) -> pd.DataFrame:
    """The table of `SearchResult.to_dataframe`."""
    trials, objectives = study.get_trials(deepcopy=False), list(history.objectives_of(study))
    costs, others = (
        dict.fromkeys(name for trial in trials for name in trial.user_attrs.get(kind, {}) if name not in objectives)
        for kind in (history.COSTS, history.METRICS)
    )
    rows = [_row(trial, objectives, list(costs), genes, list(others)) for trial in trials]
    columns = [
        *(*FIRST, *objectives, *costs, "spec"),
        *(f"gene.{gene.name}" for gene in genes),
        *(f"metric.{name}" for name in others),
        *LAST,
    ]
    types: dict[str, Any] = {"number": int, "start": "datetime64[us]"}
    types |= dict.fromkeys((*WHOLE, *costs), "Int64")
    types |= dict.fromkeys((*objectives, *(f"metric.{name}" for name in others)), float)
    types |= dict.fromkeys(("last_fidelity", "last_value", "seconds"), float)
    return pd.DataFrame(rows, columns=columns).astype(types)


def _row(
    trial: FrozenTrial, objectives: Sequence[str], costs: Sequence[str], genes: Sequence[Gene], others: Sequence[str]
) -> dict[str, Any]:
    attrs = trial.user_attrs
    values = trial.values if scored(trial) else [math.nan] * len(objectives)
    metrics = attrs.get(history.METRICS, {}) if scored(trial) else {}
    choices = attrs.get(history.GENES, [None] * len(genes))
    last = max(trial.intermediate_values, default=None)
    return {
        "number": trial.number,
        "slot": attrs.get(history.SLOT),
        "state": state_of(trial),
        **dict(zip(objectives, values, strict=True)),
        **{name: attrs.get(history.COSTS, {}).get(name) for name in costs},
        "spec": attrs.get(history.SPEC),
        **{f"gene.{gene.name}": None if i is None else gene.choices[i] for gene, i in zip(genes, choices, strict=True)},
        **{f"metric.{name}": metrics.get(name, math.nan) for name in others},
        "last_fidelity": math.nan if last is None else last / STEPS,
        "last_value": math.nan if last is None else trial.intermediate_values[last],
        "start": trial.datetime_start,
        "seconds": attrs.get(history.SECONDS, math.nan),
        "repaired": attrs.get(history.REPAIRED),
        "answered_by": attrs.get(history.ANSWERED_BY),
        "reason": reason_of(trial),
    }
