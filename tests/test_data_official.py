"""The readers of the official layouts, on small copies: they read what was written, and what torchvision reads."""

import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from torchvision import datasets as tv

from metanet.bench.mini import Painter, make_mini
from metanet.bench.tasks import GVB
from metanet.data import ArrayImages, View, percent_subset
from metanet.data.official import READERS, arrays, read_official
from metanet.errors import MetanetError

pytest.importorskip("h5py")

ASIS = View(32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
GREY = {"fer2013"}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("mini")
    return root, make_mini(root, list(READERS), seed=1, classes=4)


@pytest.fixture
def unchecked(monkeypatch):
    """torchvision without its checksums: no copy has them."""
    for module in (tv.cifar, tv.svhn, tv.flowers102, tv.fer2013):
        monkeypatch.setattr(module, "check_integrity", lambda *args, **kwargs: True)


def whole(images, i):
    """Image i as it was stored, (h, w, 3) or (h, w)."""
    if isinstance(images, ArrayImages):
        return images.pixels[i]
    return images.pixels(i)[0].permute(1, 2, 0).numpy()


def test_all_20_sets_have_a_reader():
    assert list(READERS) == [task.name for task in GVB.values() if task.kind == "classification"]


@pytest.mark.parametrize("name", READERS)
def test_a_copy_is_read_as_it_was_written(mini, name):
    root, written = mini
    splits = read_official(name, root)
    images, labels = splits.images, splits.images.labels
    assert (len(splits.train), len(splits.test)) == written[name]
    np.testing.assert_array_equal(np.sort(np.concatenate([splits.train, splits.test])), np.arange(len(images)))
    classes = min(GVB[name].classes, 10) if GVB[name].classes <= 10 else 4
    assert len(images.classes) == len(set(images.classes)) == classes
    for ids in (splits.train, splits.test):
        assert np.unique(labels[ids]).tolist() == list(range(classes))
    batch = images.batch(np.arange(len(images)), ASIS)
    assert batch.shape == (len(images), 3, 32, 32) and batch.dtype == torch.float32
    # The class of an image is seen in its mean colour, or in how bright it is; unused images are black, like no class.
    seen = 255 * batch.mean(dim=(2, 3)).numpy()
    painter = Painter(classes, 0)
    if name in GREY:
        known = np.array([[255 * (label + 1) / (classes + 1)] * 3 for label in range(classes)])
    else:
        known = np.array([painter.colour(label) for label in range(classes)])
    nearest = np.linalg.norm(seen[:, None] - known[None], axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, labels)
    assert (seen.max(axis=1) > 20).all()


@pytest.mark.parametrize("name", READERS)
def test_batches_keep_the_order_of_the_ids_and_fingerprints_name_the_data(mini, name):
    root, _ = mini
    images = read_official(name, root).images
    ids = np.array([len(images) - 1, 0, 3, 0])
    torch.testing.assert_close(images.batch(ids, 32), torch.cat([images.batch(ids[i : i + 1], 32) for i in range(4)]))
    assert images.fingerprint == read_official(name, root).images.fingerprint and len(images.fingerprint) == 64


# name -> torchvision's training and test part, in the order of ours
PEERS = {
    "cifar10": lambda root: ([tv.CIFAR10(root)], [tv.CIFAR10(root, train=False)]),
    "cifar100": lambda root: ([tv.CIFAR100(root)], [tv.CIFAR100(root, train=False)]),
    "food101": lambda root: ([tv.Food101(root)], [tv.Food101(root, split="test")]),
    "oxford_pets": lambda root: ([tv.OxfordIIITPet(root)], [tv.OxfordIIITPet(root, split="test")]),
    "flowers102": lambda root: (
        [tv.Flowers102(root), tv.Flowers102(root, split="val")],
        [tv.Flowers102(root, split="test")],
    ),
    "stanford_cars": lambda root: ([tv.StanfordCars(root)], [tv.StanfordCars(root, split="test")]),
    "dtd": lambda root: ([tv.DTD(root), tv.DTD(root, split="val")], [tv.DTD(root, split="test")]),
    "fgvc_aircraft": lambda root: ([tv.FGVCAircraft(root)], [tv.FGVCAircraft(root, split="test")]),
    "svhn": lambda root: ([tv.SVHN(root / "svhn")], [tv.SVHN(root / "svhn", split="test")]),
    "gtsrb": lambda root: ([tv.GTSRB(root)], [tv.GTSRB(root, split="test")]),
    "pcam": lambda root: ([tv.PCAM(root)], [tv.PCAM(root, split="test")]),
    "imagenet": lambda root: (
        [tv.ImageFolder(root / "imagenet/train")],
        [tv.ImageFolder(root / "imagenet/val")],
    ),
}


@pytest.mark.parametrize("name", PEERS)
def test_we_read_what_torchvision_reads(mini, unchecked, name):
    root, _ = mini
    splits = read_official(name, root)
    for ids, peers in zip((splits.train, splits.test), PEERS[name](root), strict=True):
        expected = [item for peer in peers for item in peer]
        assert splits.images.labels[ids].tolist() == [label for _, label in expected]
        shown = splits.images.batch(ids, View(8, mean=(0.0,) * 3, std=(1.0,) * 3))
        for x, (image, _) in zip(shown, expected, strict=True):
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
            torch.testing.assert_close(x[None], View(8).square(pixels))


def test_fer2013_leaves_public_test_out_where_torchvision_merges_it(mini, unchecked):
    root, _ = mini
    splits = read_official("fer2013", root)
    train, merged = tv.FER2013(root), tv.FER2013(root, split="test")
    assert splits.images.labels[splits.train].tolist() == [label for _, label in train]
    assert len(merged) == len(splits.test) + 5
    private = [(np.array(image), label) for image, label in merged if np.array(image).any()]
    assert splits.images.labels[splits.test].tolist() == [label for _, label in private]
    for i, (pixels, _) in zip(splits.test, private, strict=True):
        np.testing.assert_array_equal(whole(splits.images, i), pixels)


def test_fer2013_in_its_other_file_is_the_same(mini, tmp_path):
    root, _ = mini
    rows = [line.split(",") for line in (root / "fer2013/fer2013.csv").read_text().splitlines()]
    other = [["emotion", " Usage", " pixels"], *([emotion, usage, pixels] for emotion, pixels, usage in rows[1:])]
    (tmp_path / "fer2013").mkdir()
    (tmp_path / "fer2013/icml_face_data.csv").write_text("\n".join(map(",".join, other)))
    assert read_official("fer2013", tmp_path).images.fingerprint == read_official("fer2013", root).images.fingerprint


def test_fer2013_without_test_labels_is_refused(tmp_path):
    message = "the competition's train.csv and test.csv have no test labels"
    with pytest.raises(MetanetError, match=message):
        read_official("fer2013", tmp_path)


def test_sun397_follows_the_partition_where_torchvision_has_none(mini):
    root, _ = mini
    splits = read_official("sun397", root)
    peer = tv.SUN397(root)
    assert len(peer) == len(splits.images) + 1  # one image is in neither list
    labels = {
        p.relative_to(root / "SUN397").as_posix(): n for p, n in zip(peer._image_files, peer._labels, strict=True)
    }
    assert [labels[file] for file in splits.images.files] == splits.images.labels.tolist()
    assert splits.images.classes == tuple(peer.classes)
    training = (root / "SUN397/Training_01.txt").read_text().split()
    assert [f"/{splits.images.files[i]}" for i in splits.train] == training


def test_caltech101_keeps_the_background_that_torchvision_drops(mini):
    root, _ = mini
    splits = read_official("caltech101", root)
    peer = tv.Caltech101(root)
    assert splits.images.classes == ("BACKGROUND_Google", *peer.categories)
    assert np.bincount(splits.images.labels[splits.train]).tolist() == [30] * 4
    assert np.bincount(splits.images.labels[splits.test]).tolist() == [3] * 4
    assert not any("tmp" in file for file in splits.images.files)


@pytest.mark.parametrize(("name", "folder", "n"), [("caltech101", "Faces", 30), ("eurosat", "Forest", 2)])
def test_a_class_too_small_to_be_split_is_refused(mini, tmp_path, name, folder, n):
    root, _ = mini
    place = GVB[name].folder
    shutil.copytree(root / place, tmp_path / place)
    for file in sorted((tmp_path / place / folder).iterdir())[n:]:
        file.unlink()
    with pytest.raises(
        MetanetError, match=f"class '{folder}' of {name} must have images to train on and to test, got {n}"
    ):
        read_official(name, tmp_path)


def test_imagenets_unlabelled_test_images_may_stand_beside(mini, tmp_path):
    root, written = mini
    shutil.copytree(root / "imagenet", tmp_path / "imagenet")
    (tmp_path / "imagenet/test").mkdir()
    shutil.copy(next((root / "imagenet/val").rglob("*.JPEG")), tmp_path / "imagenet/test/ILSVRC2012_test_00000001.JPEG")
    splits = read_official("imagenet", tmp_path)
    assert len(splits.test) == written["imagenet"][1]
    assert all(splits.images.files[i].startswith("val/") for i in splits.test)


@pytest.mark.parametrize(("name", "folder"), [("eurosat", "eurosat/2750"), ("resisc45", "NWPU-RESISC45")])
def test_sets_without_a_split_get_one_that_only_depends_on_the_paths(mini, tmp_path, name, folder):
    root, _ = mini
    splits = read_official(name, root)
    peer = tv.ImageFolder(root / folder)
    assert splits.images.classes == tuple(peer.classes)
    by_file = {str(file): label for file, label in peer.samples}
    for i, file in enumerate(splits.images.files):
        assert by_file[str(root / folder / file)] == splits.images.labels[i]
    # 60 % and 20 % of each class, the rest unused
    assert np.bincount(splits.images.labels[splits.train]).tolist() == [6] * len(peer.classes)
    assert np.bincount(splits.images.labels[splits.test]).tolist() == [2] * len(peer.classes)
    shutil.copytree(root / folder, tmp_path / folder)
    again = read_official(name, tmp_path)
    assert list(again.images.files) == list(splits.images.files)
    assert again.images.fingerprint == splits.images.fingerprint


def test_the_order_by_sha256_is_what_sha256sum_says(mini):
    """Of AnnualCrop_1.jpg to AnnualCrop_10.jpg, the two whose paths come last (by the program sha256sum)."""
    root, _ = mini
    splits = read_official("eurosat", root)
    own = [splits.images.files[i] for i in splits.test if splits.images.labels[i] == 0]
    assert own == ["AnnualCrop/AnnualCrop_1.jpg", "AnnualCrop/AnnualCrop_4.jpg"]


def test_gtsrb_groups_are_tracks(mini):
    root, _ = mini
    splits = read_official("gtsrb", root)
    tracks = {}
    for i in splits.train:
        folder, file = splits.images.files[i].split("/")[-2:]
        tracks.setdefault((folder, file[:5]), set()).add(splits.groups[i])
    assert len(tracks) == 12 and all(len(groups) == 1 for groups in tracks.values())
    assert len(set.union(*tracks.values())) == 12
    assert len(np.unique(splits.groups[splits.test])) == len(splits.test)
    drawn = percent_subset(splits.images.labels, splits.train, 40, seed=0, groups=splits.groups)
    assert len(drawn) in (12, 16, 20, 24) and set(np.bincount(splits.groups[drawn])) == {0, 3}


def test_a_missing_class_folder_of_gtsrb_does_not_shift_labels(mini, tmp_path):
    root, _ = mini
    shutil.copytree(root / "gtsrb", tmp_path / "gtsrb")
    shutil.rmtree(tmp_path / "gtsrb/GTSRB/Training/00001")
    splits = read_official("gtsrb", tmp_path)
    folders = [int(splits.images.files[i].split("/")[-2]) for i in splits.train]
    assert splits.images.labels[splits.train].tolist() == folders


def test_groups_of_videos_and_patients(mini):
    root, _ = mini
    ucf = read_official("ucf101", root)
    scene = [re.sub(r"_c\d+\.jpg$", "", file) for file in ucf.images.files]
    assert len(set(scene)) == len(np.unique(ucf.groups)) == len({*zip(scene, ucf.groups, strict=True)})
    # the official split leaves no scene on both sides
    assert not np.intersect1d(ucf.groups[ucf.train], ucf.groups[ucf.test]).size
    eyes = read_official("retinopathy", root)
    patient = [file.rpartition("_")[0] for file in eyes.images.files]
    assert len(set(patient)) == len(np.unique(eyes.groups)) == len({*zip(patient, eyes.groups, strict=True)})
    assert np.bincount(eyes.groups).max() == 2
    clips = read_official("kinetics700", root)
    assert np.bincount(clips.groups).tolist() == [2] * 20


def test_kinetics_says_how_many_clips_have_no_frame(mini):
    root, _ = mini
    assert read_official("kinetics700", root).note == "middle frames, 2 clips without a frame left out"


def test_kinetics_without_frames_is_refused(mini, tmp_path):
    root, _ = mini
    (tmp_path / "kinetics700").mkdir()
    for file in ("train.csv", "validate.csv"):
        shutil.copy(root / "kinetics700" / file, tmp_path / "kinetics700")
    with pytest.raises(MetanetError, match="needs the middle frames of its clips"):
        read_official("kinetics700", tmp_path)


def test_ones_own_lists_take_the_place_of_the_official_split(mini, tmp_path):
    root, _ = mini
    shutil.copytree(root / "dtd", tmp_path / "dtd")
    (tmp_path / "lists/dtd").mkdir(parents=True)
    files = [f"dtd/dtd/images/texture{i}/texture{i}_{n:04d}.jpg {i}" for n in range(2) for i in range(3)]
    (tmp_path / "lists/dtd/train.list").write_text("\n".join(files[:3]))
    (tmp_path / "lists/dtd/test.list").write_text("\n".join(files[3:]))
    splits = read_official("dtd", tmp_path)
    assert splits.images.labels.tolist() == [0, 1, 2, 0, 1, 2] and splits.note == "lists train.list and test.list"
    assert splits.images.batch(splits.test, 8).shape == (3, 3, 8, 8)


@pytest.mark.parametrize("name", READERS)
def test_missing_files_are_a_users_mistake(name, tmp_path):
    with pytest.raises(MetanetError):
        read_official(name, tmp_path)


def test_the_error_names_the_file_and_the_doctor(tmp_path):
    with pytest.raises(MetanetError, match=r"food101 in .* is not laid out as its reader wants it .*bench doctor"):
        read_official("food101", tmp_path)
    with pytest.raises(MetanetError, match=r"unknown data set 'cifar': did you mean 'cifar10'"):
        read_official("cifar", tmp_path)


def test_a_pickle_that_names_something_to_run_is_refused(mini, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    root, _ = mini
    shutil.copytree(root / "cifar-100-python", tmp_path / "cifar-100-python")
    (tmp_path / "cifar-100-python/train").write_bytes(pickle.dumps({"data": Evil()}, protocol=2))
    with pytest.raises(MetanetError, match=r"it names .*open, which no file of CIFAR does"):
        read_official("cifar100", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_arrays_in_pickles_of_old_numpy_are_read(tmp_path):
    """The official files name numpy.core.multiarray and hold bytes as Python 2 wrote them (opcode U, latin-1)."""
    pixels = np.arange(4, dtype=np.uint8)
    text = pickle.dumps(pixels, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in text
    (tmp_path / "old").write_bytes(text)
    with open(tmp_path / "old", "rb") as file:
        np.testing.assert_array_equal(arrays._read(file), pixels)


def test_pcam_gives_whole_patches_of_both_files(mini):
    import h5py

    root, _ = mini
    images = read_official("pcam", root).images
    for i, part, row in ((0, "train", 0), (23, "train", 23), (24, "test", 0), (39, "test", 15)):
        with h5py.File(root / f"pcam/camelyonpatch_level_2_split_{part}_x.h5") as file:
            np.testing.assert_array_equal(images.decoded(i), file["x"][row])


def test_pcam_needs_h5py_and_as_many_labels_as_patches(mini, tmp_path, monkeypatch):
    import h5py

    root, _ = mini
    shutil.copytree(root / "pcam", tmp_path / "pcam")
    with h5py.File(tmp_path / "pcam/camelyonpatch_level_2_split_test_y.h5", "w") as file:
        file["y"] = np.array([0, 1, 1], np.uint8).reshape(-1, 1, 1, 1)
    with pytest.raises(MetanetError, match=r"a label for each patch, got \[24, 16\] patches and \[24, 3\] labels"):
        read_official("pcam", tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MetanetError, match=r"pip install 'metanet-nas\[gvb\]'"):
        read_official("pcam", root)
