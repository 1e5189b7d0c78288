"""Images of one's own: a folder with a folder of images for each class."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metanet.data.copies import contents, without_copies
from metanet.data.files import SUFFIXES, FileImages, class_folders, folders_in, unreadable
from metanet.data.images import Ids, ImageSource
from metanet.data.subsets import ROLES, job_split, least_images
from metanet.data.view import IMAGENET_MEAN, IMAGENET_STD, View, as_view
from metanet.errors import MetanetError
from metanet.runs import track

PARTS = {
    "test": ("test", "testing"),
    "selection": ("val", "valid", "validation"),
    "weights": ("train", "training"),
}
"""What the folders of parts are called, in any case of letters; a test that others know keeps its images, whatever is
in the other parts."""

HELD = 1_000_000_000  # bytes: 106,000 images at 28 pixels, 1,660 at 224
_CHUNK = 64  # images that are decoded between two moves of the progress bar

Roles: TypeAlias = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class OwnImages:
    """The images of a folder of one's own, turned upright and shown as `FileImages` shows them.

    What all images are at a resolution is made for the first batch and held in memory from then on. Where it would not
    fit, each batch is read from the files, to the same numbers.

    given      ids of the parts that the folder itself tells apart, by role (see ROLES); the others share the rest
    left_out   which copies were left out, as a sentence without its full stop; "" for none
    contents   SHA-256 of the contents that were read (see `contents` in copies.py)
    held       bytes that may be held
    """

    files: FileImages
    given: Mapping[str, Ids] = field(default_factory=dict)
    left_out: str = ""
    contents: str = ""
    held: int = HELD
    _squares: dict[View, Tensor] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.files.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of their folders."""
        return self.files.classes

    @property
    def labels(self) -> Ids:
        """(n,)"""
        return self.files.labels

    @property
    def fingerprint(self) -> str:
        """SHA-256 of that of the files and of the contents that were read."""
        return hashlib.sha256(f"{self.files.fingerprint} {self.contents}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, ids: Ids, view: View | int) -> Tensor:
        """As `FileImages.batch`."""
        view = as_view(view)
        shown = replace(view, mean=None, std=None)
        if shown not in self._squares and self._fits(view.resolution):
            self._squares[shown] = self._decoded_at(shown)
        known = self._squares.get(shown)
        x = self.files.squares(ids, shown) if known is None else known[torch.from_numpy(np.asarray(ids))]
        return view.normalised(x, IMAGENET_MEAN, IMAGENET_STD)

    def decoded(self, i: int) -> npt.NDArray[np.uint8]:
        """As `FileImages.decoded`."""
        return self.files.decoded(i)

    def _fits(self, side: int) -> bool:
        taken = sum(squares.nbytes for squares in self._squares.values())
        return taken + len(self) * 3 * side**2 * 4 <= self.held

    def _decoded_at(self, view: View) -> Tensor:
        """(n, 3, resolution, resolution) in 0..1."""
        squares = torch.empty(len(self), 3, view.resolution, view.resolution)
        starts = range(0, len(self), _CHUNK)
        for start in track(starts, f"decoding {self.name} at {view.resolution} pixels"):
            ids = np.arange(start, min(start + _CHUNK, len(self)))
            squares[start : start + len(ids)] = self.files.squares(ids, view)
        return squares


def read_own(path: str | os.PathLike[str]) -> OwnImages:
    """The images of a folder: PATH/CLASS/IMAGE, in folders inside a class, too; or the same in folders of parts.

    With train and test (PARTS says how else they may be called) the test images are those of test; with val, too, those
    for selection are those of val; with train and val alone, val is the test. What lies beside them is not looked at.
    Files that are equal to the byte are there once (see `without_copies`): an image of train that is in test, too, goes
    from train.

    Raises:
        MetanetError: there is no such folder, it has no folders, fewer than two classes, a class without images, other
            classes in one part than in another, or too few images of a class to be split.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        wrong = "is a file" if folder.is_file() else "is not there"
        raise MetanetError(f"{str(folder)!r} {wrong}: name a folder that has a folder of images for each class")
    name, parts = folder.resolve().name or str(folder), _parts(folder)
    classes, files, labels, roles = _listed(folder, parts)
    try:
        known = contents(folder, files)
    except OSError as error:
        raise unreadable(name, Path(str(error.filename)), error) from None
    ranks = np.array([[*PARTS].index(role) for role in roles.tolist()], dtype=np.int64)
    stay, contradictory = without_copies(known, labels, ranks, kept=0 if parts else None)
    ids = np.flatnonzero(stay)
    given = {role: np.flatnonzero(roles[ids] == role) for role in parts if role != "weights"}
    _check_counts(name, classes, labels[ids], given)
    # An absolute path: processes that are sent the images may work elsewhere.
    images = FileImages(name, folder.absolute(), [files[i] for i in ids], labels[ids], classes, upright=True)
    left_out = _left_out(name, files, known, stay, contradictory)
    return OwnImages(images, given, left_out, _digest([known[i] for i in ids]))


def job_parts(images: ImageSource, *, seed: int) -> dict[str, Ids]:
    """Disjoint images for each of ROLES, as a job with this seed has them: those that a folder says itself, and a split
    of all others.

    Raises:
        MetanetError: a part would lack a class.
    """
    given = images.given if isinstance(images, OwnImages) else {}
    return job_split(images.labels, seed=seed, given=given)


def _parts(folder: Path) -> dict[str, str]:
    """The folders of parts by role; none where the folders are classes."""
    found: dict[str, str] = {}
    for entry in sorted(folders_in(folder)):
        for role in (role for role, names in PARTS.items() if entry.lower() in names):
            if role in found:
                raise MetanetError(
                    f"each part of {str(folder)!r} must be one folder, got {found[role]!r} and {entry!r}: join them "
                    "or rename one"
                )
            found[role] = entry
    if "test" not in found and "selection" in found:
        found["test"] = found.pop("selection")
    return found if {"weights", "test"} <= set(found) else {}


def _listed(folder: Path, parts: Mapping[str, str]) -> tuple[tuple[str, ...], list[str], Ids, Roles]:
    """The classes, and of each image its path below the folder, its label and the role of its part."""
    files: list[str] = []
    labels: list[Ids] = []
    roles: list[str] = []
    seen: dict[str, tuple[str, ...]] = {}
    for role, part in (parts or {"weights": ""}).items():
        seen[role], found, numbers = class_folders(folder / part)
        _check_classes(folder / part, seen[role], numbers)
        files += [f"{part}/{file}" if part else file for file in found]
        labels.append(numbers)
        roles += [role] * len(found)
    for role, classes in seen.items():
        if odd := sorted(set(classes) ^ set(seen["weights"])):
            raise MetanetError(
                f"{parts['weights']} and {parts[role]} of {str(folder)!r} must have the same classes, got {odd[0]!r} "
                "in one of them alone"
            )
    return seen["weights"], files, np.concatenate(labels), np.array(roles)


def _check_classes(place: Path, classes: tuple[str, ...], labels: Ids) -> None:
    """Raises MetanetError for a class without images and for a single one."""
    for label in np.setdiff1d(np.arange(len(classes)), labels):
        raise MetanetError(
            f"each class must have images ({', '.join(SUFFIXES)}), the folder {str(place / classes[label])!r} has "
            "none: put some in, or delete it"
        )
    if len(classes) < 2:
        inside = place / classes[0]
        deeper = f", or name {str(inside)!r} where the classes are in there" if len(folders_in(inside)) > 1 else ""
        raise MetanetError(
            f"there must be two classes or more, a folder each, {str(place)!r} has {classes[0]!r} alone: "
            f"add one{deeper}"
        )


def _check_counts(name: str, classes: tuple[str, ...], labels: Ids, given: Mapping[str, Ids]) -> None:
    """Raises MetanetError where a part would lack a class."""
    roles = [role for role in ROLES if role not in given]
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate([np.empty(0, np.int64), *given.values()]))
    needs = [(rest, least_images(roles), roles), *((ids, 1, [role]) for role, ids in given.items())]
    for ids, least, purposes in needs:
        counts = np.bincount(labels[ids], minlength=len(classes))
        if counts.min() < least:
            images = "image" if least == 1 else "images"
            raise MetanetError(
                f"each class of {name!r} needs at least {least} different {images} for {', '.join(purposes)}, got "
                f"{counts.min()} of {classes[int(counts.argmin())]!r}: add some, or leave the class out"
            )


def _left_out(
    name: str, files: Sequence[str], known: Sequence[str], stay: npt.NDArray[np.bool_], contradictory: int
) -> str:
    gone = np.flatnonzero(~stay)
    if not len(gone):
        return ""
    first = known[gone[0]]
    twin = next(i for i, other in enumerate(known) if other == first and i != gone[0])
    several = f"; {contradictory:,} because the classes of the equal ones differ" if contradictory else ""
    return (
        f"{len(gone):,} of the {len(files):,} image files of {name!r} {'is' if len(gone) == 1 else 'are'} left out for "
        f"being equal to others to the byte, as {files[gone[0]]!r} to {files[twin]!r}{several}"
    )


def _digest(known: Sequence[str]) -> str:
    """SHA-256 of what `contents` read, files aside that were read because of their copies alone: so it stays the same
    when these are deleted."""
    shared = Counter(one.partition(" ")[0] for one in known)
    few = all(" " in one for one in known)
    compared = [one for one in known if few or shared[one.partition(" ")[0]] > 1]
    return hashlib.sha256("\n".join(compared).encode()).hexdigest()
