"""Features on disk: an image goes through a frozen backbone once, whichever process asks for it again.

A folder an entry, named by what decides the features; in it shards of images, each a numpy file (`numpy.load` opens
it) of records (id, row) that ends with its SHA-256. Shards appear whole under a name of their own and never change,
so readers need no lock; one process at a time fills an entry.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock

from metanet.bench.features import Features, as_module, extract
from metanet.bench.identity import architecture_sha256
from metanet.data import Ids, ImageSource, View, as_view
from metanet.errors import MetanetError, unknown
from metanet.model import Backbone
from metanet.runs import check_seal, fingerprint, open_run, sealing, write_json
from metanet.training import state_sha256

DTYPES = ("float32", "float16")
_LOCK = ".lock"


class DiskCache:
    """`extract` that keeps what it found in a folder, which many processes may share and any of them may leave by a
    kill: what was written is whole, and the rest is run again.

    Another weight, architecture, image, label or view is another entry. Entries that were not used for longest are
    removed where the folder grows beyond its limit. A damaged file is told of, removed, and its images run again.

    dtype         how features are kept, one of DTYPES; halves round to 11 bits, the first time too
    limit_bytes   of all features in the folder; what one call needs may exceed it while the call lasts
    shard_images  after how many images a shard is written, and the backbone proven unchanged
    extract       runs the backbone; `functools.partial(extract, device="cuda")`, for instance
    forwards      images that were run through a backbone so far
    hits          images that were known
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        dtype: str = "float32",
        limit_bytes: int = 20 * 10**9,
        shard_images: int = 10_000,
        extract: Callable[[Backbone, ImageSource, Ids, View | int], Features] = extract,
    ) -> None:
        if dtype not in DTYPES:
            raise unknown("type of cached features", dtype, DTYPES)
        if limit_bytes < 1 or shard_images < 1:
            raise MetanetError(
                "a cache must be allowed at least 1 byte and 1 image a shard, "
                f"got limit_bytes={limit_bytes} and shard_images={shard_images}"
            )
        self.folder, self.dtype, self.limit_bytes, self.shard_images = (
            open_run(folder),
            dtype,
            limit_bytes,
            shard_images,
        )
        self.extract, self.forwards, self.hits = extract, 0, 0
        self._sound: set[Path] = set()  # shards whose digest was compared: once a process will do

    def __call__(self, backbone: Backbone, images: ImageSource, ids: Ids, view: View | int) -> Features:
        """The features (n, d) of the ids in their order.

        Raises:
            MetanetError: as `extract`; the folder cannot be written; a feature is too large for float16.
        """
        if len(ids) == 0:
            return self.extract(backbone, images, ids, view)  # says what is wrong
        about = self._about(backbone, images, as_view(view))
        entry = open_run(self.folder / fingerprint(about))
        wanted, place = np.unique(ids, return_inverse=True)
        found, before = _Found(wanted), self.forwards
        self._read(entry, found)
        while found.missing.any():
            with FileLock(entry / _LOCK):
                _sweep(entry)
                self._read(entry, found)  # what another process has found meanwhile
                if len(new := wanted[found.missing][: self.shard_images]):
                    rows = self._rounded(self.extract(backbone, images, new, view))
                    self.forwards += len(new)
                    if not (entry / "about.json").exists():
                        write_json(entry / "about.json", {"images": images.name, **about})
                    self._sound.add(_write(entry, new, rows))
                    found.put(new, rows)
            self._evict()
        self.hits += len(wanted) - (self.forwards - before)
        if self.forwards > before and (size := found.rows.size * np.dtype(self.dtype).itemsize) > self.limit_bytes:
            warnings.warn(
                f"the features of {len(wanted)} images of {images.name!r} take {size:,} bytes, more than the cache may "
                f"hold, and some are run again the next time: give it more than limit_bytes={self.limit_bytes:,}",
                stacklevel=2,
            )
        return found.rows[place]

    def __str__(self) -> str:
        return f"forward passes: {self.forwards:,} images; from the cache: {self.hits:,}"

    def _about(self, backbone: Backbone, images: ImageSource, view: View) -> dict[str, Any]:
        """All that decides the features of an image."""
        module = as_module(backbone)
        device = next((p.device.type for p in module.parameters()), "cpu")
        return {
            "weights": state_sha256(module),
            "class": f"{type(module).__module__}.{type(module).__qualname__}",
            "architecture": architecture_sha256(module),
            "source": images.fingerprint,
            "view": asdict(view),
            "layer": "pooled",
            "dtype": self.dtype,
            "autocast": str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else None,
        }

    def _rounded(self, rows: Features) -> npt.NDArray[Any]:
        """The rows as they are kept."""
        largest, limit = float(abs(rows).max()), float(np.finfo(self.dtype).max)
        if largest > limit:
            raise MetanetError(
                f"features kept as float16 must be at most {limit:.0f} in size, got {largest:.6g}: keep them as float32"
            )
        return rows.astype(self.dtype)

    def _read(self, entry: Path, found: "_Found") -> None:
        """Fills in what the entry's shards hold; a shard that is used becomes the last to be evicted."""
        for path in sorted(entry.glob("*.npy")):
            if not found.missing.any():
                return
            table = self._open(path)
            if table is not None and found.put(table["id"], table["row"]):
                with suppress(OSError):
                    os.utime(path)

    def _open(self, path: Path) -> npt.NDArray[Any] | None:
        """A shard's table, mapped into memory; None where it is gone, or damaged and now gone."""
        try:
            if path not in self._sound:
                check_seal(path)
            table: npt.NDArray[Any] = np.load(path, mmap_mode="r")
        except FileNotFoundError:  # evicted by another process
            return None
        except (OSError, ValueError) as error:
            warnings.warn(f"cached features are damaged and run again: {str(path)!r} ({error})", stacklevel=4)
            self._sound.discard(path)
            with suppress(OSError):
                path.unlink()
            return None
        self._sound.add(path)
        return table

    def _evict(self) -> None:
        """Removes the shards that were not used for longest until the rest is within the limit."""
        shards = sorted(_ages(self.folder), key=lambda shard: shard[0])
        excess = sum(size for _, size, _ in shards) - self.limit_bytes
        for _, size, path in shards:
            if excess <= 0:
                return
            with suppress(OSError):  # another process was faster
                path.unlink()
            excess -= size


