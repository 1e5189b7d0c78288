"""PatchCamelyon: arrays in HDF5 files, 7 GB, that stay on disk."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metanet.data.files import SAMPLED
from metanet.data.images import Ids
from metanet.data.splits import Splits
from metanet.data.view import IMAGENET_MEAN, IMAGENET_STD, View, as_view
from metanet.errors import MetanetError


@dataclass(frozen=True, eq=False)
class Hdf5Images:
    """Images in HDF5 files, one after the other, normalised by the constants of ImageNet.

    files    each with a data set `x`, uint8 (n, h, w, 3)
    labels   (all n,), each the index of one of `classes`
    """

    name: str
    files: Sequence[Path]
    labels: Ids
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def starts(self) -> Ids:
        """The id of the first image of each file, and behind them the number of all."""
        counts = [0]
        for file in self.files:
            with _opened(file) as data:
                counts.append(data["x"].shape[0])
        return np.cumsum(counts)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of classes, labels, sizes of the files in bytes, and the pixels of SAMPLED images, evenly spread,
        which stand for all: there are 7 GB of them."""
        files = [file.stat().st_size for file in self.files]
        digest = hashlib.sha256(repr((self.classes, files)).encode())
        digest.update(self.labels.astype("<i8").tobytes())
        for i in np.unique(np.linspace(0, len(self) - 1, SAMPLED).round().astype(int)):
            digest.update(np.ascontiguousarray(self.decoded(int(i))).data)
        return digest.hexdigest()

    def batch(self, ids: Ids, view: View | int) -> Tensor:
        """Float32 (b, 3, resolution, resolution): the centred square of each image, resized and normalised."""
        view, ids = as_view(view), np.asarray(ids, dtype=np.int64)
        pixels: list[Any] = [None] * len(ids)
        owner = np.searchsorted(self.starts, ids, side="right") - 1
        for number, file in enumerate(self.files):
            places = np.flatnonzero(owner == number)
            rows, back = np.unique(ids[places] - self.starts[number], return_inverse=True)  # h5py wants them ascending
            if len(rows):
                with _opened(file) as data:
                    found = data["x"][rows]
                for place, row in zip(places, back, strict=True):
                    pixels[place] = found[row]
        x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        return view.normalised(view.square(x), IMAGENET_MEAN, IMAGENET_STD)

    def decoded(self, i: int) -> npt.NDArray[np.uint8]:
        """One whole image, (h, w, 3)."""
        number = int(np.searchsorted(self.starts, i, side="right")) - 1
        with _opened(self.files[number]) as data:
            found: npt.NDArray[np.uint8] = data["x"][i - self.starts[number]]
        return found


def pcam(root: Path) -> Splits:
    """PatchCamelyon: pcam/camelyonpatch_level_2_split_{train,test}_{x,y}.h5.

    Raises:
        MetanetError: h5py is not installed.
    """
    files = {
        (part, key): root / "pcam" / f"camelyonpatch_level_2_split_{part}_{key}.h5"
        for part in ("train", "test")
        for key in ("x", "y")
    }
    labels = []
    for part in ("train", "test"):
        with _opened(files[part, "y"]) as data:
            labels.append(data["y"][:].ravel().astype(np.int64))
    images = Hdf5Images(
        "pcam", (files["train", "x"], files["test", "x"]), np.concatenate(labels), ("no tumour", "tumour")
    )
    counts = np.diff(images.starts).tolist()
    if counts != [len(part) for part in labels]:
        raise MetanetError(
            f"PatchCamelyon must have a label for each patch, got {counts} patches and "
            f"{[len(part) for part in labels]} labels: get the files again"
        )
    ids, n = np.arange(len(images)), len(labels[0])
    return Splits(images, ids[:n], ids[n:])


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise MetanetError(
            "PatchCamelyon is stored in HDF5 files, and h5py is not installed: run `pip install 'metanet-nas[gvb]'`"
        ) from None
    with h5py.File(file, "r") as data:
        yield data
