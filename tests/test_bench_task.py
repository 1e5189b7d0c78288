"""Tasks of the four kinds, how a backbone is shown their images, and what probes answer."""

import re
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from metanet.bench import KINDS, PROBES, RawPixels, Task, evaluator, shown_at
from metanet.data import ArrayImages, View
from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.spec import ArchSpec, StageSpec

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 4, 4), np.uint8)
IMAGES = ArrayImages("noise", PIXELS, np.arange(12) % 3, ("a", "b", "c"))
TASK = Task("noise", "classification", "accuracy", IMAGES, np.arange(6), np.arange(6, 12), 4)
SPEC = ArchSpec((StageSpec("mbconv", 1, 8, 2),), stem_width=8, head_width=16, resolution=8)


class Viewed(RawPixels):
    view = View(300, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "bicubic", 0.875)


def test_a_metanet_is_shown_at_its_own_resolution_unless_the_task_is_fixed():
    net, fixed = MetaNet(SPEC, seed=0), replace(TASK, fixed=True)
    assert shown_at(net, TASK) == View(8) and shown_at(net, fixed) == View(4)
    assert shown_at(RawPixels(), TASK) == shown_at(RawPixels(), fixed) == View(4)


def test_a_backbone_keeps_all_of_its_view_but_the_resolution():
    assert shown_at(Viewed(), TASK) == View(4, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "bicubic", 0.875)
    net = MetaNet(SPEC, seed=0)
    net.view = View(300, crop=0.5)
    assert shown_at(net, TASK) == View(8, crop=0.5)


def test_a_probe_reads_features_in_the_backbones_view():
    class Seen(Exception):
        pass

    def extract(backbone, images, ids, view):
        raise Seen(view)

    for probe in PROBES.values():
        with pytest.raises(Seen, match=re.escape("resolution=4, mean=(0.1, 0.2, 0.3)")):
            probe(extract=extract).answers(Viewed(), TASK, TASK.train)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "classification"])
def test_a_task_of_any_kind_can_be_described_and_waits_for_its_head(kind):
    task = replace(TASK, kind=kind, metric="mIoU")
    for probe in PROBES.values():
        with pytest.raises(MetanetError, match=f"scores tasks of classification, got 'noise' of {kind}: it waits"):
            probe().answers(RawPixels(), task, task.train)


def test_groups_on_both_sides_are_told():
    with pytest.warns(UserWarning, match=r"both sides of the task 'noise': 1 groups have some for training and some"):
        replace(TASK, groups=np.array([0, 0, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7]))


def test_groups_name_the_group_of_every_image():
    assert replace(TASK, groups=np.arange(12) // 6).groups.sum() == 6
    with pytest.raises(MetanetError, match=r"the group of each of its 12 images, got the shape \(6,\)"):
        replace(TASK, groups=np.zeros(6, np.int64))


@pytest.mark.parametrize("name", PROBES)
def test_answers_are_classes_beside_the_truth_with_the_curve_of_what_was_tried(name):
    for where, ids in (("test", TASK.test), ("loo", TASK.train)):
        found = PROBES[name](where=where).answers(RawPixels(), TASK, TASK.train)
        np.testing.assert_array_equal(found.truth, IMAGES.labels[ids])
        assert found.predicted.shape == ids.shape and np.isin(found.predicted, np.arange(3)).all()
        (hyper, value), *_ = found.chosen.items()
        assert value in found.curve[hyper] and len({len(column) for column in found.curve.values()}) == 1


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("metric", ["accuracy", "mean_per_class", "quadratic_kappa"])
def test_a_run_is_the_metric_of_the_answers_with_an_interval(name, metric):
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score

    task, probe = replace(TASK, metric=metric), PROBES[name]()
    answers, found = probe.answers(RawPixels(), task, task.train), dict(probe.run(RawPixels(), task, task.train))
    oracle = {
        "accuracy": accuracy_score,
        "mean_per_class": balanced_accuracy_score,
        "quadratic_kappa": lambda a, b: cohen_kappa_score(a, b, weights="quadratic", labels=range(3)),
    }
    assert found[metric] == pytest.approx(oracle[metric](answers.truth, answers.predicted))
    assert found[f"{metric}.low"] <= found[metric] <= found[f"{metric}.high"]
    assert answers.chosen.items() <= found.items()


def test_the_fingerprint_of_an_evaluator_knows_whether_the_task_is_fixed():
    named = {evaluator(task, nn.Identity, weights="w").fingerprint for task in (TASK, replace(TASK, fixed=True))}
    assert len(named) == 2
