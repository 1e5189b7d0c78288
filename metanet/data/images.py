"""Labelled images: what a source of them is, and one that holds them in memory."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metanet.data.view import Channels, View, as_view
from metanet.errors import MetanetError

Ids: TypeAlias = npt.NDArray[np.int64]
"""Positions of images in their source (or the label of each of them), shape (n,)."""


class ImageSource(Protocol):
    """Labelled images that are read in batches by their position."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> Ids: ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides what `batch` and `labels` give."""
        ...

    def __len__(self) -> int: ...

    def batch(self, ids: Ids, view: View | int) -> Tensor:
        """Images as float32 (b, 3, resolution, resolution), of about zero mean and unit variance; see `View`."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images in memory.

    pixels   uint8, (n, h, w) grey or (n, h, w, 3) colour
    labels   (n,), each the index of one of `classes`; every class has an image
    mean     of all channels or of each, for pixels scaled to 0..1; with `std` constants of the data set, never of a
             split of it
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    labels: Ids
    classes: tuple[str, ...]
    mean: float | Channels = 0.5
    std: float | Channels = 0.25

    def __post_init__(self) -> None:
        pixels, labels = np.asarray(self.pixels), np.asarray(self.labels)
        if pixels.dtype != np.uint8 or pixels.shape[3:] not in ((), (3,)) or pixels.ndim < 3:
            raise MetanetError(
                f"the pixels of {self.name!r} must be uint8 of shape (n, h, w) or (n, h, w, 3), "
                f"got {pixels.dtype} of shape {pixels.shape}"
            )
        if labels.shape != (len(pixels),):
            raise MetanetError(f"{self.name!r} must have a label for each image, got {len(pixels)} and {labels.shape}")
        if not np.array_equal(np.unique(labels), np.arange(len(self.classes))):
            raise MetanetError(
                f"the labels of {self.name!r} must be 0 to {len(self.classes) - 1} with an image of each class, "
                f"got the values {sorted(set(labels.tolist()))[:20]}: leave classes without images out"
            )
        object.__setattr__(self, "labels", labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape, normalisation, classes, labels and pixels."""
        about = repr((self.pixels.shape, self.mean, self.std, self.classes))
        digest = hashlib.sha256(about.encode())
        digest.update(self.labels.astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()

    def batch(self, ids: Ids, view: View | int) -> Tensor:
        """Float32 (b, 3, resolution, resolution): the centred square, resized where its side differs, normalised."""
        view = as_view(view)
        rows = torch.from_numpy(self.pixels[ids])
        x = view.square(rows.unsqueeze(1) if rows.ndim == 3 else rows.permute(0, 3, 1, 2))
        return view.normalised(x, _channels(self.mean), _channels(self.std))

    def decoded(self, i: int) -> npt.NDArray[np.uint8]:
        """The whole image i as it is kept, (h, w, 3)."""
        pixels = self.pixels[i]
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _channels(value: float | Channels) -> Channels:
    return value if isinstance(value, tuple) else (value, value, value)
