"""A study in a PostgreSQL database, in which any number of processes on any hosts search at the same time.

What they agree by are advisory locks (PostgreSQL's manual, 13.3.5), which end with the connection that holds them, so
that no clock decides who is dead. Proposals are made under one lock of the study: nobody proposes what another one is
at. Each process holds a lock of its own for as long as it searches, and its trials bear that lock's number: a running
trial whose lock is free is nobody's, and the next proposal gives it up.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import unquote

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from metanet.errors import MetanetError
from metanet.searchers.history import OPTIONS, WORKER
from metanet.searchers.stores.store import abandon, check_options, make_study

SCHEMES = ("postgresql", "postgresql+psycopg2", "postgresql+psycopg")
DRIVERS = ("psycopg2", "psycopg")  # the first that is installed, where the address names none
STUDY = "search"  # where the address names none
MAKING = "make"  # in place of a study's name in the lock that guards the making of tables and studies
# A host that vanishes is noticed after about a minute; by the system's own values it takes two hours.
KEEPALIVE = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"


@dataclass
class PostgresStore:
    """A study in a database, shared with other processes.

    locks   the connection whose locks are this process's: it is alive for as long as that is open
    worker  the number of its own lock
    """

    study: optuna.Study
    storage: RDBStorage
    locks: Connection
    worker: int
    url: URL
    shared: bool = True

    @property
    def name(self) -> str:
        """The address, without the password."""
        return repr(_shown(self.url, self.study.study_name))

    def batch(self) -> AbstractContextManager[None]:
        """Every record is written by itself; a trial that was not told to its end is given up."""
        return nullcontext()

    @contextmanager
    def claim(self) -> Iterator[None]:
        """The lock of the study; trials of the dead are given up first."""
        with _locked(self.locks, self.study.study_name):
            self._bury()
            yield

    def mine(self, trial: optuna.Trial) -> None:
        """Writes this process's number on a trial."""
        trial.set_user_attr(WORKER, self.worker)

    def others(self) -> int:
        """How many trials other processes are at, after those of dead ones were abandoned."""
        with self.claim():
            running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return sum(trial.user_attrs[WORKER] != self.worker for trial in running)

    def _bury(self) -> None:
        """Gives up running trials whose process is gone; a trial without a process was made by one that died while it
        proposed, since whoever proposes holds the lock of the study."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        workers = {trial.user_attrs.get(WORKER) for trial in running} - {self.worker}
        dead = {worker for worker in workers if worker is None or self._free(worker)}
        lost = [trial for trial in running if trial.user_attrs.get(WORKER) in dead]
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        abandon(self.storage, study_id, lost, "its process ended before the result was told")

    def _free(self, worker: int) -> bool:
        taken: bool = self.locks.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": worker}).scalar_one()
        if taken:
            self.locks.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": worker})
        return taken


@contextmanager
def open_postgres(
    store: str, options: Mapping[str, Any], sampler: BaseSampler, pruner: BasePruner | None = None
) -> Iterator[PostgresStore]:
    """The study at an address, made where there is none, for the length of a `with` block.

    store    postgresql://USER@HOST/DATABASE#STUDY; the study is called "search" where none is named
    options  what the study belongs to, as plain values, `objectives` (name -> direction) among them

    Raises MetanetError where the database cannot be reached, at any time, and where the study belongs to other options.
    """
    url, name = _address(store)
    with _reached(url, name), _connected(url) as locks:
        with _locked(locks, MAKING):
            storage = RDBStorage(url.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True})
            _made(storage, name, options)
        _check(storage, url, name, options)
        study = optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)
        worker = secrets.randbits(62)
        locks.execute(text("SELECT pg_advisory_lock(:key)"), {"key": worker})
        try:
            yield PostgresStore(study, storage, locks, worker, url)
        finally:
            storage.engine.dispose()


def read_postgres(store: str) -> optuna.Study:
    """The study at an address, to look at. Raises MetanetError where there is none."""
    url, name = _address(store)
    found = has_postgres(store)
    with _reached(url, name):
        if found:
            storage = RDBStorage(url.render_as_string(hide_password=False), skip_table_creation=True)
            study = optuna.load_study(study_name=name, storage=storage)
            if OPTIONS in study.user_attrs:
                return study
    raise MetanetError(f"{_shown(url, name)!r} holds no study that `search` made: name one after the #")


def has_postgres(store: str) -> bool:
    """Whether there is a study of that name; one whose making was interrupted is none, for it is made anew.

    Raises MetanetError where the database cannot be reached.
    """
    url, name = _address(store)
    with _reached(url, name), _connected(url) as connection:
        if not inspect(connection).has_table("studies"):
            return False
        query = text(
            "SELECT count(*) FROM studies AS study WHERE study_name = :name AND ("
            "EXISTS (SELECT 1 FROM study_user_attributes AS own WHERE own.study_id = study.study_id) OR "
            "EXISTS (SELECT 1 FROM trials WHERE trials.study_id = study.study_id))"
        )
        return bool(connection.execute(query, {"name": name}).scalar_one())


def shown_postgres(store: str) -> str:
    """An address as messages name it."""
    return repr(_shown(*_address(store)))


def _address(store: str) -> tuple[URL, str]:
    """Where the database is, and the name of the study in it."""
    address, _, name = store.partition("#")
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise MetanetError(
            f"cannot read the address {re.sub('//.*@', '//…@', store)!r} of a study: give "
            "postgresql://USER@HOST/DATABASE#STUDY"
        ) from None
    return url.set(drivername=f"postgresql+{_driver(url)}"), name or STUDY


def _driver(url: URL) -> str:
    """The driver that an address names, else the first that is installed: SQLAlchemy's own choice is another one from
    version to version."""
    asked = url.drivername.partition("+")[2]
    for name in (asked,) if asked else DRIVERS:
        with suppress(ImportError):
            import_module(name)
            return name
    raise MetanetError(
        f"a store in PostgreSQL needs the package {asked or DRIVERS[0]!r}: pip install 'metanet-nas[postgresql]'"
    )


def _shown(url: URL, name: str) -> str:
    return unquote(f"{url.set(drivername='postgresql').render_as_string(hide_password=True)}#{name}")


@contextmanager
def _reached(url: URL, name: str) -> Iterator[None]:
    """Says in one sentence what the database or its driver says in many."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        said = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
        raise MetanetError(
            f"cannot reach the study {_shown(url, name)!r} ({said}): it stands as it was; when the database answers, "
            "run the same search again to go on"
        ) from None


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    """A connection of its own, which holds the locks and nothing else."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(KEEPALIVE))
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _locked(locks: Connection, name: str) -> Iterator[None]:
    """Waits for the lock of a name and holds it for the length of the block."""
    key = int.from_bytes(hashlib.sha256(f"metanet {name}".encode()).digest()[:8], signed=True)
    locks.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
    try:
        yield
    finally:
        locks.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})


def _made(storage: RDBStorage, name: str, options: Mapping[str, Any]) -> None:
    """Makes the study where there is none, or only the beginning of one."""
    known = {study.study_name: study for study in optuna.get_all_study_summaries(storage, include_best_trial=False)}
    if name in known and (OPTIONS in known[name].user_attrs or known[name].n_trials):
        return
    make_study(storage, name, options)


def _check(storage: RDBStorage, url: URL, name: str, options: Mapping[str, Any]) -> None:
    """Raises MetanetError where the study is not one that `search` made with these options."""
    attributes = storage.get_study_user_attrs(storage.get_study_id_from_name(name))
    if OPTIONS not in attributes:
        raise MetanetError(
            f"{_shown(url, name)!r} is an Optuna study that `search` did not make: name another one after the #"
        )
    check_options(repr(_shown(url, name)), attributes[OPTIONS], options, "name another study after the #")
