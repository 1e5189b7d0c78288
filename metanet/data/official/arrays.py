"""Sets that are arrays: CIFAR, SVHN and FER2013. They fit into memory (184, 184, 305 and 83 MB).

torchvision refuses files whose MD5 is not the official one at every opening, and so all copies that are smaller or
stored anew; here checksums are the doctor's business, and pickles are read without running what they name.
"""

import csv
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from metanet.data.images import ArrayImages
from metanet.data.splits import Splits
from metanet.data.view import IMAGENET_MEAN, IMAGENET_STD
from metanet.errors import MetanetError

Pixels = npt.NDArray[np.uint8]
Part = tuple[Pixels, npt.NDArray[np.int64]]

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_PICKLED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


def cifar10(root: Path) -> Splits:
    """CIFAR-10: cifar-10-batches-py/data_batch_1 to data_batch_5, test_batch and batches.meta."""
    batches = [f"data_batch_{number}" for number in range(1, 6)]
    return _cifar("cifar10", root / "cifar-10-batches-py", batches, "test_batch", "batches.meta", "label")


def cifar100(root: Path) -> Splits:
    """CIFAR-100 by its fine labels: cifar-100-python/train, test and meta."""
    return _cifar("cifar100", root / "cifar-100-python", ["train"], "test", "meta", "fine_label")


def svhn(root: Path) -> Splits:
    """SVHN, cropped digits: svhn/train_32x32.mat and test_32x32.mat, where the digit 0 has the label 10."""
    from scipy.io import loadmat  # type: ignore[import-untyped]

    parts = []
    for part in ("train", "test"):
        found = loadmat(root / "svhn" / f"{part}_32x32.mat")
        pixels = np.ascontiguousarray(found["X"].transpose(3, 0, 1, 2))  # stored as (h, w, 3, n)
        parts.append((pixels, found["y"].ravel().astype(np.int64) % 10))
    return _joined("svhn", parts[0], parts[1], tuple("0123456789"))


def fer2013(root: Path) -> Splits:
    """FER2013: fer2013/fer2013.csv or icml_face_data.csv; Usage tells Training from PrivateTest.

    Raises:
        MetanetError: neither file is there.
    """
    files = [root / "fer2013" / name for name in ("fer2013.csv", "icml_face_data.csv")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise MetanetError(
            f"FER2013 needs fer2013.csv or icml_face_data.csv in {str(root / 'fer2013')!r}, got neither: "
            "the competition's train.csv and test.csv have no test labels"
        )
    rows: dict[str, list[tuple[Pixels, int]]] = {"Training": [], "PublicTest": [], "PrivateTest": []}
    with open(file, newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines)
        columns = [name.strip() for name in next(reader)]  # one of the files writes " Usage" and " pixels"
        emotion, pixels, usage = (columns.index(name) for name in ("emotion", "pixels", "Usage"))
        for row in reader:
            image = np.fromstring(row[pixels], dtype=np.uint8, sep=" ")  # 4 s for all, splitting the text 18 s
            rows[row[usage].strip()].append((image, int(row[emotion])))
    parts = [
        (np.stack([image for image, _ in rows[name]]).reshape(-1, 48, 48), np.array([label for _, label in rows[name]]))
        for name in ("Training", "PrivateTest")
    ]
    return _joined("fer2013", parts[0], parts[1], EMOTIONS)


def _cifar(name: str, folder: Path, train: list[str], test: str, meta: str, key: str) -> Splits:
    batches = [_unpickled(folder / file) for file in [*train, test]]
    parts = [
        (
            np.concatenate([batch["data"] for batch in some]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1),
            np.concatenate([batch[f"{key}s"] for batch in some]).astype(np.int64),
        )
        for some in (batches[:-1], batches[-1:])
    ]
    return _joined(name, parts[0], parts[1], tuple(_unpickled(folder / meta)[f"{key}_names"]))


def _joined(name: str, train: Part, test: Part, classes: tuple[str, ...]) -> Splits:
    pixels, labels = np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])
    ids, n = np.arange(len(labels)), len(train[1])
    images = ArrayImages(name, np.ascontiguousarray(pixels), labels, classes, IMAGENET_MEAN, IMAGENET_STD)
    return Splits(images, ids[:n], ids[n:])


class _ArraysOnly(pickle.Unpickler):
    """Reads containers, numbers, text and arrays; whatever else a pickle names is refused, not run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PICKLED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no file of CIFAR does")


def _unpickled(file: Path) -> dict[str, Any]:
    with open(file, "rb") as opened:
        return dict(_read(opened))


def _read(file: IO[bytes]) -> Any:
    return _ArraysOnly(file, encoding="latin1").load()
