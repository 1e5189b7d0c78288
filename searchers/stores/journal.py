"""Optuna's journal file with gathered writes: what belongs together is written at once or not at all."""

import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from metanet.errors import MetanetError


class Journal(JournalFileBackend):
    """Optuna's own file format, for one process that searches and any number that look on.

    Optuna locks, writes and syncs once for each parameter and attribute, some thirty times a trial. Inside
    `with journal.batch():` the records are gathered, readable for this process at once, and written in one go.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: MetanetError | None = None
        self._reentrant = _ReentrantLock(str(path))
        self._seen = 0  # records of the file that were read so far
        self._batch: list[dict[str, Any]] | None = None
        super().__init__(str(path), lock_obj=self._reentrant)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Gathers the records of the block, which may be part of another one; other writers (a dashboard) wait for the
        end."""
        if self._batch is not None:
            yield
            return
        with self._guarded():
            self._reentrant.acquire()
        try:
            self._catch_up()  # the records to come are numbered from the true end of the file
            self._batch = []
            try:
                yield
            finally:
                batch, self._batch = self._batch, None
                if batch:
                    self.append_logs(batch)
                    self._catch_up()
        finally:
            self._reentrant.release()

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The records from this number on: those of the file, then the gathered ones."""
        if self._batch is None or log_number_from < self._seen:  # the file stands still during a batch
            for number, log in enumerate(super().read_logs(log_number_from), start=log_number_from + 1):
                self._seen = max(self._seen, number)
                yield log
        yield from (self._batch or [])[max(0, log_number_from - self._seen) :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes records, or gathers them. Raises MetanetError where the disk refuses; the file is then as before."""
        if self._batch is not None:
            self._batch += json.loads(json.dumps(logs))  # as the file would give them back
        else:
            with self._guarded():
                super().append_logs(logs)

    def _catch_up(self) -> None:
        for _ in self.read_logs(self._seen):
            continue

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self.failure is not None:
            raise self.failure
        size = None
        try:
            size = os.path.getsize(self.path)
            yield
        except OSError as error:
            if size is not None:
                with suppress(OSError):  # half a record would spoil the one written after it
                    os.truncate(self.path, size)
            self.failure = MetanetError(
                f"cannot write the study {str(self.path)!r} ({error.strerror}): it stands as it was; "
                "make room and run the same search again to go on"
            )
            raise self.failure from None


class _ReentrantLock(JournalFileSymlinkLock):
    """Optuna's lock, which its holder may take again."""

    _depth = 0

    def acquire(self) -> bool:
        if self._depth == 0:
            super().acquire()
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            super().release()
