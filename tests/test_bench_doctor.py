"""The doctor and the mini copies."""

import gzip
import hashlib
import re
import shutil

import numpy as np
import pytest

from metanet.bench import mini as mini_module
from metanet.bench.doctor import STATES, doctor_rows, doctor_text, examine
from metanet.bench.mini import WRITERS, make_mini
from metanet.bench.tasks import GVB
from metanet.data.official import read_official
from metanet.errors import MetanetError


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    pytest.importorskip("h5py")
    root = tmp_path_factory.mktemp("mini")
    make_mini(root)
    return root


def official(monkeypatch, name, **changes):
    """The table with other official numbers of a task."""
    import dataclasses

    monkeypatch.setitem(GVB, name, dataclasses.replace(GVB[name], **changes))


def test_mini_copies_are_there_for_all_tasks_in_their_layouts(mini):
    assert list(WRITERS) == list(GVB)
    for task in GVB.values():
        for path in task.layout:
            there = [(mini / task.folder / each).exists() for each in path.split("|")]
            assert any(there), f"{task.name}: {path}"


def test_nothing_is_missing_where_no_folder_is(tmp_path):
    states = examine(tmp_path / "gone")
    assert [state.task for state in states] == list(GVB)
    assert {state.state for state in states} == {"missing"}
    text = doctor_text(states)
    assert text.endswith("0 of 26 found")
    # every archive with its checksum and where to put it
    assert f"(MD5 85eeb15f3717b99a5da872d97d918f87) and put or unpack it into {tmp_path / 'gone'}\n" in text
    assert f"{tmp_path}/gone/oxford-iiit-pet/annotations/test.txt: test images" in text
    assert "licence: CC BY-SA 4.0 (https://www.robots.ox.ac.uk/~vgg/data/pets/)" in text
    assert f"unpack it into {tmp_path / 'gone' / 'caltech101'}\n" in text
    assert not (tmp_path / "gone").exists()


def test_a_small_copy_is_partial_with_its_sizes_or_has_another_checksum(mini):
    states = {state.task: state for state in examine(mini)}
    assert {state.state for state in states.values()} <= set(STATES)
    for name, task in GVB.items():
        if task.kind != "classification":
            assert states[name].state == "found" and "its head follows" in states[name].detail
        else:
            assert states[name].state == ("wrong checksum" if task.md5 else "partial"), name
    assert states["food101"].detail == "24 + 16 images of 4 classes, officially 75,750 + 25,250 images of 101 classes"
    assert (states["food101"].train, states["food101"].test) == (24, 16)
    assert states["svhn"].detail == "svhn/train_32x32.mat is not the official file"


def test_a_set_of_the_official_size_is_found(mini, monkeypatch):
    official(monkeypatch, "gtsrb", train=36, test=16, classes=4)
    (state,) = examine(mini, ["gtsrb"])
    assert (state.state, state.detail, state.train, state.test, state.todo) == (
        "found",
        "online competition's training set, groups are tracks",
        36,
        16,
        (),
    )
    assert doctor_text([state]) == "1 of 1 found"
    assert doctor_rows([state]) == [
        {
            "task": "gtsrb",
            "state": "found",
            "detail": "online competition's training set, groups are tracks",
            "train": 36,
            "test": 16,
        }
    ]


def test_where_videos_vanish_nine_tenths_are_enough(mini, monkeypatch):
    there = examine(mini, ["kinetics700"])[0].test
    official(monkeypatch, "kinetics700", train=26, test=there, classes=4)  # 24 are there
    assert examine(mini, ["kinetics700"])[0].state == "found"
    for few in ({"train": 27, "test": there}, {"train": 24, "test": 2 * there}):
        official(monkeypatch, "kinetics700", **few, classes=4)
        (state,) = examine(mini, ["kinetics700"])
        assert state.state == "partial" and "clips" in state.detail


