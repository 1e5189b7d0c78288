"""Random shifts of images."""

import numpy as np
import torch

from metanet.data import shift

IMAGES = torch.rand(200, 2, 5, 6, generator=torch.Generator().manual_seed(0))


def test_each_image_is_moved_by_its_own_whole_number_of_pixels():
    moved = shift(IMAGES, 2, seed=0, step=3)
    assert moved.shape == IMAGES.shape and moved.is_contiguous()
    offsets = []
    for image, result in zip(IMAGES.numpy(), moved.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="edge")
        found = [(y, x) for y in range(5) for x in range(5) if np.array_equal(padded[:, y : y + 5, x : x + 6], result)]
        assert len(found) == 1
        offsets += found
    assert len(set(offsets)) == 25  # 200 draws of 25: one is missed with probability 0.7 %, for this seed none is


def test_a_shift_is_a_function_of_seed_and_step():
    first = shift(IMAGES, 2, seed=1, step=0)
    torch.manual_seed(5)
    assert torch.equal(first, shift(IMAGES, 2, seed=1, step=0))
    assert not torch.equal(first, shift(IMAGES, 2, seed=1, step=1))
    assert not torch.equal(first, shift(IMAGES, 2, seed=2, step=0))


def test_no_pixels_is_no_change():
    assert torch.equal(shift(IMAGES, 0, seed=0, step=0), IMAGES)
