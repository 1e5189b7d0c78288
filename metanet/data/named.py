"""Images by name: those that packages hold, and a folder of one's own."""

from collections.abc import Callable
from pathlib import Path

from metanet.data.fashion import fashion_images
from metanet.data.images import ImageSource
from metanet.data.own import read_own
from metanet.data.packaged import digits, mnist_5k, solar_cells
from metanet.errors import MetanetError, unknown

FOLDER = "folder:"
IMAGES: dict[str, Callable[[], ImageSource]] = {
    "mnist-5k": mnist_5k,
    "digits": digits,
    "solar-cells": solar_cells,
    "fashion-mnist": fashion_images,
}


def load_images(name: str) -> ImageSource:
    """The images of a data set by its name in IMAGES, or those of a folder, as "folder:PATH" (see `read_own`).

    Raises:
        MetanetError: the name is unknown, the package or files that hold the images are not there, or as `read_own`.
    """
    if name.startswith(FOLDER):
        if not (path := name.removeprefix(FOLDER).strip()):
            raise MetanetError(f"{FOLDER!r} must be followed by the path of a folder, as 'folder:photos', got no path")
        return read_own(path)
    if name not in IMAGES:
        if Path(name).is_dir():
            raise MetanetError(
                f"unknown data set {name!r}, which is a folder: write {FOLDER + name!r} to take its images"
            )
        raise unknown("data set", name, [*IMAGES, f"{FOLDER}PATH"])
    return IMAGES[name]()
