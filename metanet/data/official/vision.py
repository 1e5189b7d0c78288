"""Sets that torchvision's classes read; from them we take which files there are and their labels."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from metanet.data.splits import Splits, two_parts

Part = tuple[list[str], list[int]]


def food101(root: Path) -> Splits:
    """Food-101: food-101/meta/{train,test}.json and food-101/images/CLASS/NUMBER.jpg."""
    from torchvision.datasets import Food101  # type: ignore[import-untyped]

    train, test = (Food101(root, split=part) for part in ("train", "test"))
    return _splits("food101", root, [train], test, _lists, train.classes)


def oxford_pets(root: Path) -> Splits:
    """Oxford-IIIT Pets: oxford-iiit-pet/annotations/{trainval,test}.txt and oxford-iiit-pet/images/NAME.jpg."""
    from torchvision.datasets import OxfordIIITPet

    train, test = (OxfordIIITPet(root, split=part) for part in ("trainval", "test"))
    return _splits("oxford_pets", root, [train], test, _lists, train.classes)


def stanford_cars(root: Path) -> Splits:
    """Stanford Cars: stanford_cars/devkit, stanford_cars/cars_{train,test} and the test annotations with labels."""
    from torchvision.datasets import StanfordCars

    train, test = (StanfordCars(root, split=part) for part in ("train", "test"))
    return _splits("stanford_cars", root, [train], test, _samples, train.classes)


def dtd(root: Path) -> Splits:
    """DTD, split 1: dtd/dtd/labels/{train,val,test}1.txt and dtd/dtd/images/CLASS/NAME.jpg; train is train and val."""
    from torchvision.datasets import DTD

    train, val, test = (DTD(root, split=part, partition=1) for part in ("train", "val", "test"))
    return _splits("dtd", root, [train, val], test, _lists, train.classes)


def fgvc_aircraft(root: Path) -> Splits:
    """FGVC-Aircraft, variants: fgvc-aircraft-2013b/data with its lists of trainval and test."""
    from torchvision.datasets import FGVCAircraft

    train, test = (FGVCAircraft(root, split=part, annotation_level="variant") for part in ("trainval", "test"))
    return _splits("fgvc_aircraft", root, [train], test, _lists, train.classes)


def gtsrb(root: Path) -> Splits:
    """GTSRB: gtsrb/GTSRB/Training/CLASS/TRACK_FRAME.ppm, the final test and its answers.

    A group is a track, frames of one physical sign that differ little: random shares of single frames would put almost
    the same image on both sides. Test images have no tracks; each is a group of its own.
    """
    from torchvision.datasets import GTSRB

    train, test = (GTSRB(root, split=part) for part in ("train", "test"))
    # The class is the folder's number; torchvision counts folders, and so is wrong from a missing one on.
    files = [str(file) for file, _ in train._samples]
    labels = [int(Path(file).parent.name) for file in files]
    tested, answers = _samples(test)
    tracks = [f"{Path(file).parent.name}/{Path(file).stem.partition('_')[0]}" for file in files]
    base = root / "gtsrb"
    return two_parts(
        "gtsrb",
        base,
        (_below(base, files), labels),
        (_below(base, tested), answers),
        [str(number) for number in range(max(labels) + 1)],
        groups=[*tracks, *tested],
        note="online competition's training set, groups are tracks",
    )


def _splits(
    name: str, root: Path, train: Iterable[Any], test: Any, listed: Callable[[Any], Part], classes: Iterable[str]
) -> Splits:
    parts = [listed(dataset) for dataset in train]
    files = _below(root, [file for part in parts for file in part[0]])
    labels = [label for part in parts for label in part[1]]
    tested, answers = listed(test)
    names = [str(each) for each in classes]
    return two_parts(name, root, (files, labels), (_below(root, tested), answers), names)


def _lists(dataset: Any) -> Part:
    files = dataset._images if hasattr(dataset, "_images") else dataset._image_files
    return list(map(str, files)), list(map(int, dataset._labels))


def _samples(dataset: Any) -> Part:
    return [str(file) for file, _ in dataset._samples], [int(label) for _, label in dataset._samples]


def _below(root: Path, files: Iterable[str]) -> list[str]:
    return [Path(file).relative_to(root).as_posix() for file in files]
