"""Cells on disk: what names them, what is kept, what a kill and damage leave; runs that fill a folder."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import recall_score
from torch import nn

from metanet.bench import PROBES, Constant, DiskCache, FeatureCache, RawPixels, Task
from metanet.bench.cells import CellFolder, load_results, run_cells
from metanet.bench.cells import run as running
from metanet.bench.cells.cell import read_cell, setting_of
from metanet.bench.cells.pack import pack, unpack
from metanet.bench.cells.run import Summary, Watched
from metanet.data import ArrayImages, ids_sha256, percent_subset
from metanet.errors import MetanetError

SOURCE = load_digits(n_class=4)
PIXELS = (SOURCE.images[:240] * 15).astype(np.uint8)
DIGITS = ArrayImages("digits", PIXELS, SOURCE.target[:240], tuple("0123"))
TASK = Task("digits", "classification", "accuracy", DIGITS, np.arange(160), np.arange(160, 240), 8)
NET = {"raw": RawPixels()}


class Scaled(RawPixels):
    """Raw pixels times a weight."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(weight)))

    def forward_head(self, x, pre_logits=False):
        return super().forward_head(x) * self.weight


def fill(out, entrants=NET, tasks=(TASK,), **options):
    return run_cells(entrants, tasks, out, **{"percents": (10, 100), "seeds": (0, 1), "quiet": True} | options)


def files(out):
    return {path.name: path.read_bytes() for path in sorted((Path(out) / "cells").glob("*.json"))}


@given(arrays(np.int64, st.integers(0, 50), elements=st.integers(0, 70_000)))
def test_packed_classes_come_back(values):
    packed = json.loads(json.dumps(pack(values)))
    found = unpack(packed)
    assert found.dtype == np.int64 and np.array_equal(found, values)
    width = 1 if values.max(initial=0) < 256 else 2 if values.max() < 65_536 else 4
    assert len(zlib.decompress(base64.b64decode(packed["deflated"]))) == width * len(values)


def test_a_cell_holds_all_that_it_takes_to_compute_it_again(tmp_path):
    fill(tmp_path)
    cell = next(cell for cell in load_results(tmp_path).cells if cell.percent == 10 and cell.seed == 1)
    ids = percent_subset(DIGITS.labels, TASK.train, 10, seed=1)
    assert cell.about["train"] == ids_sha256(ids) and cell.n_train == len(ids)
    assert cell.about["images"] == DIGITS.fingerprint and cell.about["test"] == ids_sha256(TASK.test)
    assert cell.about["view"] == {
        "resolution": 8,
        "mean": None,
        "std": None,
        "interpolation": "bilinear",
        "crop": 1.0,
    }
    x = DIGITS.batch(np.arange(240), 8).flatten(1).numpy()
    again = RidgeClassifier(alpha=cell.answers.chosen["lambda"]).fit(x[ids], DIGITS.labels[ids]).predict(x[TASK.test])
    np.testing.assert_array_equal(cell.answers.predicted, again)
    np.testing.assert_array_equal(cell.answers.truth, DIGITS.labels[TASK.test])
    content = json.loads((tmp_path / "cells" / f"{cell.key}.json").read_text())
    assert content["metrics"]["accuracy"] == cell.value == (again == DIGITS.labels[TASK.test]).mean()
    tried = dict(zip(content["curve"]["lambda"], content["curve"]["accuracy"], strict=True))
    assert tried[content["chosen"]["lambda"]] == max(tried.values()) and len(tried) > 10
    assert content["record"]["versions"]["torch"] == torch.__version__.split("+")[0]


def test_a_second_run_reads_what_the_first_one_wrote(tmp_path):
    first = fill(tmp_path)
    before = files(tmp_path)
    assert first == Summary(computed=4, read=0, forwards=240, hits=first.hits)
    assert (
        str(first) == f"240 forward passes of an image, {first.hits} features from the cache; 4 cells computed, 0 read"
    )
    second = fill(tmp_path)
    assert second == Summary(computed=0, read=4, forwards=0, hits=0) and files(tmp_path) == before
    assert str(second) == "0 forward passes: all 4 cells were finished before"


def test_features_of_an_earlier_run_need_no_forward_pass(tmp_path):
    fill(tmp_path / "a", cache=DiskCache(tmp_path / "features"))
    again = fill(tmp_path / "b", cache=DiskCache(tmp_path / "features"))
    assert (again.computed, again.forwards) == (4, 0) and again.hits > 0
    assert str(again) == "0 forward passes: all features were in the cache; 4 cells computed, 0 read"
    for name, content in files(tmp_path / "a").items():
        ours, theirs = json.loads(content), json.loads(files(tmp_path / "b")[name])
        assert ours["predicted"] == theirs["predicted"] and ours["curve"] == theirs["curve"]


