"""Labelled images that are decoded when pixels are first asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor

from metanet.data.images import ArrayImages, Ids
from metanet.data.view import View


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images that are decoded all at once for the first batch and held in memory from then on.

    Labels and fingerprint need no pixels, so that what is known of the images already costs no decoding.

    fingerprint   SHA-256 of all that decides the other fields and the pixels, such as the bytes of the files
    decode        the pixels, as `ArrayImages` takes them
    """

    name: str
    labels: Ids
    classes: tuple[str, ...]
    mean: float
    std: float
    fingerprint: str
    decode: Callable[[], npt.NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, ids: Ids, view: View | int) -> Tensor:
        """As `ArrayImages.batch`."""
        return self._held.batch(ids, view)

    def decoded(self, i: int) -> npt.NDArray[np.uint8]:
        """As `ArrayImages.decoded`."""
        return self._held.decoded(i)

    @cached_property
    def _held(self) -> ArrayImages:
        return ArrayImages(self.name, self.decode(), self.labels, self.classes, self.mean, self.std)
