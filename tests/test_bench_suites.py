"""The packaged suite: real tasks that fit together."""

from dataclasses import replace

import numpy as np
import pytest

from metanet import create
from metanet.bench import Constant, LinearProbe, load_suite, packaged_backbone, random_twin, shown_at
from metanet.cli.setting import split
from metanet.data import ids_sha256
from metanet.errors import MetanetError


def test_the_packaged_suite_has_all_its_images_once_and_every_class_at_its_share():
    tasks = load_suite("packaged")
    assert [(task.name, len(task.images), len(task.train), len(task.test)) for task in tasks] == [
        ("mnist-5k", 5000, 3500, 1500),
        ("digits", 1797, 1257, 540),
        ("solar-cells", 2624, 1837, 787),
    ]
    for task in tasks:
        np.testing.assert_array_equal(np.union1d(task.train, task.test), np.arange(len(task.images)))
        counts = [np.bincount(task.images.labels[ids]) for ids in (task.train, task.images.labels.argsort())]
        assert (abs(counts[0] - 0.7 * counts[1]) <= 1).all()


def test_the_splits_never_change():
    # Recorded when the suite was made: scores of other splits must not stand in one table.
    found = {task.name: ids_sha256(task.test)[:16] for task in load_suite("packaged")}
    assert found == {
        "mnist-5k": "598984da1d096ff3",
        "digits": "c114ca3bb9452f70",
        "solar-cells": "da0ae8349bd4aa8f",
    }


def test_a_winner_of_a_search_has_seen_no_test_image():
    for task in load_suite("packaged"):
        parts = split(task.images, 0)  # what `metanet search` calls
        np.testing.assert_array_equal(task.test, parts["test"])
        assert not np.isin(task.test, np.concatenate([parts["weights"], parts["selection"]])).any()


def test_every_backbone_sees_the_same_side():
    metanet = create("MN-B4", device="meta")
    for task, side in zip(load_suite("packaged"), (64, 64, 112), strict=True):
        assert shown_at(metanet, task).resolution == shown_at(Constant(), task).resolution == side


def test_a_pretrained_backbone_beats_its_random_twin_and_the_majority():
    (task,) = [task for task in load_suite("packaged") if task.name == "digits"]
    task = replace(task, train=task.train[::4], test=task.test[::4])  # a second a backbone
    pretrained = packaged_backbone("mobilenet_v2")
    nets = {"pretrained": pretrained, "random": random_twin(pretrained), "majority": Constant()}
    values = {name: dict(LinearProbe().run(net, task, task.train))["accuracy"] for name, net in nets.items()}
    assert values["majority"] < 0.12 < values["random"] < values["pretrained"]


def test_an_unknown_suite_is_refused():
    with pytest.raises(MetanetError, match="unknown suite 'package': did you mean 'packaged'"):
        load_suite("package")
