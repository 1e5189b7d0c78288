"""What goes wrong alone stays alone, what differs is not mixed, and choices come before the test images."""

import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import nn

from metanet.bench import Constant, FeatureCache, LinearProbe, LogisticCv, RawPixels, Task, headless, prints
from metanet.bench.cells import load_results, run_cells, tables_of
from metanet.bench.cells.wide import latex, published_rows
from metanet.bench.identity import architecture_sha256
from metanet.bench.mini import make_mini
from metanet.bench.probes import linear
from metanet.bench.tasks import AGGREGATES
from metanet.cli import main
from metanet.data import ArrayImages
from metanet.data.official import read_official
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
IMAGES = ArrayImages("bars", RNG.integers(0, 256, (60, 6, 6), np.uint8), LABELS, ("a", "b", "c"))
TASK = Task("bars", "classification", "accuracy", IMAGES, np.arange(30), np.arange(30, 60), 6)


def scored(out, networks, tasks=(TASK,), **options):
    return run_cells(networks, tasks, out, percents=(100,), seeds=(0,), quiet=True, **options)


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("mini")
    make_mini(root, ["dtd", "gtsrb", "flowers102", "ucf101"])
    return root


class TestOneFailureAmongMany:
    def test_a_task_whose_images_are_gone_leaves_the_others_scored(self, mini, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        for part in ("dtd", "gtsrb"):
            shutil.copytree(mini / part, tmp_path / "data" / part)
        next((tmp_path / "data").rglob("*.jpg")).unlink()
        line = "bench run UniNet-B0 --data-root data --tasks dtd,gtsrb --resolution 32 --seeds 1 --quiet --json"
        assert main(line.split()) == 1
        out = capsys.readouterr()
        assert {cell["task"] for cell in json.loads(out.out)} == {"gtsrb"}
        assert "metanet: dtd failed, all else was scored: an image of 'dtd' cannot be read" in out.err

    def test_a_backbone_that_fails_leaves_the_others_scored(self, tmp_path):
        class Endless(RawPixels):
            def forward_head(self, x, pre_logits=False):
                return super().forward_head(x) / 0

        found = scored(tmp_path, {"endless": Endless(), "raw": RawPixels()})
        assert found.computed == 1 and list(found.failed) == ["endless on bars"]
        assert "features must be finite" in found.failed["endless on bars"]
        assert [cell.backbone for cell in load_results(tmp_path).cells] == ["raw"]
        assert scored(tmp_path, {"endless": Endless(), "raw": RawPixels()}).failed == found.failed

    def test_where_all_fail_the_first_reason_is_the_error(self, tmp_path):
        gone = replace(TASK, train=np.flatnonzero(LABELS != 1)[:20], test=np.arange(50, 60))
        with pytest.raises(MetanetError, match="an image of each class, got none of class 1"):
            scored(tmp_path, {"raw": RawPixels()}, (gone,))


class TestWhatIsNotMixed:
    @pytest.mark.parametrize(
        "change",
        [
            {"resolution": 3},
            {"test": np.arange(40, 60)},
            {"train": np.arange(20)},
            {"images": replace(IMAGES, pixels=255 - IMAGES.pixels)},
        ],
    )
    def test_a_folder_holds_one_question_a_task(self, tmp_path, change):
        scored(tmp_path, {"raw": RawPixels()})
        other = replace(TASK, **change)
        with pytest.raises(MetanetError, match="results of 'raw' on a task 'bars' with other images, another split or"):
            scored(tmp_path, {"constant": Constant()}, (other,))
        assert [row.backbone for row in load_results(tmp_path).rows] == ["raw"]
        assert scored(tmp_path, {"raw": RawPixels()}, (other,)).computed == 1  # its own row is replaced
        assert len(tables_of(load_results(tmp_path)).summary) == 1

    def test_options_that_say_nothing_are_refused(self, mini, capsys):
        for line, sentence in (
            ("--suite packaged --resolution 16", "the suite 'packaged' has resolutions of its own: leave --resolution"),
            ("--suite packaged --seed 7", "the splits of the suite 'packaged' are fixed, and --seed is that of --data"),
            (f"--data-root {mini} --seed 7", "the splits of GV-B are fixed, and --seed is that of --data"),
        ):
            assert main(["bench", "run", "MN-B4", *line.split()]) == 2
            assert sentence in capsys.readouterr().err


@dataclass
class Settings:
    scale: float


class Held(nn.Module):
    def __init__(self, **held):
        super().__init__()
        vars(self).update(held)


def scaled(factor):
    return lambda x: x * factor


def test_networks_that_hold_different_things_have_different_names():
    loop = Settings(1.0)
    loop.itself = loop
    different = [
        {"scale": torch.tensor(1.0)},
        {"scale": torch.tensor(2.0)},
        {"scale": torch.tensor([1.0])},
        {"scale": np.ones(2)},
        {"scale": np.ones(2, np.float32)},
        {"scale": Settings(1.0)},
        {"scale": Settings(2.0)},
        {"scale": scaled(1)},
        {"scale": scaled(2)},
        {"scale": lambda x: x + 1},
        {"scale": lambda x: x + 2},
        {"scale": {"a": [torch.zeros(1)]}},
        {"scale": {"a": [torch.ones(1)]}},
        {"scale": {1, 2}},
        {"scale": loop},
    ]
    names = [architecture_sha256(Held(**held)) for held in different]
    assert len(set(names)) == len(names) == len({architecture_sha256(Held(**held)) for held in different})
    assert architecture_sha256(Held(scale=scaled(2))) == architecture_sha256(Held(scale=scaled(2)))
    assert architecture_sha256(Held(_calls=1)) == architecture_sha256(Held(_calls=2))


def test_comments_and_layout_are_not_part_of_a_network(tmp_path, monkeypatch):
    names = []
    for i, code in enumerate(
        ("return x + 1", '"""Adds."""\n        # one\n        return (x\n            + 1)', "return x + 2")
    ):
        (tmp_path / f"net{i}").mkdir()
        path = tmp_path / f"net{i}" / f"own_net_{i}.py"
        path.write_text(f"from torch import nn\n\n\nclass Own(nn.Module):\n    def forward(self, x):\n        {code}\n")
        monkeypatch.syspath_prepend(str(path.parent))
        own = __import__(f"own_net_{i}").Own
        own.__module__ = "own_net"  # as if it had been edited
        monkeypatch.setitem(__import__("sys").modules, "own_net", __import__(f"own_net_{i}"))
        names.append(architecture_sha256(own()))
    assert names[0] == names[1] != names[2]


def test_every_choice_is_made_before_the_test_images_open(monkeypatch):
    seen = []
    fit = linear.RidgeLoo.of

    class Watching(FeatureCache):
        def __call__(self, backbone, images, ids, view):
            seen.append("test" if np.isin(ids, TASK.test).any() else "train")
            return super().__call__(backbone, images, ids, view)

    monkeypatch.setattr(linear.RidgeLoo, "of", lambda *args, **named: seen.append("choice") or fit(*args, **named))
    LinearProbe(extract=Watching()).many(RawPixels(), TASK, [TASK.train, TASK.train[:15]])
    assert seen == ["train", "choice", "choice", "test"]


def test_averages_that_were_published_alone_stand_beside_all_twenty():
    every = list(AGGREGATES["CLS-AVG"])
    alone = {row["backbone"]: row["CLS-AVG"] for row in published_rows(every, 100) if "CLS-AVG" in row}
    assert alone["R50, ImageNet"] == 73.0  # INTERN, table 1
    assert published_rows(every[:-1], 100) == []


def test_a_set_of_another_checksum_is_scored_and_told(mini, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = f"bench run UniNet-B0 --data-root {mini} --tasks flowers102 --resolution 32 --seeds 1 --percents 100 --quiet"
    assert main(line.split()) == 0
    assert "metanet: flowers102 is wrong checksum: " in (err := capsys.readouterr().err)
    assert "is not the official file, and is scored as it is: its numbers are not GV-B's" in err


def test_ones_own_lists_keep_the_groups_of_the_official_set(mini, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(mini / "gtsrb", root / "gtsrb")
    official = read_official("gtsrb", root)
    folder = root / "lists" / "gtsrb"
    folder.mkdir(parents=True)
    below = official.images.root.relative_to(root)
    for part, ids in (("train", official.train[::-1]), ("test", official.test)):
        lines = [f"{(below / official.images.files[i]).as_posix()} {official.images.labels[i]}" for i in ids]
        (folder / f"{part}.list").write_text("\n".join(lines))
    own = read_official("gtsrb", root)
    same = own.groups[own.train][:, None] == own.groups[own.train]
    want = official.groups[official.train[::-1]]
    np.testing.assert_array_equal(same, want[:, None] == want)


def test_a_layer_that_is_not_the_last_to_be_used_is_no_classifier():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.proj = nn.Linear(4, 2), nn.Linear(12, 4)

        def forward(self, x):
            return self.fc(self.proj(x.flatten(1)))

    x = torch.randn(3, 3, 2, 2)
    with pytest.raises(MetanetError, match=r"'proj' of a Odd is not its classifier .*: name the one that is, as in"):
        headless(Odd()).forward_features(x)
    assert headless(Odd(), "fc").forward_features(x).shape == (3, 4)
    square = Odd()
    square.fc, square.proj = nn.Linear(12, 2), nn.Linear(12, 12)
    with pytest.raises(MetanetError, match=r"'proj' of a Odd is not its classifier .it is not the last to be used"):
        headless(square).forward_features(x)


def test_black_images_of_other_sides_are_no_doubles():
    class Black:
        name = "black"

        def __len__(self):
            return 2

        def decoded(self, i):
            return np.zeros(((8, 32), (32, 8))[i] + (3,), np.uint8)

    assert len(set(prints(Black(), np.arange(2)).pixels)) == 2


def test_logistic_regression_is_at_its_optimum_where_classes_are_separable():
    rng = np.random.default_rng(3)
    labels = np.arange(60) % 3
    x = np.eye(3)[labels] @ rng.normal(size=(3, 12)) * 4 + rng.normal(size=(60, 12))
    found = LogisticCv.fit(x, labels, 3, costs=np.array([1e6]))

    def objective(flat):
        scores = x @ flat[:36].reshape(12, 3) + flat[36:]
        losses = logsumexp(scores, axis=1) - scores[np.arange(60), labels]
        p = np.exp(scores - logsumexp(scores, axis=1, keepdims=True)) - np.eye(3)[labels]
        slope = np.concatenate([(found.c * x.T @ p).ravel() + flat[:36], found.c * p.sum(axis=0)])
        return found.c * losses.sum() + (flat[:36] ** 2).sum() / 2, slope

    ours = np.concatenate([found.weights.ravel(), found.bias])
    best = minimize(objective, ours, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-16}).fun
    assert objective(ours)[0] / best - 1 < 1e-4
    assert found.chosen["gap"] < 1e-4


def test_averages_over_different_tasks_have_no_best():
    wide = pd.DataFrame(
        {
            "backbone": ["a", "b"],
            "from": "scored here",
            "x": [1.0, 2.0],
            "mean": [9.0, 8.0],
            "mean tasks": ["1 of 2", "2 of 2"],
        }
    )
    text = latex(wide, caption="c", name="n")
    assert r"\textbf{2.0}" in text and r"\textbf{9.0}" not in text
    assert r"\textbf{9.0}" in latex(wide.assign(**{"mean tasks": "2 of 2"}), caption="c", name="n")
