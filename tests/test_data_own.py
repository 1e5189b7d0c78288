"""A folder of one's own: its classes, parts, copies and mistakes, and the numbers that it gives."""

import re
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metanet.data import FileImages, View, ids_sha256, job_parts, job_split, load_images, read_own
from metanet.data.copies import contents, without_copies
from metanet.data.subsets import ROLES, least_images
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
ROLE_SETS = (tuple(ROLES), ("weights", "selection"), ("weights",))


def picture(path, side=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (side + int(RNG.integers(9)), side, 3), dtype=np.uint8)).save(path)


def filled(root, count, classes=("cat", "dog"), suffix="png"):
    """`count` different images in the folder of each class."""
    for name in classes:
        for i in range(count):
            picture(root / name / f"{i:02d}.{suffix}")
    return root


@pytest.fixture
def pets(tmp_path):
    return filled(tmp_path / "my pets", 10)


def files_of(images, ids):
    return {images.files.files[i] for i in ids}


def test_a_folder_is_named_like_a_data_set(pets, monkeypatch):
    images = load_images(f"folder:{pets}/")
    assert images.name == "my pets" and images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0] * 10 + [1] * 10 and images.left_out == "" and not images.given
    np.testing.assert_array_equal(images.decoded(13), np.asarray(Image.open(pets / "dog/03.png")))
    monkeypatch.setenv("HOME", str(pets.parent))
    monkeypatch.chdir(pets)
    for name in ("folder:~/my pets", "folder:.", "folder:../my pets"):
        again = load_images(name)
        assert again.name == "my pets" and again.fingerprint == images.fingerprint


def test_without_parts_of_its_own_a_folder_is_split_as_packaged_sets_are(pets):
    images = read_own(pets)
    for seed in (0, 3):
        parts, expected = job_parts(images, seed=seed), job_split(images.labels, seed=seed)
        assert {role: ids.tolist() for role, ids in parts.items()} == {r: ids.tolist() for r, ids in expected.items()}
    assert [len(parts[role]) for role in ("weights", "selection", "test")] == [10, 4, 6]


@pytest.mark.parametrize("test", ["test", "Testing", "val", "validation"])
def test_a_test_folder_is_the_test_and_the_rest_is_split(tmp_path, test):
    filled(tmp_path / "train", 14)
    filled(tmp_path / test, 3)
    picture(tmp_path / "unlabelled" / "0.png")
    images = read_own(tmp_path)
    assert images.classes == ("cat", "dog") and len(images) == 34
    found = [job_parts(images, seed=seed) for seed in (0, 1)]
    for parts in found:
        assert files_of(images, parts["test"]) == {f"{test}/{c}/{i:02d}.png" for c in images.classes for i in range(3)}
        for role, count in (("weights", 10), ("selection", 4)):  # 5 and 2 in 7 of each class
            assert np.bincount(images.labels[parts[role]]).tolist() == [count, count]
            assert all(name.startswith("train/") for name in files_of(images, parts[role]))
        assert sorted(np.concatenate([*parts.values()])) == list(range(34))
    assert ids_sha256(found[0]["weights"]) != ids_sha256(found[1]["weights"])


def test_three_folders_are_the_three_parts_whatever_the_seed(tmp_path):
    for part, count in (("Train", 4), ("valid", 2), ("test", 1)):
        filled(tmp_path / part, count)
    images = read_own(tmp_path)
    for seed in (0, 1):
        parts = job_parts(images, seed=seed)
        for role, part in (("weights", "Train"), ("selection", "valid"), ("test", "test")):
            assert files_of(images, parts[role]) == {str(p.relative_to(tmp_path)) for p in tmp_path.glob(f"{part}/*/*")}


@pytest.mark.parametrize(
    "view", [8, View(8, mean=(0.0,) * 3, std=(1.0,) * 3), View(9, interpolation="bicubic", crop=0.5)]
)
def test_held_or_read_anew_the_numbers_are_those_of_the_files(pets, view, monkeypatch):
    held = read_own(pets)
    anew, decodings = replace(held, held=0), []
    real = FileImages.decoded
    monkeypatch.setattr(FileImages, "decoded", lambda self, i: decodings.append(i) or real(self, i))
    for ids in ([3, 17, 0, 3], [5]):
        ids = np.array(ids)
        expected = held.files.batch(ids, view)
        decodings.clear()
        for images in (held, anew):
            torch.testing.assert_close(images.batch(ids, view), expected, rtol=0, atol=0)
    assert decodings == [5]  # by what holds nothing; the other had decoded all for its first batch


def test_what_is_held_is_never_changed_and_never_more_than_the_limit(pets):
    images = replace(read_own(pets), held=20 * 3 * 8 * 8 * 4 + 100)
    first = images.batch(np.arange(20), 8)
    first.zero_()
    assert images.batch(np.arange(20), 8).abs().sum() > 0
    images.batch(np.arange(20), 5)
    images.batch(np.arange(20), View(8, mean=(0.0,) * 3, std=(1.0,) * 3))
    (squares,) = images._squares.values()
    assert squares.nbytes == 20 * 3 * 8 * 8 * 4 and replace(images, held=20 * 3 * 8 * 8 * 4 - 1)._fits(8) is False


