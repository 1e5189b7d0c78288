"""Studies in memory with the records that a search leaves, trial by trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

BEGIN = datetime(2026, 1, 1, 12)
STATES = {"scored": TrialState.COMPLETE, "failed": TrialState.FAIL, "pruned": TrialState.PRUNED}
STATES |= {"running": TrialState.RUNNING, "abandoned": TrialState.FAIL, "answered": TrialState.COMPLETE}


@dataclass(frozen=True)
class Told:
    """A trial: a state of STATES, its values (one an objective), its MACs and choices, when it ended after BEGIN and
    how long it took, in seconds."""

    state: str
    values: Sequence[float] = ()
    macs: int | None = None
    genes: Sequence[int] = (0, 0, 0, 0)
    ended: float = 0.0
    seconds: float = 1.0
    reason: str | None = None
    reported: Mapping[int, float] = field(default_factory=dict)


def study_of(trials: Sequence[Told], objectives: Mapping[str, str] | None = None, **options: Any) -> optuna.Study:
    """A study of these trials."""
    objectives = {"accuracy": "maximize"} if objectives is None else objectives
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=list(objectives.values()))
    optuna.logging.set_verbosity(verbosity)
    about = {"space": "table", "space_fingerprint": "", "constraints": None, "sampler": "RandomFeasible()", "seed": 0}
    study.set_user_attr("search", {**about, "evaluator": "e", "objectives": dict(objectives), **options})
    for number, told in enumerate(trials):
        study.add_trial(_frozen(number, told))
    return study


def _frozen(number: int, told: Told) -> FrozenTrial:
    attrs: dict[str, Any] = {"slot": number, "genes": list(told.genes), "spec": "-".join(map(str, told.genes))}
    attrs["costs"] = {} if told.macs is None else {"macs": told.macs}
    if told.state != "running":
        attrs["seconds"] = told.seconds
    if told.reason is not None:
        attrs["reason"] = told.reason
    if told.state == "scored":
        attrs["metrics"] = {"value": told.values[0]}
    attrs |= {"abandoned": "its process ended"} if told.state == "abandoned" else {}
    attrs |= {"answered_by": 0} if told.state == "answered" else {}
    end = BEGIN + timedelta(seconds=told.ended)
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=STATES[told.state],
        value=None,
        values=list(told.values) or None,
        datetime_start=end - timedelta(seconds=told.seconds),
        datetime_complete=None if told.state == "running" else end,
        params={},
        distributions={},
        user_attrs=attrs,
        system_attrs={},
        intermediate_values=dict(told.reported),
    )
