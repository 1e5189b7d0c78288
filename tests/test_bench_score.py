"""Tasks, the linear probe, baselines and the score table, on digits that a probe can tell apart."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from torch import nn

from metanet.bench import (
    Constant,
    LinearProbe,
    RawPixels,
    Task,
    default_baselines,
    random_twin,
    score,
    timm_backbone,
)
from metanet.data import ArrayImages, ids_sha256, percent_subset, stratified_split
from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.spec import ArchSpec, StageSpec

RAW, TARGET = load_digits(return_X_y=True)
FEW = np.flatnonzero(TARGET < 4)[:400]
DIGITS = ArrayImages("digits", (RAW[FEW] * 15).astype(np.uint8).reshape(-1, 8, 8), TARGET[FEW], tuple("0123"))
PARTS = stratified_split(DIGITS.labels, {"train": 0.5, "test": 0.5}, seed=0)
TASK = Task("digits", "classification", "accuracy", DIGITS, PARTS["train"], PARTS["test"], 8)
SPEC = ArchSpec((StageSpec("mbconv", 1, 8, 2, stride=2),), stem_width=8, head_width=16, resolution=8)
COLUMNS = [
    "backbone",
    "task",
    "percent",
    "seed",
    "metric",
    "value",
    "se",
    "ci_low",
    "ci_high",
    "lambda",
    "n_train",
    "ids_sha256",
]


class Shifted(RawPixels):
    """Raw pixels and a parameter that no layer draws."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.ones(1))


def pixels(ids):
    return DIGITS.batch(ids, 8).flatten(1).numpy()


def test_the_linear_probe_is_ridge_on_the_features_of_the_given_images():
    ids = percent_subset(DIGITS.labels, TASK.train, 50, seed=0)
    found = dict(LinearProbe().run(RawPixels(), TASK, ids))
    sklearn = RidgeClassifier(alpha=found["lambda"]).fit(pixels(ids), DIGITS.labels[ids])
    hits = sklearn.predict(pixels(TASK.test)) == DIGITS.labels[TASK.test]
    assert found["accuracy"] == pytest.approx(hits.mean())
    assert found["accuracy.se"] == pytest.approx(hits.std() / np.sqrt(len(hits)))
    assert found["accuracy.low"] < found["accuracy"] < found["accuracy.high"]
    np.testing.assert_array_equal(LinearProbe().terms(RawPixels(), TASK, ids), hits)


def test_left_one_out_the_probe_scores_the_given_images():
    ids, hits = TASK.train[:60], []
    found = dict(LinearProbe(where="loo").run(RawPixels(), TASK, ids))
    for i in ids:
        rest = ids[ids != i]
        refit = RidgeClassifier(alpha=found["lambda"]).fit(pixels(rest), DIGITS.labels[rest])
        hits.append(refit.predict(pixels(np.array([i])))[0] == DIGITS.labels[i])
    assert found["accuracy"] == pytest.approx(np.mean(hits))


def test_the_mean_per_class_comes_with_an_interval_within_the_classes():
    found = dict(LinearProbe().run(Constant(), replace(TASK, metric="mean_per_class"), TASK.train))
    assert found["mean_per_class"] == pytest.approx(1 / 4)  # one class is always right, three never
    assert found["mean_per_class.se"] == 0


def test_the_table_has_a_row_for_each_backbone_and_baseline_percentage_and_seed():
    net = MetaNet(SPEC, seed=1)
    table = score({"net": net}, TASK, percents=(10, 100), seeds=(0, 1))
    names = ["net", "majority class", "raw pixels", "random initialisation of net"]
    assert list(table.columns) == COLUMNS
    assert list(zip(table["backbone"], table["percent"], table["seed"], strict=True)) == [
        (name, percent, seed) for name in names for percent in (10, 100) for seed in (0, 1)
    ]
    drawn = percent_subset(DIGITS.labels, TASK.train, 10, seed=1)
    row = table.iloc[1]
    assert (row["n_train"], row["ids_sha256"], row["metric"]) == (len(drawn), ids_sha256(drawn), "accuracy")
    for (name, backbone), i in zip([("net", net), ("raw pixels", RawPixels())], (1, 9), strict=True):
        found = dict(LinearProbe().run(backbone, TASK, drawn))
        assert table["backbone"][i] == name
        keys = ["accuracy", "accuracy.se", "accuracy.low", "accuracy.high", "lambda"]
        assert table.loc[i, ["value", "se", "ci_low", "ci_high", "lambda"]].tolist() == pytest.approx(
            [found[key] for key in keys]
        )
    value = table[table["percent"] == 100].groupby("backbone")["value"].first()
    counts = np.bincount(DIGITS.labels[TASK.train])
    assert value["majority class"] == (DIGITS.labels[TASK.test] == counts.argmax()).mean()
    assert value["raw pixels"] > 0.9 > value["majority class"] + 0.5


