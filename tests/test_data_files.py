"""Images in files, lists and folders."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from metanet.data import FileImages, View, percent_subset, read_folder, read_folders, read_list, read_lists
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)


def picture(path, height=20, width=30, mode="RGB"):
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Six images of two classes, with blanks in paths and folders inside a class."""
    for name in ("a b/1.png", "a b/2.PNG", "a b/deep/3.png", "c/1.png", "c/2.png", "c/3.jpg"):
        picture(tmp_path / name)
    (tmp_path / "c/notes.txt").write_text("no image")
    (tmp_path / "readme.md").write_text("no class")
    return tmp_path


def test_a_folder_a_class(folder):
    images = read_folder(folder)
    assert images.classes == ("a b", "c") and images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert list(images.files) == ["a b/1.png", "a b/2.PNG", "a b/deep/3.png", "c/1.png", "c/2.png", "c/3.jpg"]
    assert images.name == folder.name and read_folder(folder, "mine").name == "mine"


def test_what_programs_leave_behind_is_neither_class_nor_image(folder):
    before = read_folder(folder)
    for name in (".git/1.png", "c/.thumbnails/1.png", "c/._1.png", ".hidden.png"):
        picture(folder / name)
    after = read_folder(folder)
    assert after.classes == before.classes and list(after.files) == list(before.files)


def test_a_batch_is_the_centred_square_of_each_image_normalised_as_imagenet_is(tmp_path):
    tall, wide = picture(tmp_path / "tall.png", 32, 16), picture(tmp_path / "wide.png", 16, 40)
    images = FileImages("x", tmp_path, ["tall.png", "wide.png"], np.array([0, 1]), ("t", "w"))
    batch = images.batch(np.array([1, 0]), 16)
    assert batch.shape == (2, 3, 16, 16) and batch.dtype == torch.float32
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for x, square in zip(batch, (wide[:, 12:28], tall[8:24]), strict=True):
        np.testing.assert_allclose(x.permute(1, 2, 0), (square / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (513, 384), (224, 224)])
def test_a_view_is_gv_bs_transform_but_for_rounding(tmp_path, height, width):
    """Against torchvision: shorter side to 224, centre crop, on a smooth photo-like image."""
    from torchvision import transforms

    y, x = np.mgrid[:height, :width]
    smooth = np.stack([128 + 100 * np.sin(x / 23 + k) * np.cos(y / 31 - k) for k in range(3)], axis=2)
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "a.png")
    images = FileImages("x", tmp_path, ["a.png"], np.array([0]), ("one",))
    ours = images.batch(np.array([0]), View(224, mean=(0.0,) * 3, std=(1.0,) * 3))[0]
    theirs = transforms.Compose([transforms.Resize(224), transforms.CenterCrop(224), transforms.ToTensor()])
    with Image.open(tmp_path / "a.png") as image:
        difference = (ours - theirs(image)).abs().max()
    # Rounding moves the cut by less than a pixel of 224: no more than neighbours differ, and 2 of 255 for 8-bit steps.
    neighbours = max((ours[:, 1:] - ours[:, :-1]).abs().max(), (ours[:, :, 1:] - ours[:, :, :-1]).abs().max())
    assert difference < neighbours + 2 / 255
    assert height != width or difference < 1e-6  # nothing to resize or to cut


def test_the_number_of_threads_changes_nothing(folder):
    one, four = read_folder(folder), read_folder(folder)
    object.__setattr__(one, "threads", 1)
    torch.testing.assert_close(one.batch(np.arange(6), 9), four.batch(np.arange(6), 9), rtol=0, atol=0)
    assert one.fingerprint == four.fingerprint


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1"])
def test_files_are_rgb_whatever_they_hold(tmp_path, mode):
    picture(tmp_path / "a.tif", mode=mode)
    images = FileImages("x", tmp_path, ["a.tif"], np.array([0]), ("one",))
    with Image.open(tmp_path / "a.tif") as image:
        expected = np.array(image.convert("RGB"))
    np.testing.assert_array_equal(images.pixels(0)[0].permute(1, 2, 0), expected)


