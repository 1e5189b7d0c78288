"""Where studies are kept: a journal file for one process that searches, a PostgreSQL database for several hosts."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from metanet.errors import MetanetError
from metanet.searchers.stores.journal_file import open_journal, read_journal
from metanet.searchers.stores.postgres import SCHEMES, has_postgres, open_postgres, read_postgres, shown_postgres
from metanet.searchers.stores.store import Store

__all__ = ["Store", "has_study", "open_study", "quiet_optuna", "read_study", "shown"]


def open_study(
    store: str | os.PathLike[str], options: Mapping[str, Any], sampler: BaseSampler, pruner: BasePruner | None = None
) -> AbstractContextManager[Store]:
    """The study of a store, made where there is none, for the length of a `with` block.

    store    path of a journal file, or postgresql://USER@HOST/DATABASE#STUDY
    options  what the study belongs to, as plain values, `objectives` (name -> direction) among them

    Raises MetanetError where it cannot be opened, is damaged, or belongs to other options.
    """
    if _is_url(store):
        return open_postgres(str(store), options, sampler, pruner)
    return open_journal(store, options, sampler, pruner)


def read_study(store: str | os.PathLike[str]) -> optuna.Study:
    """The study of a store, to look at: nothing is repaired, locked or written.

    Raises MetanetError where there is none, or where it is damaged.
    """
    return read_postgres(str(store)) if _is_url(store) else read_journal(store)


def has_study(store: str | os.PathLike[str]) -> bool:
    """Whether there is a study of that name, whoever made it. Raises MetanetError where the store cannot be reached."""
    return has_postgres(str(store)) if _is_url(store) else os.path.exists(store)


def shown(store: str | os.PathLike[str]) -> str:
    """A store as messages name it, without a password."""
    return shown_postgres(str(store)) if _is_url(store) else repr(str(store))


def _is_url(store: str | os.PathLike[str]) -> bool:
    """Whether a store is a database. Raises MetanetError for those that are not known."""
    scheme, found, _ = os.fspath(store).partition("://")
    if not found:
        return False
    if scheme not in SCHEMES:
        raise MetanetError(
            f"a study is kept in a journal file or in PostgreSQL, got a store of {scheme!r}: "
            "give a path, or postgresql://USER@HOST/DATABASE#STUDY"
        )
    return True


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keeps Optuna's log lines and its warnings of experimental features from the user, inside the block only."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
