"""Which images of a source are there to learn from and which to be tested on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metanet.data.files import FileImages, class_folders, list_lines
from metanet.data.images import Ids, ImageSource
from metanet.errors import MetanetError


@dataclass(frozen=True, eq=False)
class Splits:
    """Images with their official parts.

    train, test   disjoint ids of `images`
    groups        (len(images),) number of what an image belongs to (a video, a track …), where that is known
    note          which images these are, for tables
    """

    images: ImageSource
    train: Ids
    test: Ids
    groups: Ids | None = None
    note: str = ""


def two_parts(
    name: str,
    root: Path,
    train: tuple[Sequence[str], Sequence[int] | Ids],
    test: tuple[Sequence[str], Sequence[int] | Ids],
    classes: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    note: str = "",
) -> Splits:
    """Files and labels of training images and of test images as one source, training images first.

    groups   the name of what each image belongs to, training images first; equal names are one group
    """
    labels = np.concatenate([np.asarray(part[1], dtype=np.int64) for part in (train, test)])
    images = FileImages(name, root, [*train[0], *test[0]], labels, tuple(classes))
    ids, n = np.arange(len(images)), len(train[0])
    numbers = np.unique(groups, return_inverse=True)[1].astype(np.int64) if groups is not None else None
    return Splits(images, ids[:n], ids[n:], numbers, note)


def read_lists(
    train: str | Path, test: str | Path, root: str | Path, *, name: str = "", classes: Sequence[str] | None = None
) -> Splits:
    """A task of one's own from two files of lines `relative-path label`, as GV-B's are, with paths below root.

    Raises:
        MetanetError: a file is missing, a line is different, or a class has no image.
    """
    parts = [list_lines(file) for file in (train, test)]
    names = classes or [str(i) for i in range(max((max(labels, default=-1) for _, labels in parts)) + 1)]
    note = f"lists {Path(train).name} and {Path(test).name}"
    return two_parts(name or Path(root).resolve().name, Path(root), parts[0], parts[1], names, note=note)


def read_folders(root: str | Path, *, name: str = "", test: str = "") -> Splits:
    """A task of one's own: a folder with the folders train and test (or val), each with a folder for each class.

    test   the name of the second; where "", it is test if there is one and val otherwise

    Raises:
        MetanetError: one of them is missing, their classes differ, or a class has no image.
    """
    base = Path(root)
    second = test or ("test" if (base / "test").is_dir() else "val")
    parts, classes = [], []
    for part in ("train", second):
        own, files, labels = class_folders(base / part)
        classes.append(own)
        parts.append(([f"{part}/{file}" for file in files], labels))
    if odd := sorted(set(classes[0]) ^ set(classes[1])):
        raise MetanetError(
            f"train and {second} of {str(base)!r} must have the same classes, got {odd[0]!r} in one of them alone"
        )
    note = f"folders train and {second}"
    return two_parts(name or base.resolve().name, base, parts[0], parts[1], classes[0], note=note)