class _Found:
    """Rows that are known so far of the ids that are wanted, which are sorted and different."""

    def __init__(self, wanted: Ids) -> None:
        self.wanted, self.missing = wanted, np.ones(len(wanted), dtype=bool)
        self.rows: Features = np.empty((0, 0), np.float32)

    def put(self, ids: Ids, rows: npt.NDArray[Any]) -> bool:
        """Takes the rows of ids that are wanted and missing; says whether there were any."""
        at = np.searchsorted(self.wanted, ids).clip(max=len(self.wanted) - 1)
        new = (self.wanted[at] == ids) & self.missing[at]
        if not new.any():
            return False
        if len(self.rows) == 0:
            self.rows = np.empty((len(self.wanted), rows.shape[1]), np.float32)
        self.rows[at[new]] = rows[new]
        self.missing[at[new]] = False
        return True


def _write(entry: Path, ids: Ids, rows: npt.NDArray[Any]) -> Path:
    """Writes a new shard and returns its path."""
    table = np.empty(len(ids), [("id", "<i8"), ("row", rows.dtype.newbyteorder("<"), rows.shape[1:])])
    table["id"], table["row"] = ids, rows
    path = entry / f"{uuid4().hex}.npy"
    with sealing(path) as file:
        np.save(file, table)
    return path


def _ages(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """(when it was last used, bytes, path) of each shard."""
    for path in folder.glob("*/*.npy"):
        with suppress(OSError):  # evicted by another process
            status = path.stat()
            yield status.st_mtime_ns, status.st_size, path


def _sweep(entry: Path) -> None:
    """Removes what processes left that were killed while they wrote; whoever calls holds the lock."""
    for litter in entry.glob(".*.tmp"):
        with suppress(OSError):
            litter.unlink()