def test_a_table_runs_each_image_through_a_backbone_once():
    class Watched(RawPixels):
        seen = 0

        def forward_features(self, x):
            self.seen += len(x)
            return super().forward_features(x)

    watched = Watched()
    score({"watched": watched}, TASK, percents=(5, 20, 100), baselines={})
    assert watched.seen == len(TASK.train) + len(TASK.test)


def test_a_random_twin_has_the_architecture_and_other_weights():
    for backbone in (MetaNet(SPEC, seed=1), timm_backbone("test_resnet", seed=1)):
        twin = random_twin(backbone, seed=2)
        shapes, theirs = ({n: p.shape for n, p in net.named_parameters()} for net in (backbone, twin))
        assert shapes == theirs
        assert not torch.equal(next(backbone.parameters()), next(twin.parameters()))
        assert torch.equal(next(twin.parameters()), next(random_twin(backbone, seed=2).parameters()))


def test_networks_of_one_architecture_share_a_twin():
    nets = {"a": MetaNet(SPEC, seed=1), "b": MetaNet(SPEC, seed=2), "c": MetaNet(replace(SPEC, head_width=8), seed=1)}
    twins = ["random initialisation of a", "random initialisation of c"]
    assert list(default_baselines(nets)) == ["majority class", "raw pixels", *twins]


def test_a_timm_network_is_scored_like_any_other_and_is_a_function_of_its_seed():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    net, same = timm_backbone("test_resnet", seed=5), timm_backbone("test_resnet", seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), same.parameters(), strict=True))
    table = score({"timm": net}, replace(TASK, resolution=32), percents=(100,), seeds=(0,))
    assert table["backbone"].tolist()[-1] == "random initialisation of timm"
    assert table["value"][0] > 0.5


def test_raw_pixels_of_large_images_are_averaged():
    x = torch.rand(2, 3, 64, 40)
    pooled = RawPixels().forward_features(x)
    assert pooled.shape == (2, 3, 32, 32)
    torch.testing.assert_close(pooled[:, :, 0, 0], x[:, :, :2, :2].mean((2, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: score({}, TASK, probe="liner"), "unknown probe 'liner': did you mean 'linear'?"),
        (lambda: LinearProbe(where="tset"), "unknown images to score 'tset': did you mean 'test'?"),
        (lambda: replace(TASK, metric="acuracy"), "unknown metric 'acuracy': did you mean 'accuracy'?"),
        (lambda: replace(TASK, kind="clasification"), "unknown kind of task 'clasification': did you mean"),
        (lambda: replace(TASK, resolution=0), "`resolution` of task 'digits' must be at least 1, got 0"),
        (lambda: replace(TASK, test=TASK.train[:3]), "must be disjoint, got 3 in both, the first is"),
        (lambda: replace(TASK, test=np.array([400])), "`test` of task 'digits' must be different ids from 0 to 399"),
        (lambda: replace(TASK, train=np.array([], int)), "`train` of task 'digits' must be different ids"),
        (lambda: replace(TASK, train=np.array([1, 1])), "got 2 ids from 1 to 1"),
        (lambda: score({}, TASK, percents=(101,)), "a percentage must be above 0 and at most 100, got 101"),
        (lambda: score({"raw pixels": RawPixels()}, TASK, baselines={"raw pixels": RawPixels()}), "rename it"),
        (lambda: score({"x": nn.Identity()}, TASK, baselines={}), "backbone 'x': a backbone must have"),
        (lambda: score({"x": Shifted()}, TASK), "backbone 'x': the architecture of a Shifted is not known"),
        (lambda: timm_backbone("test_resne"), "unknown timm model 'test_resne': did you mean 'test_resnet"),
    ],
)
def test_mistakes_are_refused(call, message):
    with pytest.raises(MetanetError, match=re.escape(message)):
        call()


def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch):
    import timm

    def offline(name, pretrained, num_classes):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(MetanetError, match=r"timm cannot build 'test_resnet' .*no route to host"):
        timm_backbone("test_resnet", pretrained=True)


def test_features_that_are_not_finite_name_the_backbone():
    class Broken(RawPixels):
        def forward_head(self, x, pre_logits=False):
            return super().forward_head(x) / 0

    with pytest.raises(
        MetanetError, match=r"backbone 'broken': features must be finite, got NaN or infinity for \d+ of \d+ images"
    ):
        score({"broken": Broken()}, TASK, percents=(4,), seeds=(0,), baselines={})
