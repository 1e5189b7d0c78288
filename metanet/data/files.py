"""Labelled images in files, decoded when they are asked for."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metanet.data.decode import rgb
from metanet.data.images import Ids
from metanet.data.view import IMAGENET_MEAN, IMAGENET_STD, View, as_view
from metanet.errors import MetanetError

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SAMPLED = 64  # files whose contents name a source: another compression, crop or size changes all of them


@dataclass(frozen=True, eq=False)
class FileImages:
    """Images in files below a folder, of any sizes; read as RGB, normalised by the constants of ImageNet.

    A `View` with crop 1.0 shows what GV-B showed (shorter side resized to the resolution, centred square cut out), but
    for the rounding of the two steps, which come in the other order here.

    files     paths below root, with forward slashes
    labels    (n,), each the index of one of `classes`; every class has an image
    threads   that decode one batch; they change nothing but the time
    upright   whether images are turned as their EXIF orientation says, which torchvision and GV-B leave aside
    """

    name: str
    root: Path
    files: Sequence[str]
    labels: Ids
    classes: tuple[str, ...]
    threads: int = 4
    upright: bool = False

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels, dtype=np.int64)
        if labels.shape != (len(self.files),):
            raise MetanetError(
                f"{self.name!r} must have a label for each image, got {len(self.files)} and {labels.shape}"
            )
        if len(odd := np.setxor1d(labels, np.arange(len(self.classes)))):
            raise MetanetError(
                f"the labels of {self.name!r} must be 0 to {len(self.classes) - 1} with an image of each class, "
                + (f"got no image of class {odd[0]}" if 0 <= odd[0] < len(self.classes) else f"got the label {odd[0]}")
                + ": leave classes without images out"
            )
        if self.threads < 1:
            raise MetanetError(f"images must be decoded by 1 thread or more, got threads={self.threads}")
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "root", Path(self.root))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of classes, labels, paths below root, sizes of all files, and the contents of SAMPLED of them, evenly
        spread, which stand for those of all: reading a million images takes longer than scoring them."""
        about = repr((self.classes, "upright")) if self.upright else repr(self.classes)
        digest = hashlib.sha256(about.encode())
        digest.update(self.labels.astype("<i8").tobytes())
        digest.update("\0".join(self.files).encode())
        root = str(self.root)  # joining a million paths as `Path` takes ten times as long as asking for their sizes
        digest.update(np.array([self._size(f"{root}/{file}") for file in self.files], dtype="<i8").tobytes())
        for i in np.unique(np.linspace(0, len(self) - 1, SAMPLED).round().astype(int)):
            digest.update(Path(root, self.files[i]).read_bytes())
        return digest.hexdigest()

    def batch(self, ids: Ids, view: View | int) -> Tensor:
        """Float32 (b, 3, resolution, resolution): the centred square of each image, resized and normalised.

        Raises:
            MetanetError: a file is missing or is no image.
        """
        view = as_view(view)
        return view.normalised(self.squares(ids, view), IMAGENET_MEAN, IMAGENET_STD)

    def squares(self, ids: Ids, view: View) -> Tensor:
        """As `batch`, in 0..1 in place of normalised."""
        with ThreadPoolExecutor(self.threads) as pool:
            return torch.cat(list(pool.map(lambda i: view.square(self.pixels(i)), np.asarray(ids).tolist())))

    def pixels(self, i: int) -> Tensor:
        """One whole image as uint8 (1, 3, h, w)."""
        return torch.from_numpy(self.decoded(i)).permute(2, 0, 1).unsqueeze(0)

    def decoded(self, i: int) -> npt.NDArray[np.uint8]:
        """One whole image, (h, w, 3)."""
        try:
            return rgb(self.root / self.files[i], upright=self.upright)
        except OSError as error:
            raise unreadable(self.name, self.root / self.files[i], error) from None

    def _size(self, path: str) -> int:
        try:
            return os.stat(path).st_size
        except OSError as error:
            raise unreadable(self.name, Path(path), error) from None


def unreadable(name: str, path: Path, error: OSError) -> MetanetError:
    """The error for an image file that cannot be read."""
    reason = "it is missing" if not path.exists() else str(error)
    return MetanetError(f"an image of {name!r} cannot be read, {str(path)!r} ({reason}): get the file again")


def list_lines(file: str | os.PathLike[str]) -> tuple[list[str], list[int]]:
    """The paths and labels of a file of lines `relative-path label`; paths may have blanks.

    Raises:
        MetanetError: the file is missing, or a line is different.
    """
    path = Path(file)
    if not path.is_file():
        raise MetanetError(f"the list {str(path)!r} is missing: write one line `relative-path label` for each image")
    paths, labels = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        if not (name and label.isdecimal()):
            raise MetanetError(f"{path.name}, line {number}: must be `relative-path label`, got {line.strip()!r}")
        paths.append(name.strip().lstrip("/"))
        labels.append(int(label))
    return paths, labels


def read_list(
    file: str | os.PathLike[str], root: str | os.PathLike[str], classes: Sequence[str] | None = None
) -> FileImages:
    """The images of a file of lines `relative-path label`, GV-B's form, with paths below root.

    classes   their names; the numbers themselves where None

    Raises:
        MetanetError: the file is missing, a line is different, or a class has no image.
    """
    paths, labels = list_lines(file)
    names = tuple(classes) if classes is not None else tuple(map(str, range(max(labels, default=-1) + 1)))
    return FileImages(Path(file).stem, Path(root), paths, np.array(labels, dtype=np.int64), names)


def read_folder(root: str | os.PathLike[str], name: str | None = None) -> FileImages:
    """The images of a folder that has a folder for each class; the classes are those folders in alphabetical order.

    Raises:
        MetanetError: there is no such folder, or a class has no image.
    """
    folder = Path(root)
    classes, files, labels = class_folders(folder)
    return FileImages(name or folder.resolve().name, folder, files, labels, classes)


def class_folders(folder: Path) -> tuple[tuple[str, ...], list[str], Ids]:
    """Classes, paths below the folder (sorted) and labels of a folder that has a folder for each class.

    Raises:
        MetanetError: there is no such folder, or it has no folders.
    """
    classes = tuple(sorted(folders_in(folder))) if folder.is_dir() else ()
    if not classes:
        raise MetanetError(f"{str(folder)!r} must be a folder with a folder of images for each class: it has none")
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(images_below(folder, name))
        files += found
        labels += [label] * len(found)
    return classes, files, np.array(labels, dtype=np.int64)


def folders_in(folder: Path) -> list[str]:
    """Their names, in no order; without hidden ones, which programs leave behind."""
    return [entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."]


def images_below(folder: Path, part: str) -> list[str]:
    """The images in the folder `part` of a folder and in those inside it, as paths below the folder, in no order.

    Files are told by their SUFFIXES; hidden files and folders are left aside.
    """
    found = []
    for place, inside, names in os.walk(folder / part, followlinks=True):
        inside[:] = [name for name in inside if name[0] != "."]
        below = Path(place).relative_to(folder).as_posix()
        found += [f"{below}/{name}" for name in names if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return found
