"""A study in a file: opened by one process at a time, repaired where a process died, refused where it is not ours."""

import glob
import json
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from metanet.errors import MetanetError
from metanet.searchers.history import GENES, METRICS, OPTIONS, Exhausted
from metanet.searchers.stores.journal import Journal
from metanet.searchers.stores.store import abandon, check_options, make_study

STUDY = "search"  # one study a file
HEAD = b'{"op_code":'  # every record of an Optuna journal begins so


@dataclass
class JournalStore:
    """A study in a journal file, which this process owns."""

    study: optuna.Study
    journal: Journal
    storage: JournalStorage
    shared: bool = False
    own: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The path of the file."""
        return repr(str(self.journal.path))

    def batch(self) -> AbstractContextManager[None]:
        """One write."""
        return self.journal.batch()

    @contextmanager
    def claim(self) -> Iterator[None]:
        """One write: nobody else proposes. A trial for which nothing could be proposed is given up."""
        with self.journal.batch():
            try:
                yield
            except Exhausted as end:
                _abandon(self.journal, self.storage, str(end), self.own)
                raise

    def mine(self, trial: optuna.Trial) -> None:
        """Tells it from one for which nothing could be proposed."""
        self.own.add(trial.number)

    def others(self) -> int:
        """None."""
        return 0


@contextmanager
def open_journal(
    path: str | os.PathLike[str], options: Mapping[str, Any], sampler: BaseSampler, pruner: BasePruner | None = None
) -> Iterator[JournalStore]:
    """The study in a journal file, made where there is none, for the length of a `with` block.

    options  what the study belongs to, as plain values, `objectives` (name -> direction) among them

    On opening, a torn last line is cut (and kept in a `.torn` file beside it), locks of dead processes are removed
    and trials that a dead process left running are abandoned. Raises MetanetError, and leaves the file as it is, where
    another process uses it, where it is damaged, and where it belongs to other options.
    """
    path = Path(path).absolute()  # the evaluator may change the working directory
    with _owned(path):
        if not _content(path):
            _create(path, options)
        torn = _check_lines(path)
        journal = Journal(path)
        storage = _replayed(journal)
        _check_study(path, storage, options)
        _clear_the_dead(path, torn)
        study = optuna.load_study(study_name=STUDY, storage=storage, sampler=sampler, pruner=pruner)
        try:
            _abandon(journal, storage, "its process ended before the result was told")
            yield JournalStore(study, journal, storage)
        finally:
            if journal.failure is None:
                _abandon(journal, storage, "the search ended before the result was told")


def read_journal(path: str | os.PathLike[str]) -> optuna.Study:
    """The study in a journal file, to look at: nothing is repaired, locked or written.

    Raises MetanetError where there is none, or where it is damaged.
    """
    path = Path(path)
    if not _content(path):
        raise MetanetError(f"there is no study {str(path)!r}: name the journal file of a search")
    _check_lines(path)
    storage = _replayed(Journal(path))
    studies = storage.get_all_studies()
    if len(studies) != 1 or OPTIONS not in studies[0].user_attrs:
        raise MetanetError(f"{str(path)!r} holds no study that `search` made: name the journal file of a search")
    _check_trials(path, storage)
    return optuna.load_study(study_name=STUDY, storage=storage)


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    """Makes this process the only one that writes the study."""
    lock = FileLock(f"{path}.owner")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except Timeout:
        raise MetanetError(
            f"the study {str(path)!r} is in use by another search: wait for its end or take another store"
        ) from None
    except OSError as error:
        raise MetanetError(
            f"cannot write the study {str(path)!r} ({error.strerror}): choose a store where you may create files"
        ) from None


def _create(path: Path, options: Mapping[str, Any]) -> None:
    """Makes the study beside its place, so that no half-made one can ever stand there."""
    new = Path(f"{path}.new")
    with _writing(path):
        _remove_locks(new)
        new.unlink(missing_ok=True)
        make_study(JournalStorage(JournalFileBackend(str(new))), STUDY, options)
        os.replace(new, path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise MetanetError(f"cannot read the study {str(path)!r} ({error.strerror}): choose another store") from None


def _check_lines(path: Path) -> bytes:
    """Checks every line and returns the last one where it was not written to its end."""
    *lines, torn = _content(path).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not _is_record(line):
            raise _damaged(path, f"line {number} is not a record of a study")
    if torn and not (torn.startswith(HEAD) or HEAD.startswith(torn)):
        raise _damaged(path, f"line {len(lines) + 1} is not a record of a study")
    return torn


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and isinstance(record.get("op_code"), int) and "worker_id" in record


def _replayed(journal: Journal) -> JournalStorage:
    try:
        return JournalStorage(journal)
    except Exception as error:  # Optuna replays what it finds: records in a wrong order can raise anything
        raise _damaged(journal.path, f"its records contradict each other, {type(error).__name__}: {error}") from None


def _check_study(path: Path, storage: JournalStorage, options: Mapping[str, Any]) -> None:
    """Raises MetanetError where the file does not hold one study, with these options and whole."""
    studies = storage.get_all_studies()
    if not studies:
        raise _damaged(path, "the record that makes the study is missing")
    if len(studies) > 1 or OPTIONS not in studies[0].user_attrs:
        raise MetanetError(f"{str(path)!r} holds an Optuna study that `search` did not make: take another store")
    check_options(repr(str(path)), studies[0].user_attrs[OPTIONS], options, "take another store")
    _check_trials(path, storage)


def _check_trials(path: Path, storage: JournalStorage) -> None:
    """Raises MetanetError where a result has no architecture."""
    for trial in storage.get_all_trials(storage.get_study_id_from_name(STUDY), deepcopy=False):
        if trial.state is TrialState.COMPLETE and not {GENES, METRICS} <= trial.user_attrs.keys():
            raise _damaged(path, f"trial {trial.number} has a result and no architecture")


def _clear_the_dead(path: Path, torn: bytes) -> None:
    """Optuna's locks belong to dead processes, for we own the study; a torn line is moved out of the file."""
    with _writing(path):
        _remove_locks(path)
        if torn:
            with open(f"{path}.torn", "ab") as kept:
                kept.write(torn + b"\n")
                kept.flush()
                os.fsync(kept.fileno())
            os.truncate(path, path.stat().st_size - len(torn))


def _remove_locks(path: Path) -> None:
    for lock in [f"{path}.lock", *glob.glob(f"{glob.escape(str(path))}.lock*.rename")]:
        Path(lock).unlink(missing_ok=True)


def _abandon(journal: Journal, storage: JournalStorage, why: str, spared: Set[int] = frozenset()) -> None:
    """Fails the running trials that nobody will tell, all but the numbers spared; their slots are run again."""
    study_id = storage.get_study_id_from_name(STUDY)
    running = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
    lost = [trial for trial in running if trial.number not in spared]
    if lost:
        with journal.batch():
            abandon(storage, study_id, lost, why)


def _damaged(path: Path, what: str) -> MetanetError:
    return MetanetError(f"the study {str(path)!r} is damaged ({what}): restore the file or take another store")
