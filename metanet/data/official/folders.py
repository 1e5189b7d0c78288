"""Sets with a folder for each class.

Three of them have no official split. Ours takes the images of each class in the order of the SHA-256 of their paths:
the same images everywhere and forever, whatever the library or the seed.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from metanet.data.files import class_folders, images_below
from metanet.data.splits import Splits, read_folders, two_parts
from metanet.errors import MetanetError

Cut = Callable[[int], tuple[int, int]]
"""Of how many images of a class -> how many of the first to train on, how many of the last to test."""


def imagenet(root: Path) -> Splits:
    """ImageNet-1k: imagenet/train/WNID/NAME.JPEG and imagenet/val/WNID/NAME.JPEG, as torchvision unpacks them.

    The official test images, which have no labels, may stand beside them in imagenet/test.
    """
    found = read_folders(root / "imagenet", name="imagenet", test="val")
    return Splits(found.images, found.train, found.test, note="the validation images are the test")


def caltech101(root: Path) -> Splits:
    """Caltech-101 with the background as a class: caltech101/101_ObjectCategories/CLASS/image_NUMBER.jpg.

    30 images a class to train on, the rest to test. torchvision's class leaves the background out.
    """
    note = "30 images a class, ours: order of the SHA-256 of the paths"
    return _split("caltech101", root / "caltech101/101_ObjectCategories", _thirty, note)


def eurosat(root: Path) -> Splits:
    """EuroSAT, RGB: eurosat/2750/CLASS/CLASS_NUMBER.jpg; 60 % to train on, 20 % to test."""
    return _split("eurosat", root / "eurosat/2750", _vtab, "sizes of VTAB, ours: order of the SHA-256 of the paths")


def resisc45(root: Path) -> Splits:
    """RESISC45: NWPU-RESISC45/CLASS/CLASS_NUMBER.jpg; 60 % to train on, 20 % to test."""
    return _split("resisc45", root / "NWPU-RESISC45", _vtab, "sizes of VTAB, ours: order of the SHA-256 of the paths")


def _vtab(n: int) -> tuple[int, int]:
    return (6 * n + 5) // 10, (2 * n + 5) // 10


def _thirty(n: int) -> tuple[int, int]:
    return 30, n - 30  # the smallest class has 31


def _split(name: str, folder: Path, cut: Cut, note: str) -> Splits:
    classes, _, _ = class_folders(folder)
    train: tuple[list[str], list[int]] = ([], [])
    test: tuple[list[str], list[int]] = ([], [])
    for label, each in enumerate(classes):
        files = sorted(images_below(folder, each), key=lambda file: hashlib.sha256(file.encode()).digest())
        first, last = cut(len(files))
        if first < 1 or last < 1:
            raise MetanetError(f"class {each!r} of {name} must have images to train on and to test, got {len(files)}")
        for part, some in ((train, sorted(files[:first])), (test, sorted(files[len(files) - last :]))):
            part[0].extend(some)
            part[1].extend([label] * len(some))
    return two_parts(name, folder, train, test, classes, note=note)
