"""How a study stands at a moment, in plain values: what a live table or a line of a log shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from metanet.searchers import history, measures
from metanet.searchers.frame import reason_of, state_of
from metanet.searchers.looks import STEPS
from metanet.searchers.result import non_dominated

RECENT = 20  # ends of evaluations that the time left is told from
STATES = {"COMPLETE": "scored", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@dataclass(frozen=True)
class Line:
    """A trial: its state in a word, its values by objective (none without a score), its costs, the seconds of its
    evaluation (so far, where it runs) and why it ended without a score."""

    number: int
    state: str
    spec: str
    values: Mapping[str, float]
    costs: Mapping[str, int]
    seconds: float | None
    reason: str | None


@dataclass(frozen=True)
class Standing:
    """A study at a moment.

    done     trials that are not run again, but for those that run
    total    trials that it is to hold in the end, where that is known
    counts   trials by state: scored, pruned, failed, running
    best     of one objective the best architectures, the best first; of several those that no other one beats
    last     the last trials, the latest first
    each     median seconds of an evaluation
    left     seconds until `total`, by the pace of the last evaluations
    beside   how another study stands after as many evaluations; empty where there is none
    """

    name: str
    objectives: Mapping[str, str]
    done: int
    total: int | None
    counts: Mapping[str, int]
    best: Sequence[Line]
    last: Sequence[Line]
    each: float | None
    left: float | None
    beside: str


def standing(
    study: optuna.Study,
    *,
    name: str = "search",
    total: int | None = None,
    other: Mapping[str, optuna.Study] | None = None,
    now: datetime | None = None,
    rows: int = 5,
) -> Standing:
    """How a study stands.

    other   the study that it is compared with, by its name
    rows    of the best and of the last, at most
    """
    trials, now = history.live(study), now or datetime.now()
    counts = {word: sum(trial.state.name == state for trial in trials) for state, word in STATES.items()}
    done = sum(trial.state.is_finished() for trial in trials)
    evaluated = measures.evaluations(study)
    seconds = [trial.user_attrs[history.SECONDS] for trial in evaluated if history.SECONDS in trial.user_attrs]
    pace = _pace(evaluated, max(seconds, default=0.0))
    return Standing(
        name=name,
        objectives=history.objectives_of(study),
        done=done,
        total=total,
        counts=counts,
        best=[_line(study, trial, now) for trial in _best(study, evaluated)[:rows]],
        last=[_line(study, trial, now) for trial in reversed(trials[-rows:])],
        each=float(np.median(seconds)) if seconds else None,
        left=None if pace is None or total is None else pace * max(0, total - done),
        beside=" ".join(_beside(study, name, theirs, their_name) for their_name, theirs in (other or {}).items()),
    )


def _line(study: optuna.Study, trial: FrozenTrial, now: datetime) -> Line:
    seconds = trial.user_attrs.get(history.SECONDS)
    if not trial.state.is_finished() and trial.datetime_start:
        seconds = (now - trial.datetime_start).total_seconds()
    values = dict(zip(history.objectives_of(study), trial.values or (), strict=True)) if measures.scored(trial) else {}
    state = STATES.get(state_of(trial), state_of(trial).lower())
    spec, costs = trial.user_attrs.get(history.SPEC, ""), trial.user_attrs.get(history.COSTS, {})
    return Line(trial.number, state, spec, values, costs, seconds, reason_of(trial) or _reached(trial))


def _reached(trial: FrozenTrial) -> str | None:
    """What a pruned trial had at its last look."""
    if trial.state is not TrialState.PRUNED or not trial.intermediate_values:
        return None
    step = max(trial.intermediate_values)
    return f"{trial.intermediate_values[step]:.4g} at a fidelity of {step / STEPS:g}"


def _best(study: optuna.Study, evaluated: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    losses = measures.losses_of(study)
    if len(history.objectives_of(study)) == 1:
        order = np.argsort(losses.iloc[:, -1].to_numpy(), kind="stable").tolist()
    else:
        points = losses.to_numpy()
        order = sorted(non_dominated(points), key=lambda i: tuple(points[i])) if len(points) else []
    return [evaluated[losses.index[i] - 1] for i in order]


def _pace(evaluated: Sequence[FrozenTrial], longest: float) -> float | None:
    """Mean seconds from the end of an evaluation to that of the next, over the last ones without a pause: a gap of more
    than twice the longest evaluation and ten seconds."""
    ends = np.array(sorted(t.datetime_complete.timestamp() for t in evaluated if t.datetime_complete)[-RECENT:])
    gaps = np.diff(ends)
    pauses = np.flatnonzero(gaps > 2 * longest + 10)
    gaps = gaps[pauses[-1] + 1 :] if len(pauses) else gaps
    return float(gaps.mean()) if len(gaps) else None


def _beside(study: optuna.Study, name: str, other: optuna.Study, other_name: str) -> str:
    """What the other study had after as many evaluations, or both where it had fewer."""
    own, theirs = measures.best_so_far(study), measures.best_so_far(other)
    count = min(len(own), len(theirs))
    if not count:
        return ""
    told = [
        f"best {objective} {theirs[objective].iloc[count - 1]:.4g} ({name} {own[objective].iloc[count - 1]:.4g})"
        for objective in own
        if objective in theirs
    ]
    return f"{other_name} after {count} evaluation{'s' if count > 1 else ''}: {', '.join(told)}"