def test_what_changes_results_changes_the_keys_and_nothing_else_does(tmp_path):
    def keys(name, entrants=NET, task=TASK, **options):
        fill(tmp_path / name, entrants, (task,), **{"percents": (10,), "seeds": (0,)} | options)
        return set(files(tmp_path / name))

    base = keys("base")
    same = {
        "other name": {"entrants": {"another name": RawPixels()}},
        "other task name": {"task": replace(TASK, name="another")},
        "other images' name": {"task": replace(TASK, images=replace(DIGITS, name="another"))},
        "metric": {"task": replace(TASK, metric="mean_per_class")},
        "groups of one image": {"task": replace(TASK, groups=np.arange(240))},
        "in a cache": {"cache": DiskCache(tmp_path / "features")},
        "a baseline": {"entrants": {"x": Constant()}, "baselines": NET},
        "more of them": {"seeds": (0, 1), "percents": (10, 20)},
    }
    different = {
        "seed": {"seeds": (1,)},
        "percent": {"percents": (20,)},
        "weights": {"entrants": {"raw": Scaled(2)}},
        "other weights": {"entrants": {"raw": Scaled(3)}},
        "resolution": {"task": replace(TASK, resolution=4)},
        "test": {"task": replace(TASK, test=np.arange(160, 230))},
        "train": {"task": replace(TASK, train=np.arange(150))},
        "groups": {"task": replace(TASK, groups=np.arange(240) // 2)},
        "images": {"task": replace(TASK, images=replace(DIGITS, pixels=255 - PIXELS))},
        "halves": {"cache": DiskCache(tmp_path / "halves", dtype="float16")},
    }
    assert all(base <= keys(name, **options) for name, options in same.items())
    found = [keys(name, **options) for name, options in different.items()]
    assert len(set().union(base, *found)) == 1 + len(different)


def test_test_images_open_once_a_cell_and_it_is_written_down(tmp_path):
    class Asked(FeatureCache):
        def __init__(self):
            super().__init__()
            self.ids = []

        def __call__(self, backbone, images, ids, view):
            self.ids.append(np.asarray(ids))
            return super().__call__(backbone, images, ids, view)

    cache = Asked()
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    fill(tmp_path, cache=cache)
    with_test = [ids for ids in cache.ids if np.isin(ids, TASK.test).any()]
    assert len(with_test) == 1 and np.array_equal(with_test[0], TASK.test)  # for all cells of one backbone together
    for cell in load_results(tmp_path).cells:
        assert begin <= cell.record["test images opened"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    opened = [json.loads(line) for line in (tmp_path / "opened.jsonl").read_text().splitlines()]
    keys = {cell.key: cell.record["test images opened"] for cell in load_results(tmp_path).cells}
    assert {row["cell"]: row["opened"] for row in opened} == keys and len(opened) == len(keys)
    cache.ids.clear()
    fill(tmp_path, cache=cache)
    assert cache.ids == [] and len((tmp_path / "opened.jsonl").read_text().splitlines()) == len(opened)


def test_an_opening_is_written_down_before_it_happens(tmp_path):
    class Dies(FeatureCache):
        def __call__(self, backbone, images, ids, view):
            if np.isin(ids, TASK.test).any():
                raise KeyboardInterrupt
            return super().__call__(backbone, images, ids, view)

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, cache=Dies())
    opened = [json.loads(line) for line in (tmp_path / "opened.jsonl").read_text().splitlines()]
    assert {(row["backbone"], row["task"]) for row in opened} == {("raw", "digits")} and files(tmp_path) == {}
    assert len({row["cell"] for row in opened}) == len(opened) > 0


def test_a_task_of_another_metric_is_scored_from_the_same_answers(tmp_path):
    fill(tmp_path)
    again = fill(tmp_path, tasks=(replace(TASK, metric="mean_per_class"),), percents=(100,), seeds=(0,))
    assert again.computed == 0
    for cell in load_results(tmp_path).cells:  # those of the other percentages, too: a curve has one metric
        truth, predicted = cell.answers.truth, cell.answers.predicted
        assert cell.value == pytest.approx(recall_score(truth, predicted, average="macro"))


class Curious:
    """A probe that looks at the test images as often as it is told."""

    def __init__(self, extract, times=2):
        self.extract, self.times = extract, times

    def answers(self, backbone, task, ids):
        for _ in range(self.times):
            self.extract(backbone, task.images, task.test, 8)


@pytest.mark.parametrize("times", [0, 2])
def test_a_probe_that_opens_the_test_images_twice_or_never_is_refused(tmp_path, monkeypatch, times):
    monkeypatch.setitem(running.PROBES, "curious", lambda extract: Curious(extract, times))
    with pytest.raises(
        MetanetError, match=f"backbone 'raw' on 'digits': a probe must open .* once a cell, got {times}"
    ):
        fill(tmp_path, probe="curious")
    assert files(tmp_path) == {}


def test_a_probe_that_answers_draw_by_draw_opens_them_for_each(tmp_path, monkeypatch):
    from metanet.bench import LinearProbe

    class Slow:
        def __init__(self, extract):
            self.answers = LinearProbe(extract=extract).answers

    monkeypatch.setitem(running.PROBES, "slow", Slow)
    fill(tmp_path / "slow", probe="slow")
    fill(tmp_path / "linear")
    ours, theirs = (load_results(tmp_path / name).cells for name in ("slow", "linear"))
    assert len(ours) == 4
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.answers.predicted, b.answers.predicted)
        assert a.key != b.key


@pytest.mark.parametrize("probe", sorted(PROBES))
def test_every_probe_fills_cells(tmp_path, probe):
    assert fill(tmp_path, probe=probe).computed == 4
    for cell in load_results(tmp_path).cells:
        assert cell.probe == probe and cell.value > (0.8 if cell.percent == 100 else 0.5)
        assert set(cell.answers.transfer) == ({"logme", "h_score"} if probe == "linear" else set())
        assert cell.answers.chosen and len({len(column) for column in cell.answers.curve.values()}) == 1


def test_watching_sees_test_images_among_others():
    watched = Watched(FeatureCache(), TASK, lambda: "now")
    watched(RawPixels(), DIGITS, TASK.train, 8)
    assert watched.opened == []
    watched(RawPixels(), DIGITS, np.array([3, 161]), 8)
    assert len(watched.opened) == 1 and watched.only() == watched.opened[0]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text[: len(text) // 2], "it is not a whole cell: JSONDecodeError"),
        (lambda text: text.replace('"n_test": 80', '"n_test": 81'), "its SHA-256 is another one than it says"),
        (lambda text: "[]", "it is not a whole cell"),
        (lambda text: "", "it is not a whole cell"),
    ],
)
def test_a_damaged_cell_is_told_and_computed_again(tmp_path, damage, why):
    fill(tmp_path)
    before = files(tmp_path)
    name = sorted(before)[1]
    path = tmp_path / "cells" / name
    path.write_text(damage(before[name].decode()))
    with pytest.warns(
        UserWarning, match=f"the cell '.*{name}' is damaged and counts as not finished: {re.escape(why)}"
    ):
        assert fill(tmp_path).computed == 1
    again, old = (json.loads(content) for content in (path.read_bytes(), before[name]))
    assert again["predicted"] == old["predicted"] and again["about"] == old["about"]


