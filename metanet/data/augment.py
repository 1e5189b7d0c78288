"""Random changes of training images."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_SHIFTS = 3  # first word of this random stream (see subsets.py)


def shift(images: Tensor, pixels: int, *, seed: int, step: int) -> Tensor:
    """Each image moved by up to `pixels` in both directions, its edges repeated: a function of (seed, step).

    images   (b, c, h, w) on any device, and so is the result
    """
    b, _, h, w = images.shape
    offsets = np.random.default_rng([_SHIFTS, seed, step]).integers(0, 2 * pixels + 1, size=(2, b, 1))
    rows, columns = torch.from_numpy(offsets).to(images.device)
    rows = rows + torch.arange(h, device=images.device)  # (b, h)
    columns = columns + torch.arange(w, device=images.device)  # (b, w)
    padded = F.pad(images, (pixels,) * 4, mode="replicate").permute(0, 2, 3, 1)  # (b, h + 2 p, w + 2 p, c)
    image = torch.arange(b, device=images.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