def test_other_processes_get_the_same_numbers_wherever_they_work(pets, monkeypatch, tmp_path):
    monkeypatch.chdir(pets.parent)
    images, ids = read_own(pets.name), np.arange(20)
    sent = [cloudpickle.dumps(images)]
    expected = images.batch(ids, 8)
    sent.append(cloudpickle.dumps(images))
    monkeypatch.chdir(tmp_path.parent)
    for one in map(cloudpickle.loads, sent):
        torch.testing.assert_close(one.batch(ids, 8), expected, rtol=0, atol=0)
        assert one.fingerprint == images.fingerprint


def test_photos_are_shown_upright(tmp_path):
    filled(tmp_path, 5, suffix="jpg")
    notes = Image.Exif()
    notes[0x0112] = 6  # the camera was held upright: the file's first row is the right side
    Image.fromarray(RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)).save(tmp_path / "cat/00.jpg", exif=notes)
    with Image.open(tmp_path / "cat/00.jpg") as image:
        pixels = np.array(image)
    np.testing.assert_array_equal(read_own(tmp_path).decoded(0), np.rot90(pixels, -1))


def test_equal_files_are_there_once(pets):
    before = read_own(pets)
    shutil.copy(pets / "cat/03.png", pets / "cat/aa.png")
    shutil.copy(pets / "cat/03.png", pets / "cat/bb.png")
    images = read_own(pets)
    assert [*images.files.files] == [*before.files.files] and images.fingerprint == before.fingerprint
    assert images.left_out == (
        "2 of the 22 image files of 'my pets' are left out for being equal to others to the byte, "
        "as 'cat/aa.png' to 'cat/03.png'"
    )
    shutil.copy(pets / "cat/05.png", pets / "dog/also.png")
    images = read_own(pets)
    assert files_of(images, range(len(images))) == files_of(before, range(20)) - {"cat/05.png"}
    assert images.left_out.endswith("; 2 because the classes of the equal ones differ")
    (pets / "cat/05.png").unlink()
    (pets / "dog/also.png").unlink()
    assert read_own(pets).fingerprint == images.fingerprint  # whoever heeds the sentence may go on


def test_images_of_the_test_folder_are_taken_out_of_the_others_alone(tmp_path):
    for part, count in (("train", 8), ("val", 3), ("test", 3)):
        filled(tmp_path / part, count)
    shutil.copy(tmp_path / "test/cat/00.png", tmp_path / "train/cat/x.png")
    shutil.copy(tmp_path / "test/dog/01.png", tmp_path / "val/cat/y.png")  # another class
    shutil.copy(tmp_path / "test/dog/02.png", tmp_path / "test/dog/z.png")  # others' numbers count it twice
    shutil.copy(tmp_path / "val/dog/00.png", tmp_path / "train/dog/w.png")
    images = read_own(tmp_path)
    there = files_of(images, range(len(images)))
    assert {"train/cat/x.png", "val/cat/y.png", "train/dog/w.png"}.isdisjoint(there)
    assert len(there) == 29 and "test/dog/z.png" in there and images.left_out.startswith("3 of the 32 image files")


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=30), st.booleans()
)
def test_copies_by_brute_force(rows, fixed):
    """rows: (content, label, rank)."""
    stay, contradictory = without_copies(
        [str(c) for c, _, _ in rows],
        np.array([label for _, label, _ in rows]),
        np.array([rank for _, _, rank in rows]),
        kept=0 if fixed else None,
    )
    groups = defaultdict(list)
    for i, (content, _, _) in enumerate(rows):
        groups[content].append(i)
    lost = 0
    for ids in groups.values():
        test = [i for i in ids if fixed and rows[i][2] == 0]
        assert all(stay[i] for i in test)
        others = [i for i in ids if i not in test and stay[i]]
        if len({rows[i][1] for i in ids}) > 1:
            assert others == [] or len(ids) == 1
            lost += len(ids) - len(test)
        elif test:
            assert others == []
        else:
            assert others == [min(ids, key=lambda i: (rows[i][2], i))]
    assert contradictory == lost


def test_contents_tell_equal_files_and_read_few_of_many(tmp_path, monkeypatch):
    for name, content in (("a", b"xy"), ("b", b"yx"), ("c", b"xy"), ("d", b"xyz")):
        (tmp_path / name).write_bytes(content)
    read, real = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self.name) or real(self))
    for whole, names in ((1_000, ["a", "b", "c", "d"]), (8, ["a", "b", "c"])):
        read.clear()
        a, b, c, d = contents(tmp_path, ["a", "b", "c", "d"], whole=whole)
        assert a == c and len({a, b, d}) == 3 and read == names