def test_a_cell_under_another_name_is_not_taken_for_it(tmp_path):
    fill(tmp_path)
    one, other = sorted((tmp_path / "cells").glob("*.json"))[:2]
    other.write_bytes(one.read_bytes())
    with pytest.warns(UserWarning, match=f"counts as not finished: it is the cell {one.stem}"):
        assert CellFolder(tmp_path).read(other.stem) is None


def test_a_renamed_backbone_is_not_scored_again_and_changed_weights_leave_the_tables(tmp_path):
    fill(tmp_path, {"net": Scaled(2)})
    assert fill(tmp_path, {"renamed": Scaled(2)}).computed == 0
    assert {row.backbone for row in load_results(tmp_path).rows} == {"net", "renamed"}
    assert fill(tmp_path, {"net": Scaled(5)}, percents=(10,)).computed == 2
    rows = load_results(tmp_path).rows
    assert [(r.percent, r.seed) for r in rows if r.backbone == "net"] == [(10, 0), (10, 1)]
    assert len({r.setting for r in rows if r.backbone == "net"}) == 1
    assert len(files(tmp_path)) == 6  # the old cells stay, for whoever goes back


def test_more_percentages_and_backbones_join_a_folder(tmp_path):
    fill(tmp_path, percents=(10,))
    fill(tmp_path, {"scaled": Scaled(2)}, percents=(10,))
    summary = fill(tmp_path, percents=(10, 50))
    assert (summary.computed, summary.read) == (2, 2)
    rows = load_results(tmp_path).rows
    assert {(r.backbone, r.percent) for r in rows} == {("scaled", 10), ("raw", 10), ("raw", 50)}


def test_a_damaged_index_is_made_of_the_cells(tmp_path):
    fill(tmp_path, baselines={"majority class": Constant()})
    rows = {(r.backbone, r.percent, r.seed, r.baseline, r.key, r.setting) for r in load_results(tmp_path).rows}
    (tmp_path / "index.json").write_text('{"rows": [{"backbone"')
    with pytest.warns(UserWarning, match="index.json' is damaged: its rows are taken from the cells"):
        found = load_results(tmp_path)
    assert {(r.backbone, r.percent, r.seed, r.baseline, r.key, r.setting) for r in found.rows} == rows


