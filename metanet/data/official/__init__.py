"""Readers of the 20 classification sets of GV-B in the layouts that their authors gave them.

All take one folder, the data root, in which each set has its own folder, as torchvision lays them out; SVHN and
ImageNet, which torchvision leaves without one, stand in `svhn` and `imagenet`. Nothing is downloaded, nothing written.
`metanet.bench.tasks` says what each layout must have.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np

from metanet.data.files import FileImages
from metanet.data.official import arrays, folders, lists, vision
from metanet.data.official.hdf5 import pcam
from metanet.data.splits import Splits, read_lists
from metanet.errors import MetanetError, unknown

Reader = Callable[[Path], Splits]

READERS: dict[str, Reader] = {
    "cifar10": arrays.cifar10,
    "cifar100": arrays.cifar100,
    "food101": vision.food101,
    "oxford_pets": vision.oxford_pets,
    "flowers102": lists.flowers102,
    "sun397": lists.sun397,
    "stanford_cars": vision.stanford_cars,
    "dtd": vision.dtd,
    "caltech101": folders.caltech101,
    "fgvc_aircraft": vision.fgvc_aircraft,
    "svhn": arrays.svhn,
    "eurosat": folders.eurosat,
    "resisc45": folders.resisc45,
    "retinopathy": lists.retinopathy,
    "fer2013": arrays.fer2013,
    "ucf101": lists.ucf101,
    "gtsrb": vision.gtsrb,
    "pcam": pcam,
    "imagenet": folders.imagenet,
    "kinetics700": lists.kinetics700,
}


def read_official(name: str, root: str | Path) -> Splits:
    """A set by its name in READERS, from the data root.

    Where the root has a folder `lists/NAME` with train.list and test.list (lines `relative-path label`, paths below the
    root), these say which images are used, in place of the official split; which of them belong together is known by
    their paths, where the official files are there, too.

    Raises:
        MetanetError: the name is unknown, or the files are not laid out as the reader wants them.
    """
    if name not in READERS:
        raise unknown("data set", name, READERS)
    base = Path(root).expanduser()
    train, test = (base / "lists" / name / f"{part}.list" for part in ("train", "test"))
    if train.is_file() and test.is_file():
        return _grouped(read_lists(train, test, base, name=name), name, base)
    return _official(name, base)


def _grouped(own: Splits, name: str, base: Path) -> Splits:
    """Lists with the groups that the official split has for their images."""
    try:
        official = _official(name, base)
    except MetanetError:
        return own
    images, known = own.images, official.images
    if official.groups is None or not (isinstance(images, FileImages) and isinstance(known, FileImages)):
        return own
    group = {str(known.root / file): number for file, number in zip(known.files, official.groups, strict=True)}
    alone = len(group)  # an image that the official split lacks is a group of its own
    numbers = [group.get(str(images.root / file), alone + i) for i, file in enumerate(images.files)]
    return replace(own, groups=np.array(numbers, dtype=np.int64))


def _official(name: str, base: Path) -> Splits:
    try:
        return READERS[name](base)
    except MetanetError:
        raise
    # what torchvision, scipy, h5py, csv and pickle raise for files that are missing or different
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, UnpicklingError) as error:
        raise MetanetError(
            f"{name} in {str(base)!r} is not laid out as its reader wants it ({type(error).__name__}: {error}): "
            "`metanet bench doctor` says what is missing"
        ) from error


__all__ = ["READERS", "Reader", "read_official"]