def test_part_of_a_layout_is_partial_and_names_what_lacks(mini, tmp_path):
    shutil.copytree(mini / "dtd", tmp_path / "dtd")
    (tmp_path / "dtd/dtd/labels/val1.txt").unlink()
    (tmp_path / "dtd/dtd/labels/test1.txt").unlink()
    (state,) = examine(tmp_path, ["dtd"])
    assert state.state == "partial"
    assert state.detail == f"no labels/val1.txt and 1 more in {tmp_path / 'dtd/dtd'}"
    wanted = [step for step in state.todo if step.startswith("so that there is")]
    assert wanted == [
        f"so that there is {tmp_path}/dtd/dtd/labels/val1.txt: validation images, which we train on, too",
        f"so that there is {tmp_path}/dtd/dtd/labels/test1.txt: test images",
    ]


def test_listed_images_that_are_not_there_make_a_set_partial(mini, tmp_path, monkeypatch):
    official(monkeypatch, "fgvc_aircraft", train=24, test=16, classes=4)
    shutil.copytree(mini / "fgvc-aircraft-2013b", tmp_path / "fgvc-aircraft-2013b")
    assert examine(tmp_path, ["fgvc_aircraft"])[0].state == "found"
    gone = sorted((tmp_path / "fgvc-aircraft-2013b/data/images").iterdir())[0]
    gone.unlink()
    (state,) = examine(tmp_path, ["fgvc_aircraft"])
    assert state.state == "partial"
    assert state.detail.startswith("1 of 40 images that were looked for are not there, the first is ")
    assert state.detail.endswith(gone.name)


def test_files_that_cannot_be_read_are_a_state(mini, tmp_path):
    shutil.copytree(mini / "food-101", tmp_path / "food-101")
    (tmp_path / "food-101/meta/train.json").write_text("{")
    (state,) = examine(tmp_path, ["food101"])
    assert state.state == "partial" and "food101 in" in state.detail and "JSONDecodeError" in state.detail


def test_small_files_are_always_hashed_and_archives_when_asked_to(mini, tmp_path, monkeypatch):
    shutil.copytree(mini / "flowers-102", tmp_path / "flowers-102")
    own = {
        name: hashlib.md5((tmp_path / "flowers-102" / name).read_bytes()).hexdigest()
        for name in ("setid.mat", "imagelabels.mat")
    }
    archive = GVB["flowers102"].downloads[:1]
    official(monkeypatch, "flowers102", train=24, test=16, classes=4, md5=own, downloads=archive)
    assert examine(tmp_path, ["flowers102"])[0].state == "found"
    with gzip.open(tmp_path / "flowers-102/102flowers.tgz", "wb") as file:
        file.write(b"half an archive")
    assert examine(tmp_path, ["flowers102"])[0].state == "found"
    (state,) = examine(tmp_path, ["flowers102"], thorough=True)
    assert (state.state, state.detail) == ("wrong checksum", "flowers-102/102flowers.tgz is not the official file")
    monkeypatch.setattr("metanet.bench.doctor._SMALL", 10)
    (tmp_path / "flowers-102/102flowers.tgz").unlink()
    official(monkeypatch, "flowers102", train=24, test=16, classes=4, md5=own | {"setid.mat": "0" * 32})
    assert examine(tmp_path, ["flowers102"])[0].state == "found"  # too large to be hashed without being asked
    assert examine(tmp_path, ["flowers102"], thorough=True)[0].state == "wrong checksum"


def test_ones_own_lists_are_enough(mini, tmp_path):
    shutil.copytree(mini / "food-101/images", tmp_path / "pictures")
    (tmp_path / "lists/food101").mkdir(parents=True)
    files = [path.relative_to(tmp_path).as_posix() for path in sorted((tmp_path / "pictures").glob("*/*.jpg"))]
    lines = [f"{file} {file.split('dish_')[1][0]}" for file in files]
    (tmp_path / "lists/food101/train.list").write_text("\n".join(lines[::2]))
    (tmp_path / "lists/food101/test.list").write_text("\n".join(lines[1::2]))
    (state,) = examine(tmp_path, ["food101"])
    assert (state.state, state.detail) == ("found", "lists train.list and test.list")


def test_links_to_data_elsewhere_are_followed(mini, tmp_path):
    (tmp_path / "cifar-100-python").symlink_to(mini / "cifar-100-python")
    (state,) = examine(tmp_path, ["cifar100"])
    assert (state.state, state.detail) == ("wrong checksum", "cifar-100-python/train is not the official file")