def test_unfinished_cells_are_known(tmp_path):
    fill(tmp_path)
    rows = load_results(tmp_path).rows
    (tmp_path / "cells" / f"{rows[2].key}.json").unlink()
    found = load_results(tmp_path)
    assert found.missing == (rows[2],) and len(found.cells) == 3


def test_a_setting_leaves_out_the_draw_alone():
    about = {"percent": 1.0, "seed": 0, "train": "a", "weights": "w"}
    assert setting_of(about) == setting_of({"percent": 5.0, "seed": 3, "train": "b", "weights": "w"})
    assert setting_of(about) != setting_of(about | {"weights": "v"})


def test_tasks_of_other_kinds_wait_for_their_heads(tmp_path):
    dense = replace(TASK, name="boxes", kind="detection", metric="AP50")
    summary = fill(tmp_path, tasks=(TASK, dense))
    assert summary.waiting == ("boxes",) and summary.computed == 4
    assert {row.task for row in load_results(tmp_path).rows} == {"digits"}


RUN = """
import sys
import numpy as np
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]).parent))
import test_bench_cells as t
from metanet.bench.cells import folder
real, count = folder.write_cell, 0
def write(path, cell):
    global count
    count += 1
    if count == int(sys.argv[3]):
        import os, signal
        path.with_name(f".{path.name}.dead.tmp").write_text('{"half": ')
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, cell)
folder.write_cell = write
t.fill(sys.argv[2], {"a": t.RawPixels(), "b": t.Scaled(2)})
"""


def test_killed_at_any_cell_it_ends_the_same(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    entrants = {"a": RawPixels(), "b": Scaled(2)}
    fill(whole, entrants)
    killed_at = 6  # of 8 cells, within those of the second backbone
    done = subprocess.run([sys.executable, "-c", RUN, __file__, str(broken), str(killed_at)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert len(files(broken)) == 5
    assert len(load_results(broken).missing) == 3  # the plan was written before the first cell
    old = time.time() - 7200
    for litter in (broken / "cells").glob(".*.tmp"):
        os.utime(litter, (old, old))
    summary = fill(broken, entrants)
    assert (summary.computed, summary.read) == (3, 5)
    assert not list((broken / "cells").glob(".*.tmp"))
    ours, theirs = files(whole), files(broken)
    assert ours.keys() == theirs.keys()
    for name in ours:
        a, b = json.loads(ours[name]), json.loads(theirs[name])
        assert all(a[part] == b[part] for part in a if part not in ("record", "sha256"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entrants": {}}, "a run scores at least one backbone, got none: name one"),
        ({"percents": ()}, "a run scores at least one percentage, got none: name one"),
        ({"seeds": ()}, "a run scores at least one seed, got none: name one"),
        ({"seeds": (0, 0)}, "each seed of a run must be given once, got 0 twice: leave one out"),
        ({"percents": (5, 5)}, "each percentage of a run must be given once, got 5 twice"),
        ({"tasks": (TASK, TASK)}, "each task of a run must be given once, got 'digits' twice"),
        ({"baselines": NET}, "a backbone must not have the name of a baseline, got 'raw': rename it"),
        ({"probe": "liner"}, "unknown probe 'liner': did you mean 'linear'?"),
        ({"percents": (101,)}, "a percentage must be above 0 and at most 100, got 101"),
        ({"entrants": {"id": nn.Identity()}}, "backbone 'id': a backbone must have forward_features"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(MetanetError, match=re.escape(message)):
        fill(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_a_backbone_that_fails_is_named_with_its_task(tmp_path):
    class Broken(RawPixels):
        def forward_head(self, x, pre_logits=False):
            return super().forward_head(x) / 0

    with pytest.raises(MetanetError, match="backbone 'broken' on 'digits': features must be finite"):
        fill(tmp_path, {"broken": Broken()})


def test_a_folder_without_cells_is_told(tmp_path):
    with pytest.raises(
        MetanetError, match=f"'{tmp_path}' holds no finished cell: name a folder that `metanet bench run"
    ):
        load_results(tmp_path)


def test_a_cell_of_a_later_format_is_told(tmp_path):
    fill(tmp_path, percents=(10,), seeds=(0,))
    (path,) = (tmp_path / "cells").glob("*.json")
    content = json.loads(path.read_text())
    content.pop("sha256")
    from metanet.bench.cells.cell import _digest

    content["format"] = 99
    path.write_text(json.dumps(content | {"sha256": _digest(content)}))
    with pytest.raises(ValueError, match="its format is 99, known is 2"):
        read_cell(path)
