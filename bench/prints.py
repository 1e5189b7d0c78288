"""Fingerprints of images, by which doubles are found without the images."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from metanet.data import FileImages, Ids, ImageSource
from metanet.data.files import images_below
from metanet.errors import MetanetError
from metanet.runs import atomic_write, track

_HEADER = "sha256,dhash"


@runtime_checkable
class Decodes(Protocol):
    """A source that gives whole images, as those of `metanet.data` do."""

    def decoded(self, i: int) -> npt.NDArray[np.uint8]:
        """Image i as decoded, (h, w, 3)."""


@dataclass(frozen=True, eq=False)
class Prints:
    """Fingerprints of images: what a pretraining can publish of its images in place of them.

    pixels   (n,) SHA-256 in hexadecimal digits of "HEIGHT WIDTH", a line's end, and the decoded RGB pixels row by row
    dhash    (n,) perceptual hashes of 64 bits, see `dhash`
    images   the source whose images these are, one by one, where it is at hand: features can be compared then
    """

    name: str
    pixels: npt.NDArray[np.str_]
    dhash: npt.NDArray[np.uint64]
    images: ImageSource | None = None

    def __len__(self) -> int:
        return len(self.pixels)


def prints(images: ImageSource, ids: Ids | None = None) -> Prints:
    """The fingerprints of some images of a source, of all by default, in the order of the ids.

    Raises:
        MetanetError: the source does not give whole images.
    """
    if not isinstance(images, Decodes):
        raise MetanetError(
            f"doubles are told by whole images, but the source {images.name!r} has none: give it a method decoded(i) "
            "that returns image i as uint8 (h, w, 3)"
        )
    pixels, hashes = [], []
    for i in track(range(len(images)) if ids is None else ids.tolist(), f"hashing {images.name}"):
        image = np.ascontiguousarray(images.decoded(i))
        size = "{} {}\n".format(*image.shape[:2])  # one black square is as long as another black stripe
        pixels.append(hashlib.sha256(size.encode() + image.tobytes()).hexdigest())
        hashes.append(dhash(image))
    source = images if ids is None else None
    return Prints(images.name, np.array(pixels, dtype="U64"), np.array(hashes, dtype=np.uint64), source)


def dhash(image: npt.NDArray[np.uint8]) -> int:
    """64 bits: whether each pixel of the image, reduced to 8 rows of 9 grey ones, is darker than its right neighbour.

    Rows from the top, pixels from the left, the first is the highest bit. Source: N. Krawetz, Kind of Like That (2013).

    image   (h, w, 3)
    """
    from PIL import Image

    small = np.asarray(Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.LANCZOS))
    return int.from_bytes(np.packbits(small[:, :-1] < small[:, 1:]).tobytes(), "big")


def write_prints(path: str | Path, found: Prints) -> None:
    """Writes fingerprints as text: a header, then a line an image. Raises MetanetError where it cannot be written."""
    lines = (f"{pixels},{dhash:016x}\n" for pixels, dhash in zip(found.pixels, found.dhash.tolist(), strict=True))
    atomic_write(path, f"{_HEADER}\n" + "".join(lines))


def read_prints(path: str | Path) -> Prints:
    """Fingerprints from a file of `write_prints`; they are named after the file.

    Raises:
        MetanetError: the file is missing or has a wrong line.
    """
    path = Path(path)
    if not path.is_file():
        raise MetanetError(f"there is no list of fingerprints {str(path)!r}: write one with write_prints")
    lines = path.read_text().splitlines()
    if lines[:1] != [_HEADER]:
        raise MetanetError(f"a list of fingerprints must begin with the line {_HEADER!r}, {str(path)!r} does not")
    for number, line in enumerate(lines[1:], start=2):
        if not re.fullmatch("[0-9a-f]{64},[0-9a-f]{16}", line):
            raise MetanetError(
                "a fingerprint must be 64 and 16 hexadecimal digits with a comma between them, "
                f"got {line[:100]!r} in line {number} of {str(path)!r}"
            )
    pixels, hashes = [line[:64] for line in lines[1:]], [int(line[65:], 16) for line in lines[1:]]
    return Prints(path.stem, np.array(pixels, dtype="U64"), np.array(hashes, dtype=np.uint64))


def read_known(path: str | Path) -> Prints:
    """Fingerprints of the images that a path names: a file of `write_prints`, a folder of images, or a text file with
    the path of an image in each line, as seen from that file; labels behind the paths, as GV-B's lists have, are fine.

    Raises:
        MetanetError: there is no such path, it names no image, or an image cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return prints(_unlabelled(path.resolve().name, path, sorted(images_below(path, "."))))
    if not path.is_file():
        raise MetanetError(
            f"there is no {str(path)!r}: name a file of fingerprints, a folder of images, or a list of their paths"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise MetanetError(
            f"{str(path)!r} must be text, one fingerprint or path of an image a line: it is not"
        ) from None
    if lines[:1] == [_HEADER]:
        return read_prints(path)
    files = [re.sub(r"\s+\d+$", "", line.strip()) for line in lines if line.strip()]
    base = path.parent
    return prints(_unlabelled(path.stem, base, [os.path.relpath(base / file, base) for file in files]))


def _unlabelled(name: str, root: Path, files: list[str]) -> FileImages:
    """Images of which no class is known: all have one."""
    if not files:
        raise MetanetError(f"{name!r} must name at least one image to be compared with, it names none")
    return FileImages(name, root, files, np.zeros(len(files), np.int64), ("image",))
