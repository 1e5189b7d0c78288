"""Tracks of a real layout stay together wherever images are drawn, left out or named: GTSRB of the mini copies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanet.bench import PROBES, RawPixels, Task, evaluator, score
from metanet.bench.cells import load_results, run_cells
from metanet.bench.mini import make_mini
from metanet.bench.official import official_tasks
from metanet.bench.task import groups_sha256
from metanet.data import ArrayImages, ids_sha256, percent_subset
from metanet.model import MetaNet

NET = {"raw": RawPixels()}


@pytest.fixture(scope="module")
def signs(tmp_path_factory):
    """The task, its track named in the file of each training image: 00000/00002_00001.ppm is frame 1 of track 2."""
    root = tmp_path_factory.mktemp("mini")
    make_mini(root, ["gtsrb"])
    (task,), _ = official_tasks(root, ["gtsrb"], resolution=8)
    return task


def tracks_of(task, ids):
    """The images of each track, by the names of their files."""
    found = {}
    for i in ids.tolist():
        found.setdefault(task.images.files[i].rpartition("_")[0], []).append(i)
    return found


def is_of_whole_tracks(task, ids):
    whole = tracks_of(task, task.train)
    return all(len(frames) == len(whole[track]) for track, frames in tracks_of(task, ids).items())


def drawn(task, percent, seed=0):
    return percent_subset(task.images.labels, task.train, percent, seed=seed, groups=task.groups)


def test_a_share_is_of_whole_tracks_and_one_of_frames_would_not_be(signs):
    assert is_of_whole_tracks(signs, drawn(signs, 40)) and len(drawn(signs, 40)) < len(signs.train)
    assert not is_of_whole_tracks(signs, percent_subset(signs.images.labels, signs.train, 40, seed=0))


def test_scores_and_cells_are_of_whole_tracks(signs, tmp_path):
    rows = score(NET, signs, percents=(40,), seeds=(0, 1), baselines={})
    expected = [ids_sha256(drawn(signs, 40, seed)) for seed in (0, 1)]
    assert rows["ids_sha256"].tolist() == expected
    run_cells(NET, [signs], tmp_path, percents=(40,), seeds=(0, 1), quiet=True)
    assert [cell.about["train"] for cell in load_results(tmp_path).cells] == expected


def test_a_search_scores_whole_tracks_at_every_fidelity(signs):
    found = evaluator(signs, lambda spec: MetaNet(spec, seed=0), weights="none", percent=80, seeds=(0, 1))
    for fidelity in (0.5, 1):
        for seed in (0, 1):
            assert is_of_whole_tracks(signs, found.ids(fidelity, seed=seed))


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_a_left_out_image_is_never_told_by_its_track(signs, probe):
    tracks = list(tracks_of(signs, signs.train).values())
    codes = np.zeros((len(signs.images), len(tracks)), np.float32)
    for number, frames in enumerate(tracks):
        codes[frames, number] = 1

    def extract(backbone, images, ids, view):
        return codes[ids]  # which track it is, and nothing else

    loo = PROBES[probe](where="loo", extract=extract)
    found = loo.answers(NET["raw"], signs, signs.train)
    alone = loo.answers(NET["raw"], replace(signs, groups=None), signs.train)
    assert (alone.predicted == alone.truth).all()  # other frames of the track tell the class
    assert (found.predicted == found.truth).mean() <= 0.5  # of four classes


def test_names_hold_who_is_together_and_nothing_else(signs, tmp_path):
    def keys(name, groups):
        run_cells(NET, [replace(signs, groups=groups)], tmp_path / name, percents=(100,), seeds=(0,), quiet=True)
        return [row.key for row in load_results(tmp_path / name).rows]

    def fingerprint(groups):
        return evaluator(replace(signs, groups=groups), lambda spec: MetaNet(spec, seed=0), weights="none").fingerprint

    renamed = 7 - 3 * signs.groups
    tested = signs.groups.copy()
    tested[signs.test] = 99
    moved = signs.groups.copy()
    moved[signs.train[0]] = moved[signs.train[-1]]
    for name in (lambda groups: keys("a", groups), fingerprint):
        base = name(signs.groups)
        assert name(renamed) == name(tested) == base
        assert len({str(name(groups)) for groups in (signs.groups, moved, None)}) == 3
        assert name(np.arange(len(signs.images))) == name(None)


@given(st.lists(st.integers(0, 2), min_size=12, max_size=40), st.integers(0, 5), st.floats(1, 100))
def test_groups_of_one_image_draw_what_images_do(labels, seed, percent):
    labels = np.array([0, 1, 2, *labels])
    alone = percent_subset(labels, np.arange(len(labels)), percent, seed=seed)
    each = percent_subset(labels, np.arange(len(labels)), percent, seed=seed, groups=np.arange(len(labels))[::-1])
    np.testing.assert_array_equal(alone, each)


def test_images_that_stand_alone_have_no_name_of_groups():
    images = ArrayImages("noise", np.zeros((8, 4, 4), np.uint8), np.arange(8) % 2, ("a", "b"))
    task = Task("t", "classification", "accuracy", images, np.arange(4), np.arange(4, 8), 4)
    assert groups_sha256(task) is None
    assert groups_sha256(replace(task, groups=np.array([3, 2, 1, 0, 5, 5, 5, 5]))) is None
    # who is together, numbered by first appearance: 0 0 1 1
    assert groups_sha256(replace(task, groups=np.array([9, 9, 4, 4, 0, 0, 0, 0]))) == ids_sha256([0, 0, 1, 1])
