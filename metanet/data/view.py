"""How images are shown to a network: their size, how they are cut and resized, and what is taken off them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metanet.errors import MetanetError, unknown

INTERPOLATIONS = ("bilinear", "bicubic")
Channels = tuple[float, float, float]

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class View:
    """A centred square of each image, resized and normalised.

    resolution      side in pixels of what the network sees
    mean, std       of each channel, for pixels scaled to 0..1; None: the constants of the images' source
    interpolation   one of INTERPOLATIONS, with antialiasing
    crop            side of the square as a share of the image's shorter side
    """

    resolution: int
    mean: Channels | None = None
    std: Channels | None = None
    interpolation: str = "bilinear"
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise MetanetError(f"images must be shown at 1 pixel or more, got resolution={self.resolution}")
        if self.interpolation not in INTERPOLATIONS:
            raise unknown("interpolation", self.interpolation, INTERPOLATIONS)
        if not 0 < self.crop <= 1:
            raise MetanetError(f"the share of an image that is shown must be in (0, 1], got crop={self.crop}")
        if (self.mean is None) != (self.std is None):
            raise MetanetError(f"give both mean and std of a view or neither, got {self.mean} and {self.std}")

    def square(self, pixels: Tensor) -> Tensor:
        """uint8 (b, c, h, w) -> float32 (b, c, resolution, resolution) in 0..1."""
        height, width = pixels.shape[-2:]
        side = max(1, round(min(height, width) * self.crop))
        top, left = (height - side) // 2, (width - side) // 2
        x = pixels[..., top : top + side, left : left + side].float().div_(255)
        if side != self.resolution:
            size = (self.resolution, self.resolution)
            x = F.interpolate(x, size=size, mode=self.interpolation, antialias=True).clamp_(0, 1)
        return x

    def normalised(self, x: Tensor, mean: Channels, std: Channels) -> Tensor:
        """Values in 0..1, (b, 1 or 3, h, w) -> (b, 3, h, w) by the view's constants, or by those given."""
        if self.mean is not None and self.std is not None:
            mean, std = self.mean, self.std
        centre, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        return x.sub(centre).div_(scale).contiguous()


def as_view(view: View | int) -> View:
    """A resolution alone is a view of the whole square by the source's own constants."""
    return View(view) if isinstance(view, int) else view