def test_the_fingerprint_names_paths_labels_classes_and_files_but_neither_place_nor_name(folder, tmp_path_factory):
    import shutil

    base = read_folder(folder, "x")
    copy = tmp_path_factory.mktemp("copy") / "c"
    shutil.copytree(folder, copy)
    assert read_folder(copy, "y").fingerprint == base.fingerprint
    others = [
        FileImages("x", folder, base.files, 1 - base.labels, base.classes),
        FileImages("x", folder, base.files, base.labels, ("a b", "d")),
        FileImages("x", folder, [*base.files[1:], base.files[0]], base.labels, base.classes),
    ]
    picture(copy / "c/1.png", 25, 30)
    others.append(read_folder(copy, "x"))
    _ = others[-1].fingerprint  # of the files as they are now
    same_size = bytearray((copy / "c/1.png").read_bytes())
    same_size[-20] ^= 1
    (copy / "c/1.png").write_bytes(same_size)
    others.append(read_folder(copy, "x"))
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_a_list_is_read_line_by_line(folder):
    (folder / "all.list").write_text("a b/1.png 0\n/c/1.png 1\n\nc/2.png   2\n")
    images = read_list(folder / "all.list", folder)
    assert list(images.files) == ["a b/1.png", "c/1.png", "c/2.png"] and images.labels.tolist() == [0, 1, 2]
    assert images.classes == ("0", "1", "2") and images.name == "all"
    assert read_list(folder / "all.list", folder, classes=["x", "y", "z"]).classes == ("x", "y", "z")
    assert images.batch(np.arange(3), 4).shape == (3, 3, 4, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png 0\nb.png\n", "train.list, line 2: must be `relative-path label`, got 'b.png'"),
        ("a.png 0\nb.png -1\n", "line 2: must be `relative-path label`, got 'b.png -1'"),
        ("a.png one\n", "line 1: must be `relative-path label`, got 'a.png one'"),
        ("a.png 0\nb.png 2\n", "must be 0 to 2 with an image of each class, got no image of class 1"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, text, message):
    (tmp_path / "train.list").write_text(text)
    with pytest.raises(MetanetError, match=re.escape(message)):
        read_list(tmp_path / "train.list", tmp_path)


def test_a_missing_list_says_what_it_should_be(tmp_path):
    with pytest.raises(MetanetError, match=r"the list .*gone.list' is missing: write one line `relative-path label`"):
        read_list(tmp_path / "gone.list", tmp_path)


def test_two_lists_are_a_task(folder):
    (folder / "train.list").write_text("a b/1.png 0\na b/2.PNG 0\nc/1.png 1\n")
    (folder / "test.list").write_text("c/2.png 1\na b/deep/3.png 0\n")
    splits = read_lists(folder / "train.list", folder / "test.list", folder, name="mine")
    assert splits.train.tolist() == [0, 1, 2] and splits.test.tolist() == [3, 4]
    assert splits.images.labels.tolist() == [0, 0, 1, 1, 0] and splits.images.name == "mine"
    assert splits.groups is None and splits.note == "lists train.list and test.list"
    assert percent_subset(splits.images.labels, splits.train, 1, seed=0).size == 2


@pytest.mark.parametrize("second", ["test", "val"])
def test_folders_train_and_test_are_a_task(tmp_path, second):
    for part, n in (("train", 3), (second, 2)):
        for name in ("cat", "dog"):
            for i in range(n):
                picture(tmp_path / part / name / f"{i}.png")
    splits = read_folders(tmp_path)
    assert splits.images.classes == ("cat", "dog")
    assert splits.images.labels[splits.train].tolist() == [0, 0, 0, 1, 1, 1]
    assert splits.images.labels[splits.test].tolist() == [0, 0, 1, 1]
    assert all(splits.images.files[i].startswith(f"{second}/") for i in splits.test)
    picture(tmp_path / second / "wolf" / "0.png")
    with pytest.raises(MetanetError, match="must have the same classes, got 'wolf' in one of them alone"):
        read_folders(tmp_path)


def test_a_folder_without_classes_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "gone"):
        with pytest.raises(MetanetError, match="must be a folder with a folder of images for each class: it has none"):
            read_folder(place)
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "full/1.png")
    with pytest.raises(MetanetError, match="with an image of each class, got no image of class 0"):
        read_folder(tmp_path)


def test_a_missing_or_broken_file_is_named_when_it_is_asked_for(folder):
    images = read_folder(folder)
    (folder / "c/1.png").unlink()
    (folder / "c/2.png").write_bytes(b"not an image")
    cut = (folder / "c/3.jpg").read_bytes()
    (folder / "c/3.jpg").write_bytes(cut[: len(cut) // 2])
    assert images.batch(np.array([0, 1]), 8).shape == (2, 3, 8, 8)
    with pytest.raises(MetanetError, match=r"cannot be read, '.*c/1.png' \(it is missing\): get the file again"):
        images.batch(np.array([3]), 8)
    with pytest.raises(MetanetError, match=r"cannot be read, '.*c/2.png' \(cannot identify"):
        images.batch(np.array([4]), 8)
    with pytest.raises(MetanetError, match=r"cannot be read, '.*c/3.jpg' .*(?i:truncated)"):
        images.batch(np.array([5]), 8)
    with pytest.raises(MetanetError, match="it is missing"):
        _ = images.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1, 0])}, "must have a label for each image, got 2 and (3,)"),
        ({"labels": np.array([0, 0])}, "must be 0 to 1 with an image of each class, got no image of class 1"),
        ({"labels": np.array([0, 7])}, "with an image of each class, got no image of class 1"),
        ({"labels": np.array([-1, 1])}, "with an image of each class, got the label -1"),
        ({"threads": 0}, "decoded by 1 thread or more, got threads=0"),
    ],
)
def test_malformed_sources_are_refused(tmp_path, change, message):
    fields = {"labels": np.array([0, 1]), "threads": 1} | change
    with pytest.raises(MetanetError, match=re.escape(message)):
        FileImages("x", tmp_path, ["a.png", "b.png"], classes=("a", "b"), **fields)