def test_an_unknown_task_is_refused(tmp_path):
    with pytest.raises(MetanetError, match=r"unknown task of GV-B 'svnh': did you mean 'svhn'"):
        examine(tmp_path, ["svnh"])
    with pytest.raises(MetanetError, match=r"unknown task of GV-B 'svnh': did you mean 'svhn'"):
        make_mini(tmp_path, ["svnh"])


def test_mini_copies_are_the_same_for_the_same_seed(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_mini(tmp_path / name, ["svhn", "dtd"], seed=seed)
    pixels = [read_official("svhn", tmp_path / name).images.pixels for name in "abc"]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert (pixels[0] != pixels[2]).any()
    first, again = (sorted((tmp_path / name / "dtd").rglob("*.jpg")) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_mini_copies_need_an_empty_folder_and_two_classes(tmp_path):
    (tmp_path / "mine.txt").write_text("data")
    message = re.escape(f"written into an empty folder, {str(tmp_path)!r} has files: name a new one")
    with pytest.raises(MetanetError, match=message):
        make_mini(tmp_path)
    for classes in (1, 11):
        with pytest.raises(MetanetError, match=f"a mini copy has 2 to 10 classes, got {classes}"):
            make_mini(tmp_path / "new", classes=classes)
    assert not (tmp_path / "new").exists()


def test_without_h5py_pcam_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(mini_module, "find_spec", lambda name: None)
    monkeypatch.setattr(mini_module, "WRITERS", {name: WRITERS[name] for name in ("svhn", "pcam")})
    assert list(make_mini(tmp_path)) == ["svhn"]


@pytest.mark.parametrize("classes", [2, 10])
def test_any_number_of_classes_can_be_read(tmp_path, classes):
    names = [name for name, task in GVB.items() if task.kind == "classification" and task.classes > 10]
    written = make_mini(tmp_path, names, classes=classes)
    for name in names:
        splits = read_official(name, tmp_path)
        assert (len(splits.train), len(splits.test)) == written[name]
        assert len(splits.images.classes) == classes


def test_a_probe_learns_a_mini_copy(tmp_path):
    """Nearest mean of raw pixels at 4 x 4, by hand: colours tell classes apart."""
    make_mini(tmp_path, ["oxford_pets"])
    splits = read_official("oxford_pets", tmp_path)
    labels = splits.images.labels
    train, test = (splits.images.batch(ids, 4).flatten(1).numpy() for ids in (splits.train, splits.test))
    means = np.stack([train[labels[splits.train] == label].mean(axis=0) for label in range(4)])
    predicted = np.linalg.norm(test[:, None] - means[None], axis=2).argmin(axis=1)
    assert (predicted == labels[splits.test]).all()


def test_dense_copies_are_what_torchvision_and_pillow_read(mini):
    from PIL import Image
    from torchvision import datasets as tv

    detection = tv.VOCDetection(mini, year="2007", image_set="test")
    assert len(detection) == 4
    image, target = detection[0]
    box = {k: int(v) for k, v in target["annotation"]["object"][0]["bndbox"].items()}
    assert 1 <= box["xmin"] < box["xmax"] <= image.width and 1 <= box["ymin"] < box["ymax"] <= image.height
    segmentation = tv.VOCSegmentation(mini, year="2012", image_set="val")
    image, mask = segmentation[0]
    values = np.unique(np.array(mask))
    assert len(segmentation) == 4 and image.size == mask.size and 0 in values and 255 in values and len(values) == 3
    for folder, scale, lists in (("kitti", 256, "kitti_eigen_test.txt"), ("nyu", 1000, "nyu_test.txt")):
        file, depth, focal = (mini / folder / lists).read_text().split()[:3]
        at = mini / folder / ("gt_depth" if folder == "kitti" else "") / depth
        with Image.open(at) as png:
            metres = np.array(png).astype(float) / scale
        assert metres.min() == 0 and metres.max() == pytest.approx(9.0, abs=0.3) and float(focal) > 500
        assert (mini / folder / ("input" if folder == "kitti" else "") / file).is_file()
