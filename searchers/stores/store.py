"""What a search needs of the place that its study is kept in."""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from metanet.errors import MetanetError
from metanet.searchers.history import ABANDONED, OPTIONS


class Store(Protocol):
    """A study that is open for writing."""

    study: optuna.Study

    @property
    def name(self) -> str:
        """How it is called in messages, quotes and all."""

    @property
    def shared(self) -> bool:
        """Whether other processes may propose at the same time."""

    def batch(self) -> AbstractContextManager[None]:
        """Writes what belongs together at once, where the store can."""

    def claim(self) -> AbstractContextManager[None]:
        """A block in which nobody else proposes: what is asked for and written down in it is ours alone."""

    def mine(self, trial: optuna.Trial) -> None:
        """Marks a trial as one that this process will tell."""

    def others(self) -> int:
        """How many trials other processes are at, after those of dead ones were abandoned."""


def abandon(storage: BaseStorage, study_id: int, trials: Iterable[FrozenTrial], why: str) -> None:
    """Fails trials that nobody will tell; their slots are run again."""
    for trial in trials:
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        storage.set_trial_user_attr(trial_id, ABANDONED, why)
        storage.set_trial_state_values(trial_id, TrialState.FAIL)


def make_study(storage: BaseStorage, name: str, options: Mapping[str, Any]) -> None:
    """Makes a study, or what is missing of one whose making was interrupted."""
    objectives = options["objectives"]
    directions = list(objectives.values())
    study = optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
    study.set_metric_names(list(objectives))  # for dashboards
    study.set_user_attr(OPTIONS, dict(options))


def check_options(name: str, old: Mapping[str, Any], options: Mapping[str, Any], way_out: str) -> None:
    """Raises MetanetError, with the differences, where a study belongs to other options than a search has."""
    new = json.loads(json.dumps(options))
    found = [
        f"{option} was {old.get(option)!r}, now {new.get(option)!r}"
        for option in {**old, **new}
        if old.get(option) != new.get(option)
    ]
    if found:
        raise MetanetError(
            f"the study {name} belongs to another search ({'; '.join(found)}): "
            f"search with the options that it was made with, or {way_out}"
        )
