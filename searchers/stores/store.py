"""What a search needs of the place that its study is kept in."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from metanet.searchers.history import ABANDONED


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


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """In words, where the options of a study and those of a search differ; empty where they do not."""
    found = [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    return "; ".join(found)
