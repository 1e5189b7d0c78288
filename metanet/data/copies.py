"""Images that a folder holds more than once: one in two parts would be learnt from and tested on."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metanet.data.images import Ids
from metanet.runs import track

WHOLE = 1_000_000_000  # bytes, which are read in seconds


def contents(root: Path, files: Sequence[str], *, whole: int = WHOLE) -> list[str]:
    """What tells equal files: the size of each and the SHA-256 of its bytes.

    Where there are more than `whole` bytes in all, only files that share their size are read: the others have no equal,
    and few compressed images are as long as another one.
    """
    place = str(root)  # joining many paths as `Path` takes longer than asking for their sizes
    sizes = [os.stat(f"{place}/{file}").st_size for file in files]
    shared, few = Counter(sizes), sum(sizes) <= whole
    found = [str(size) for size in sizes]
    for i in track([i for i, size in enumerate(sizes) if few or shared[size] > 1], "comparing files"):
        found[i] += " " + hashlib.sha256(Path(place, files[i]).read_bytes()).hexdigest()
    return found


def without_copies(
    known: Sequence[str], labels: Ids, ranks: Ids, *, kept: int | None = None
) -> tuple[npt.NDArray[np.bool_], int]:
    """Which images stay where each is to be there once, (n,), and how many go for being in several classes.

    Of equal images that of the lowest rank stays, the first one among these. Where they are in several classes nobody
    knows which is right, and none stays.

    known   as `contents`
    ranks   (n,) of the part that each image is in
    kept    the lowest rank, if its images stay whatever they are: those of a test that others know, too
    """
    alike: dict[str, list[int]] = {}
    for i, key in enumerate(known):
        alike.setdefault(key, []).append(i)
    stay, contradictory = np.ones(len(known), dtype=np.bool_), 0
    for own in (np.array(ids) for ids in alike.values() if len(ids) > 1):
        fixed = ranks[own] == kept if kept is not None else np.zeros(len(own), dtype=np.bool_)
        rest = own[~fixed]
        if len(np.unique(labels[own])) > 1:
            contradictory += len(rest)
        elif not fixed.any():
            rest = np.setdiff1d(own, own[np.argmin(ranks[own])])
        stay[rest] = False
    return stay, contradictory
