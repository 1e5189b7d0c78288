"""Fashion-MNIST from its four files: 70,000 grey photos of clothes, 28x28, ten classes of 7,000 (MIT, Zalando).

It is optional. Debian and its relatives have it as the package dataset-fashion-mnist; torchvision's `FashionMNIST`
keeps the same files, and both layouts are read.
"""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metanet.data.images import ArrayImages
from metanet.data.splits import Splits
from metanet.errors import MetanetError

FOLDER = "/usr/share/datasets/fashion-mnist"  # where Debian's package puts it
VARIABLE = "METANET_FASHION_MNIST"
CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_PARTS = ("train", "t10k")
_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def fashion_mnist(folder: str | os.PathLike[str] | None = None) -> Splits:
    """Fashion-MNIST with its official parts: the first 60,000 images are the training images, the last 10,000 the test.

    folder   of the four files, as they are or with `.gz`, or torchvision's root above `FashionMNIST/raw`; None: what
             the environment says in METANET_FASHION_MNIST, or else where Debian's package puts it

    Raises:
        MetanetError: a file is missing (the message says how to get it without root) or is damaged.
    """
    root = Path(os.environ.get(VARIABLE, FOLDER) if folder is None else folder).expanduser()
    arrays = {part: [read_idx(_found(root, f"{part}-{kind}")) for kind in _KINDS] for part in _PARTS}
    for part, (pixels, labels) in arrays.items():
        if pixels.ndim != 3 or labels.shape != (len(pixels),):
            raise MetanetError(
                f"the part {part!r} of Fashion-MNIST in {str(root)!r} must have a label for each image, "
                f"got pixels of shape {pixels.shape} and labels of shape {labels.shape}: get the files again"
            )
    pixels, labels = (np.concatenate([arrays[part][i] for part in _PARTS]) for i in (0, 1))
    # The usual constants of its own 60,000 training images.
    images = ArrayImages("fashion-mnist", pixels, labels.astype(np.int64), CLASSES, mean=0.2860, std=0.3530)
    ids, count = np.arange(len(images)), len(arrays["train"][1])
    return Splits(images, ids[:count], ids[count:])


def fashion_images() -> ArrayImages:
    """All images of Fashion-MNIST, the training images first."""
    images = fashion_mnist().images
    assert isinstance(images, ArrayImages)
    return images


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """The array of bytes in a file of LeCun's idx format, which may be compressed by gzip.

    The format: two zero bytes, the type (8 for bytes), the number of axes, their lengths as 32-bit big-endian numbers,
    then the values, the last axis fastest.

    Raises:
        MetanetError: the file is damaged or has values of another type.
    """
    file = Path(path)
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise _damaged(file, str(error)) from None
    axes = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    lengths = tuple(int(n) for n in np.frombuffer(data[4 : 4 + 4 * axes], ">u4")) if len(data) >= 4 + 4 * axes else ()
    if not lengths:
        raise _damaged(file, f"it begins with {data[:4].hex(' ') or 'nothing'}, not with 00 00 08 and a number of axes")
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if values.size != np.prod(lengths):
        raise _damaged(file, f"it has {values.size:,} values for the shape {lengths}")
    return values.reshape(lengths)


def _found(root: Path, name: str) -> Path:
    folders = (root, root / "raw", root / "FashionMNIST" / "raw")
    for path in (folder / f"{name}{suffix}" for folder in folders for suffix in ("", ".gz")):
        if path.is_file():
            return path
    raise MetanetError(
        f"Fashion-MNIST needs the file {name}.gz in {str(root)!r} and it is not there: get it without root by "
        "`apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb DIR` (or by torchvision), then "
        f"set {VARIABLE}=DIR{FOLDER}"
    )


def _damaged(file: Path, reason: str) -> MetanetError:
    return MetanetError(f"the file {str(file)!r} is no array of bytes in idx format ({reason}): get it again")
