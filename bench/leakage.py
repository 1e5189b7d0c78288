"""Leakage: test images that were seen before, in the training images or in those of a pretraining.

Three kinds of evidence. Equal decoded pixels: the same image, however it was stored. A close perceptual hash: the same
photo after another compression, size or brightness; but pictures of one simple layout look alike to it, so that of the
handwritten digits of MNIST-5k 7 % have a lookalike within 2 bits and not one a double. A close feature vector: whatever
a backbone takes for the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from metanet.bench.features import Features, extract
from metanet.bench.prints import Prints, prints
from metanet.bench.probes.protocol import Extract
from metanet.bench.task import Task, shown_at
from metanet.data import Ids, ImageSource
from metanet.errors import MetanetError, unknown
from metanet.model import Backbone

EVIDENCE = ("pixels", "dhash", "features")
Pairs: TypeAlias = tuple[Ids, Ids, npt.NDArray[np.float64]]
"""Positions in two lists of what belongs together, and how far it is apart or how alike."""

_BLOCK = 4096  # images a side of a block of pairs: 64 MB of float32


def leaks(
    task: Task,
    *,
    against: Sequence[Prints | ImageSource] = (),
    near: int = 2,
    backbone: Backbone | None = None,
    least_cosine: float = 0.99,
    extract: Extract = extract,
) -> pd.DataFrame:
    """Test images of a task that are doubles of its training images, or of those of `against`.

    against        lists of fingerprints, or sources, of images that a backbone was pretrained on, of different names
    near           bits by which the perceptual hashes of doubles differ at most
    backbone       compares features, too, but with fingerprints alone; None leaves that out
    least_cosine   of the features of doubles; what is close depends on the backbone
    extract        reads the features; a cache that has seen the task spares the forward passes

    Columns: test (id), of ("train", or the name of the list or source), id (of the image there: an id of the task's
    images or of the source, or the line of the list, from 0), by (one of EVIDENCE), distance (0; bits; 1 - cosine). A
    pair has a row for each evidence.

    Raises:
        MetanetError: a limit is out of range, two of `against` have one name, a source does not give whole images, or
            as `extract`.
    """
    check_limits(near, least_cosine)
    check_names(against)
    images, test = task.images, prints(task.images, task.test)
    others: list[tuple[str, Prints, ImageSource | None, Ids]] = [
        ("train", prints(images, task.train), images, task.train)
    ]
    for other in against:
        known = other if isinstance(other, Prints) else prints(other)
        others.append((other.name, known, known.images, np.arange(len(known))))
    pieces = []
    for name, known, source, ids in others:
        pieces += [_rows(task, name, ids, by, pairs) for by, pairs in _alike(test, known, near)]
        if backbone is not None and source is not None:
            view = shown_at(backbone, task)
            mine, theirs = extract(backbone, images, task.test, view), extract(backbone, source, ids, view)
            pieces.append(_rows(task, name, ids, "features", close(mine, theirs, least_cosine)))
    return pd.concat(pieces, ignore_index=True)


def check_limits(near: int, least_cosine: float) -> None:
    """Raises MetanetError where no distance can be within a limit."""
    if not (0 <= near <= 64 and -1 <= least_cosine <= 1):
        raise MetanetError(
            f"hashes differ by 0 to 64 bits and cosines are -1 to 1, got near={near} and least_cosine={least_cosine}"
        )


def check_names(against: Sequence[Prints | ImageSource]) -> None:
    """Raises MetanetError where two lists of images could not be told apart."""
    names = ["train", *(other.name for other in against)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MetanetError(
            f"lists of images must have different names, and none 'train', got {twice[0]!r} twice: rename one"
        )


def compared(against: Sequence[Prints | ImageSource], *, features: bool) -> list[tuple[str, str]]:
    """What `leaks` looks at, found or not: (of, by) as in its columns.

    features   whether a backbone is given
    """
    found = []
    for name, source in [
        ("train", True),
        *((o.name, not isinstance(o, Prints) or o.images is not None) for o in against),
    ]:
        found += [(name, by) for by in EVIDENCE if by != "features" or (features and source)]
    return found


def leave_out(found: pd.DataFrame, by: Sequence[str]) -> Ids:
    """The test images that `leaks` found by any of these kinds of evidence: different ids, sorted.

    Raises:
        MetanetError: no such evidence.
    """
    for kind in by:
        if kind not in EVIDENCE:
            raise unknown("evidence", kind, EVIDENCE)
    return np.unique(found.loc[found["by"].isin(by), "test"].to_numpy(np.int64))


def without(task: Task, ids: Ids) -> Task:
    """The task without these test images; a score on it, beside that on the task, tells what the doubles do.

    Raises:
        MetanetError: no test image is left.
    """
    return replace(task, test=np.setdiff1d(task.test, ids))


def close(a: Features, b: Features, least: float) -> Pairs:
    """The rows of a and b whose cosine is at least `least`: positions in a, in b, and 1 - cosine."""
    rows, columns, cosines = _pairs(a, b, least, _unit)
    return rows, columns, 1 - cosines


def _alike(test: Prints, other: Prints, near: int) -> Iterator[tuple[str, Pairs]]:
    """The pairs of each kind of evidence that fingerprints give."""
    order = np.argsort(other.pixels, kind="stable")
    first, last = (np.searchsorted(other.pixels[order], test.pixels, side=side) for side in ("left", "right"))
    rows = np.repeat(np.arange(len(test)), last - first)
    inside = np.arange(len(rows)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    yield "pixels", (rows, order[first[rows] + inside], np.zeros(len(rows)))
    # Of two vectors of 64 signs, the product is 64 less twice the number of those that differ.
    rows, columns, products = _pairs(test.dhash, other.dhash, 64 - 2 * near, _signs)
    yield "dhash", (rows, columns, (64 - products) / 2)


def _pairs(
    a: npt.NDArray[Any], b: npt.NDArray[Any], least: float, vectors: Callable[[npt.NDArray[Any]], Features]
) -> Pairs:
    """Positions in a and b of the vectors whose product is at least `least`, sorted, and the products."""
    found: list[Pairs] = []
    for i in range(0, len(a), _BLOCK):
        left = vectors(a[i : i + _BLOCK])
        for j in range(0, len(b), _BLOCK):
            products = left @ vectors(b[j : j + _BLOCK]).T
            rows, columns = np.nonzero(products >= least)
            found.append((rows + i, columns + j, products[rows, columns].astype(np.float64)))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    rows, columns, values = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((columns, rows))
    return rows[order], columns[order], values[order]


def _signs(hashes: npt.NDArray[np.uint64]) -> Features:
    """(n,) -> (n, 64) of -1 and 1."""
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    return bits.astype(np.float32) * 2 - 1


def _unit(rows: Features) -> Features:
    """The rows at length 1; zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _rows(task: Task, of: str, ids: Ids, by: str, pairs: Pairs) -> pd.DataFrame:
    rows, columns, distances = pairs
    return pd.DataFrame({"test": task.test[rows], "of": of, "id": ids[columns], "by": by, "distance": distances})