def test_the_fingerprint_is_of_every_byte_and_of_no_place(pets, tmp_path):
    base = read_own(pets).fingerprint
    shutil.copytree(pets, tmp_path / "elsewhere")
    assert read_own(tmp_path / "elsewhere").fingerprint == base
    found = {base}
    for i in range(10):  # bits that change neither sizes nor pixels
        content = bytearray((pets / f"dog/{i:02d}.png").read_bytes())
        content[-1] ^= 1
        (pets / f"dog/{i:02d}.png").write_bytes(content)
        found.add(read_own(pets).fingerprint)
    picture(pets / "cat/new.png")
    assert len(found | {read_own(pets).fingerprint}) == 12


@pytest.mark.parametrize("roles", ROLE_SETS)
def test_the_least_number_of_images_is_enough_and_one_less_is_not(roles):
    least, fixed = least_images(roles), {role: np.empty(0, np.int64) for role in ROLES if role not in roles}
    labels = np.repeat([0, 1, 2], least)
    for seed in range(300):
        parts = job_split(labels, seed=seed, given=fixed)
        assert all(set(labels[parts[role]]) == {0, 1, 2} for role in roles)
    if least > 1:
        few = np.repeat([0, 1, 2], least - 1)
        with pytest.raises(MetanetError, match="must have an image of each class"):
            for seed in range(300):
                job_split(few, seed=seed, given=fixed)


def _too_few(root):
    filled(root, 5)
    (root / "cat/00.png").unlink()


def _too_few_to_train(root):
    filled(root / "train", 3)
    filled(root / "test", 1)


def _copies_alone(root):
    filled(root / "train", 4)
    filled(root / "val", 1)
    filled(root / "test", 1)
    shutil.copy(root / "test/dog/00.png", root / "val/dog/00.png")


def _other_classes(root):
    filled(root / "train", 4)
    filled(root / "test", 1, ("cat", "dgo"))


MISTAKES = {
    "gone": (lambda root: None, "' is not there: name a folder that has a folder of images for each class"),
    "a file": (lambda root: root.write_text(""), "' is a file: name a folder that has a folder of images"),
    "no folders": (lambda root: picture(root / "1.png"), "must be a folder with a folder of images for each class"),
    "no images": (lambda root: (root / "cat").mkdir(parents=True), "each class must have images (.jpg, .jpeg, .png"),
    "an empty class": (
        lambda root: (filled(root, 5), (root / "cow").mkdir(), (root / "cow/notes.txt").write_text("moo")),
        "cow' has none: put some in, or delete it",
    ),
    "one class": (lambda root: filled(root, 5, ("cat",)), "two classes or more, a folder each, '"),
    "one folder too high": (lambda root: filled(root / "photos", 5), "photos' where the classes are in there"),
    "too few": (
        _too_few,
        "each class of 'x' needs at least 5 different images for weights, selection, test, got 4 of 'cat': add some, "
        "or leave the class out",
    ),
    "too few to train": (_too_few_to_train, "needs at least 4 different images for weights, selection, got 3 of 'cat'"),
    "copies alone": (_copies_alone, "needs at least 1 different image for selection, got 0 of 'dog'"),
    "other classes": (_other_classes, "must have the same classes, got 'dgo' in one of them alone"),
    "two trains": (
        lambda root: (filled(root / "train", 4), filled(root / "Training", 4), filled(root / "test", 1)),
        "must be one folder, got 'Training' and 'train': join them or rename one",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_sentence(tmp_path, name):
    make, message = MISTAKES[name]
    make(tmp_path / "x")
    with pytest.raises(MetanetError, match=re.escape(message)) as error:
        load_images(f"folder:{tmp_path / 'x'}")
    assert "\n" not in str(error.value)


def test_names_that_are_no_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(filled(tmp_path, 1))
    for name in ("folder:", "folder: "):
        with pytest.raises(
            MetanetError, match="must be followed by the path of a folder, as 'folder:photos', got no path"
        ):
            load_images(name)
    with pytest.raises(MetanetError, match="unknown data set 'cat', which is a folder: write 'folder:cat' to take its"):
        load_images("cat")
    with pytest.raises(MetanetError, match="unknown data set 'flder:cat': did you mean 'folder:PATH'"):
        load_images("flder:cat")


def test_a_link_that_leads_nowhere_is_named(pets):
    (pets / "cat/zz.png").symlink_to(pets / "gone.png")
    with pytest.raises(MetanetError, match=r"an image of 'my pets' cannot be read, '.*cat/zz.png' \(it is missing\)"):
        read_own(pets)


def test_a_broken_image_is_named_by_the_first_batch(pets):
    content = (pets / "dog/07.png").read_bytes()
    (pets / "dog/07.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(MetanetError, match=r"an image of 'my pets' cannot be read, '.*dog/07.png' \(.*truncated"):
        read_own(pets).batch(np.array([0]), 8)
