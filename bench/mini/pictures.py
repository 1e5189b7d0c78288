"""What the images of the mini copies show."""

import colorsys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

TRAIN, TEST = 6, 4  # images a class


@dataclass
class Painter:
    """Paints images of `classes` classes, one after the other, the same for the same seed."""

    classes: int
    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def colour(self, label: int) -> npt.NDArray[np.float64]:
        """The mean colour of a class, (3,) in 0..255: hues around the circle."""
        return np.array(colorsys.hsv_to_rgb(label / self.classes, 0.75, 0.75)) * 255.0

    def picture(self, label: int, height: int, width: int) -> Pixels:
        """A new image (height, width, 3) of a class: stripes of its colour, direction and width, at a random phase."""
        y, x = np.mgrid[:height, :width] / min(height, width)
        turn = np.pi * label / self.classes
        wave = np.sin(2 * np.pi * (3 + label % 3) * (x * np.cos(turn) + y * np.sin(turn)) + self.rng.uniform(0, 6))
        clean = self.colour(label) * (1 + 0.2 * wave[:, :, None])
        noisy: Pixels = (clean + self.rng.normal(0, 8, clean.shape)).clip(0, 255).astype(np.uint8)
        return noisy

    def grey(self, label: int, side: int) -> Pixels:
        """A new grey image (side, side) of a class: the higher its number, the brighter, and the lower a band."""
        level = np.full((side, side), 255 * (label + 1) / (self.classes + 1))
        level[side * label // self.classes : side * (label + 1) // self.classes] += 30
        noisy: Pixels = self.rng.normal(level, 8).clip(0, 255).astype(np.uint8)
        return noisy

    def save(self, path: Path, label: int | None) -> None:
        """Writes an image of a class, or a black one that nobody may use, in the form that the path's suffix says."""
        from PIL import Image

        height, width = self.rng.integers(32, 64, 2)
        pixels = np.zeros((height, width, 3), np.uint8) if label is None else self.picture(label, height, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)

    def labels(self, each: int) -> list[int]:
        """`each` times every class, in random order."""
        return [int(label) for label in self.rng.permutation(np.repeat(np.arange(self.classes), each))]
