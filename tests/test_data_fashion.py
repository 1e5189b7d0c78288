"""Fashion-MNIST's files, written after the format's description: both layouts, and what is missing or damaged."""

import gzip
import re
import struct

import numpy as np
import pytest

from metanet.data import fashion_mnist, load_images
from metanet.data.fashion import read_idx
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
PIXELS = {part: RNG.integers(0, 256, (n, 28, 28), np.uint8) for part, n in (("train", 30), ("t10k", 20))}
LABELS = {"train": [*range(10)] * 3, "t10k": [*range(9, -1, -1)] * 2}


def idx(axes, data):
    return struct.pack(f">HBB{len(axes)}I", 0, 8, len(axes), *axes) + data


def write(folder, compressed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for part, pixels in PIXELS.items():
        labels = bytes(LABELS[part])
        contents = {"images-idx3": idx(pixels.shape, pixels.tobytes()), "labels-idx1": idx([len(labels)], labels)}
        for kind, data in contents.items():
            name = folder / f"{part}-{kind}-ubyte"
            (name.with_name(name.name + ".gz") if compressed else name).write_bytes(
                gzip.compress(data) if compressed else data
            )
    return folder


def same(splits):
    assert splits.train.tolist() == list(range(30)) and splits.test.tolist() == list(range(30, 50))
    assert splits.images.labels.tolist() == LABELS["train"] + LABELS["t10k"]
    np.testing.assert_array_equal(splits.images.pixels, np.concatenate(list(PIXELS.values())))
    assert splits.images.classes[9] == "ankle boot" and len(splits.images.classes) == 10
    return True


def test_debians_and_torchvisions_layouts_are_read(tmp_path):
    assert same(fashion_mnist(write(tmp_path / "debian")))
    write(tmp_path / "vision" / "FashionMNIST" / "raw", compressed=False)
    assert same(fashion_mnist(tmp_path / "vision")) and same(fashion_mnist(tmp_path / "vision" / "FashionMNIST"))


def test_torchvision_reads_the_same_files_alike(tmp_path):
    from torchvision.datasets import FashionMNIST

    write(tmp_path / "FashionMNIST" / "raw", compressed=False)
    images = fashion_mnist(tmp_path).images
    for train, rows in ((True, slice(0, 30)), (False, slice(30, 50))):
        theirs = FashionMNIST(tmp_path, train=train)
        np.testing.assert_array_equal(theirs.data.numpy(), images.pixels[rows])
        assert theirs.targets.tolist() == images.labels[rows].tolist()


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("METANET_FASHION_MNIST", str(write(tmp_path)))
    images = load_images("fashion-mnist")
    assert len(images) == 50 and images.name == "fashion-mnist"
    x = images.batch(np.array([0, 31]), 28)
    white = (1 - 0.2860) / 0.3530
    assert x.shape == (2, 3, 28, 28) and x.max() <= white + 1e-6
    assert x[0, 0, 0, 0] == pytest.approx((PIXELS["train"][0, 0, 0] / 255 - 0.2860) / 0.3530, abs=1e-5)


def test_a_missing_file_says_how_to_get_it(tmp_path):
    (write(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MetanetError) as caught:
        fashion_mnist(tmp_path)
    assert "needs the file t10k-labels-idx1-ubyte.gz in" in str(caught.value)
    assert "apt-get download dataset-fashion-mnist && dpkg -x" in str(caught.value)
    assert "set METANET_FASHION_MNIST=DIR/usr/share/datasets/fashion-mnist" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it begins with nothing, not with 00 00 08"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "it begins with 00 00 0d 01"),  # floats
        (b"\0\0\x08\x03\0\0\0\x01", "it begins with 00 00 08 03"),  # ends within the lengths
        (idx([2, 2], b"\1\2\3"), "it has 3 values for the shape (2, 2)"),
    ],
)
def test_damaged_files_are_refused(tmp_path, data, message):
    (tmp_path / "some").write_bytes(data)
    with pytest.raises(MetanetError, match=re.escape(message) + ".*get it again"):
        read_idx(tmp_path / "some")


@pytest.mark.parametrize(("keep", "end"), [(5, b""), (-5, b""), (-12, b"\xff" * 12)])  # no header; a torn end; garbage
def test_torn_archives_are_refused(tmp_path, keep, end):
    (tmp_path / "some.gz").write_bytes(gzip.compress(idx([3], b"abc"))[:keep] + end)
    with pytest.raises(MetanetError, match=r"some\.gz' is no array of bytes in idx format"):
        read_idx(tmp_path / "some.gz")


def test_parts_of_unequal_length_are_refused(tmp_path):
    with gzip.open(write(tmp_path) / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(idx([3], b"abc"))
    with pytest.raises(MetanetError, match=r"the part 'train' .* got pixels of shape \(30, 28, 28\) and labels of sh"):
        fashion_mnist(tmp_path)
