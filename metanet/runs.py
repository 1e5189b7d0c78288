"""What every long run shares: a folder proven to be writable, files that are never half-written, a manifest of what
the results came from, and a progress bar."""

import dataclasses
import hashlib
import json
import math
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, TypeVar, overload
from uuid import uuid4

import numpy as np
import torch

from metanet.errors import MetanetError

T = TypeVar("T")

PATIENCE = 2.0  # seconds of work before anything is printed
LIBRARIES = (
    "metanet-nas",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pandas",
    "optuna",
    "scikit-learn",
    "safetensors",
    "lightning-fabric",
)


def open_run(path: str | os.PathLike[str]) -> Path:
    """Makes the folder of a run where it is missing and returns its path.

    Raises MetanetError where the folder cannot be made or nothing can be written in it.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # permission bits say nothing to root or on a read-only mount
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise MetanetError(
            f"cannot write in the run folder {str(folder)!r} ({reason}): choose one where you may create files"
        ) from None
    return folder


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` at once and only when the block ends well.

    Raises MetanetError where it cannot be written; what stood at `path` is then unchanged.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise MetanetError(
            f"cannot write {str(target)!r} ({error.strerror}): make room or choose another folder; "
            "what stood there is unchanged"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


class Sealing:
    """A file to write to that knows the SHA-256 of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Passes `data` on."""
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        """Passes the wish on."""
        self.file.flush()


@contextmanager
def sealing(path: str | os.PathLike[str]) -> Iterator[Sealing]:
    """As `replacing`, for a file that ends with the SHA-256 of what is before it, so that `check_seal` can tell
    whether it is still what was written."""
    with replacing(path) as file:
        sealed = Sealing(file)
        yield sealed
        file.write(sealed.digest.digest())


def check_seal(path: str | os.PathLike[str]) -> None:
    """Raises ValueError where a file does not end with the SHA-256 of what is before it, OSError as `open`."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size - digest.digest_size
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        if file.read() != digest.digest():
            raise ValueError("the file ends with another SHA-256 than its content has")


def atomic_write(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Writes a whole file or nothing. Text becomes UTF-8. Raises MetanetError where it cannot be written."""
    with replacing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def plain(value: Any) -> Any:
    """`value` as JSON knows it: dataclasses and mappings become objects, arrays lists, paths text, NaN null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `plain(value)` as indented JSON, wholly or not at all. Raises MetanetError where it cannot be written."""
    atomic_write(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def fingerprint(value: Any) -> str:
    """Sixteen hexadecimal digits that name a plain value (SHA-256 of its canonical JSON)."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def manifest(options: Mapping[str, Any], **parts: Any) -> dict[str, Any]:
    """What a run's results came from: its options, `parts` (seeds, splits, times …), versions, machine and date."""
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "options": plain(options),
        **plain(parts),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@overload
def track(work: int, description: str, *, total: int | None = None, quiet: bool | None = None) -> Iterator[int]: ...
@overload
def track(
    work: Iterable[T], description: str, *, total: int | None = None, quiet: bool | None = None
) -> Iterator[T]: ...
def track(work: Any, description: str, *, total: int | None = None, quiet: bool | None = None) -> Iterator[Any]:
    """Passes the items of `work` (0 … work - 1 for a number) on and shows on stderr how far it is, after two seconds.

    total  how many items, where `work` has no length
    quiet  True prints one line at the end in place of the bar; None does so where stderr is not a terminal
    """
    items = range(work) if isinstance(work, int) else work
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    if sys.stderr.isatty() if quiet is None else not quiet:
        return _barred(items, description, total)
    return _counted(items, description, total)


def _counted(work: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    begin, done = time.monotonic(), 0
    try:
        for done, item in enumerate(work, start=1):  # noqa: B007  # read in the last line
            yield item
    finally:
        if (seconds := time.monotonic() - begin) > PATIENCE:
            of = f" of {total}" if total is not None and total != done else ""
            print(f"{description}: {done}{of} in {seconds:.0f} s", file=sys.stderr)


def _barred(work: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task(description, total=total)
    late = threading.Timer(PATIENCE, progress.start)  # a first item that takes minutes must not look like a hang
    late.start()
    try:
        for item in work:
            yield item
            progress.advance(task)
    finally:
        late.cancel()
        late.join()
        if progress.live.is_started:
            progress.stop()
