"""Small synthetic copies of the data sets of GV-B, in their official layouts.

They are there to try readers, probes and reports without the real data: a class is a colour with stripes, so that a
probe learns it. Images that an official split leaves unused are black.
"""

from collections.abc import Callable, Collection
from importlib.util import find_spec
from pathlib import Path

from metanet.bench.mini import arrays, dense, folders, lists
from metanet.bench.mini.pictures import Painter
from metanet.bench.tasks import GVB
from metanet.errors import MetanetError, unknown
from metanet.runs import open_run

WRITERS: dict[str, Callable[[Path, Painter], tuple[int, int]]] = {
    "cifar10": arrays.cifar10,
    "cifar100": arrays.cifar100,
    "food101": lists.food101,
    "oxford_pets": lists.oxford_pets,
    "flowers102": lists.flowers102,
    "sun397": lists.sun397,
    "stanford_cars": lists.stanford_cars,
    "dtd": lists.dtd,
    "caltech101": folders.caltech101,
    "fgvc_aircraft": lists.fgvc_aircraft,
    "svhn": arrays.svhn,
    "eurosat": folders.eurosat,
    "resisc45": folders.resisc45,
    "retinopathy": lists.retinopathy,
    "fer2013": arrays.fer2013,
    "ucf101": lists.ucf101,
    "gtsrb": folders.gtsrb,
    "pcam": arrays.pcam,
    "imagenet": folders.imagenet,
    "kinetics700": lists.kinetics700,
    "voc_det": dense.voc_det,
    "wider_face": dense.wider_face,
    "citypersons": dense.citypersons,
    "voc_seg": dense.voc_seg,
    "kitti": dense.kitti,
    "nyuv2": dense.nyuv2,
}


def make_mini(
    root: str | Path, tasks: Collection[str] | None = None, *, seed: int = 0, classes: int = 4
) -> dict[str, tuple[int, int]]:
    """Writes copies of the tasks below a data root, all 26 in some seconds; the numbers of their training and test
    images by task.

    tasks     their names; all where None, but for PatchCamelyon where h5py is not installed
    classes   of each copy; sets that have ten or fewer keep theirs

    Raises:
        MetanetError: an unknown task, fewer than two classes or more than ten, or the root already has files.
    """
    if wrong := sorted(set(tasks or ()) - set(WRITERS)):
        raise unknown("task of GV-B", wrong[0], WRITERS)
    if not 2 <= classes <= 10:
        raise MetanetError(f"a mini copy has 2 to 10 classes, got {classes}")
    folder = open_run(root)
    if any(folder.iterdir()):
        raise MetanetError(f"mini copies are written into an empty folder, {str(folder)!r} has files: name a new one")
    chosen = tasks if tasks is not None else [name for name in WRITERS if name != "pcam" or find_spec("h5py")]
    official = {name: GVB[name].classes or classes for name in chosen}
    counts = {name: n if n <= 10 else classes for name, n in official.items()}
    return {name: WRITERS[name](folder, Painter(counts[name], seed)) for name in chosen}


__all__ = ["WRITERS", "Painter", "make_mini"]
