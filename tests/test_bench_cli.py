"""`metanet bench …`: what it scores, what it prints, what it says of mistakes and of what is missing."""

import json
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from metanet.bench import Task, suites
from metanet.cli import bench_networks, main
from metanet.data import ArrayImages
from metanet.errors import MetanetError
from metanet.factory import create

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
PIXELS = RNG.integers(0, 150, (60, 8, 8), np.uint8)
PIXELS[np.arange(60), LABELS] += 100
IMAGES = ArrayImages("bars", PIXELS, LABELS, ("a", "b", "c"))
SPEC = {
    "stem_width": 8,
    "head_width": 16,
    "resolution": 8,
    "stages": [{"op": "mbconv", "depth": 1, "width": 8, "expansion": 2}],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a small network and a suite of two small tasks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(SPEC))
    tasks = tuple(
        Task(name, "classification", metric, IMAGES, np.arange(30), np.arange(30, 60), 8, fixed=True)
        for name, metric in (("bars", "accuracy"), ("stripes", "mean_per_class"))
    )
    monkeypatch.setitem(suites.SUITES, "packaged", lambda: tasks)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def said(line, capsys):
    """Exit code, stdout and stderr of a command."""
    code = main(line.split())
    out = capsys.readouterr()
    return code, out.out, out.err


RUN = "bench run --suite packaged --alone --model net.json --percents 10 100 --seeds 2 --quiet"


def test_a_run_prints_tables_and_says_what_it_took_and_what_is_next(here, capsys):
    code, out, err = said(RUN, capsys)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0 and "metanet:" not in err
    assert "test scores with 100 % of the training images (%), mean over draws" in " ".join(lines)
    assert "mean over 2 of 2 tasks, by share of the training images (%)" in " ".join(lines)
    # Both tasks ask the same of the same 60 images, and the network is its own random initialisation: three backbones,
    # one pass, and the cells of one task are those of the other.
    assert any(line.startswith("180 forward passes of an image") and "12 cells computed" in line for line in lines)
    assert lines[-1] == (
        "open runs/bench/report.html, then type: metanet bench compare net.json 'raw pixels' --in runs/bench"
    )
    for name in ("report.html", "bars.png", "curve-mean.png", "cells.csv", "scores.tex", "index.json"):
        assert (here / "runs" / "bench" / name).exists()
    code, out, _ = said(RUN, capsys)
    assert "0 forward passes: all 24 cells were finished before" in out
    code, out, _ = said(f"{RUN} --out elsewhere", capsys)
    assert "0 forward passes: all features were in the cache; 12 cells computed, 12 read" in out


def test_a_run_as_json_and_one_task_by_percentage(here, capsys):
    code, out, err = said(f"{RUN} --tasks bars --json", capsys)
    cells = json.loads(out)
    assert code == 0 and len(cells) == 12 and {cell["task"] for cell in cells} == {"bars"}
    assert "forward passes" in err and {cell["backbone"] for cell in cells} == {
        "net.json",
        "majority class",
        "raw pixels",
    }
    majority = [cell["value"] for cell in cells if cell["backbone"] == "majority class"]
    assert majority == pytest.approx([1 / 3] * 4)
    _, out, _ = said(f"{RUN} --tasks bars", capsys)
    assert "accuracy on bars, test images (%), mean over draws" in " ".join(out.split()) and "33.3" in out


def test_reports_and_comparisons_of_a_folder(here, capsys):
    said(RUN, capsys)
    code, out, _ = said("bench report runs/bench --out told --reach 50", capsys)
    assert code == 0 and out.splitlines()[-1] == "wrote told/report.html"
    assert "score to reach" in (here / "told" / "report.html").read_text()
    assert set(pd.read_csv(here / "told" / "efficiency.csv")["target"]) == {0.5}
    assert main(["bench", "compare", "net.json", "raw pixels"]) == 0
    out = capsys.readouterr().out
    assert "A: net.json, B: raw pixels; linear probe, paired over test images" in " ".join(out.split())
    assert main(["bench", "compare", "net.json", "raw pixels", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["task"], row["percent"]) for row in rows] == [
        ("bars", 10),
        ("bars", 100),
        ("stripes", 10),
        ("stripes", 100),
        ("all tasks", 10),
        ("all tasks", 100),
    ]
    code, out, _ = said("bench compare runs/bench runs/bench --json", capsys)
    assert code == 0 and all(row["difference"] == 0 for row in json.loads(out))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("bench run", "a run scores at least one network, got none: name one, as in `metanet bench run MN-B4`"),
        ("bench run net.json net.json", "each network must be given once, got 'net.json' twice: leave one out"),
        ("bench run net.json --suite packagd", "unknown suite 'packagd': did you mean 'packaged'?"),
        (f"{RUN} --tasks bar", "unknown task of the suite 'packaged' 'bar': did you mean 'bars'?"),
        (
            "bench run net.json --tasks bars",
            "--tasks names tasks of a suite or a data root: give --suite or --data-root",
        ),
        (f"{RUN} --percents 0", "a percentage must be above 0 and at most 100, got 0"),
        (f"{RUN} --seeds 0", "a run scores at least one seed, got none: name one"),
        (f"{RUN} --probe liner", "unknown probe 'liner': did you mean 'linear'?"),
        ("bench run timm:resnet18 --weights packaged", "unknown packaged weights 'timm:resnet18'"),
        ("bench run net.json --data-root nowhere", "none of 26 data sets can be read in 'nowhere'"),
        ("bench run net.json --data-root nowhere --tasks dtdd", "unknown task of GV-B 'dtdd': did you mean 'dtd'?"),
        ("bench run net.json --device cudda", "there is no device 'cudda' here: leave --device out to run on the cpu"),
        ("bench run net.json --resolution 0", "`resolution` of task 'mnist-5k' must be at least 1, got 0"),
        (
            "bench run net.json --weights packaged",
            "--weights packaged is for networks of timm and torchvision, named timm:NAME or",
        ),
        ("bench report net.json", "'net.json' holds no finished cell: name a folder that `metanet bench run --out`"),
        ("bench report nowhere", "'nowhere' holds no finished cell: name a folder that `metanet bench run --out`"),
        ("bench compare a b", "'runs/bench' holds no finished cell"),
        ("bench run net.json --cache net.json", "cannot write in the run folder 'net.json' (it is a file)"),
    ],
)
def test_mistakes_get_one_sentence(here, line, sentence, capsys):
    code, out, err = said(line, capsys)
    assert code == 2 and sentence in err and err.startswith("metanet: ") and out == ""
    assert [path.name for path in here.iterdir()] == ["net.json"]


def test_a_damaged_cell_is_one_line(here, capsys):
    said(RUN, capsys)
    path = min((here / "runs" / "bench" / "cells").glob("*.json"))
    path.write_text("{")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, out, err = said(RUN, capsys)
    assert code == 0 and "1 cells computed, 23 read" in out
    assert err.startswith(f"metanet: the cell 'runs/bench/cells/{path.name}' is damaged and counts as not finished")


def test_real_layouts_are_scored_and_what_is_missing_is_told(here, capsys):
    assert said("bench make-mini mini --tasks dtd,gtsrb,voc_seg", capsys)[0] == 0
    code, out, _ = said("bench doctor --data-root mini --json", capsys)
    states = {state["task"]: state["state"] for state in json.loads(out)}
    assert code == 0 and states["cifar10"] == "missing" and states["dtd"] != "missing" and len(states) == 26
    code, out, _ = said("bench doctor --data-root mini --tasks cifar10", capsys)
    assert code == 0 and "0 of 1 found" in out and "cifar-10-python" in out
    code, out, err = said(
        "bench run net.json --data-root mini --resolution 16 --percents 50 100 --seeds 1 --quiet", capsys
    )
    assert code == 0 and "CLS-AVG over 2 of 20 tasks" in out and "2 of 26 tasks are scored" in err
    assert "raw pixels" in out and "metanet: dtd is partial" in err
    code, out, _ = said(
        "bench run net.json --data-root mini --tasks dtd,gtsrb --resolution 16 --percents 10 --seeds 1 --quiet "
        "--out ten",
        capsys,
    )
    assert code == 0 and "MN-B15, Up-G" in out and "published" in out


def test_the_tasks_are_listed(here, capsys):
    code, out, _ = said("bench tasks", capsys)
    assert code == 0 and all(name in out for name in ("cifar10", "nyuv2", "wider_face"))
    code, out, _ = said("bench tasks --json", capsys)
    assert len(json.loads(out)) == 26


def test_networks_stand_beside_those_of_a_suite(monkeypatch):
    asked = []
    monkeypatch.setattr(bench_networks, "network", lambda name, weights: asked.append((name, weights)) or object())
    args = {"networks": ["a.json"], "model": ["timm:x"], "weights": "packaged", "suite": "packaged", "alone": False}
    found = bench_networks.entrants(SimpleNamespace(**args))
    assert list(found) == ["a.json", "timm:x (packaged)", "mobilenet_v2 (packaged)", "MN-B4 (random)"]
    assert asked == [
        ("a.json", "packaged"),
        ("timm:x", "packaged"),
        ("mobilenet_v2", "packaged"),
        ("MN-B4", "random"),
    ]
    alone = bench_networks.entrants(SimpleNamespace(**args | {"alone": True}))
    assert list(alone) == ["a.json", "timm:x (packaged)"]
    plain = bench_networks.entrants(SimpleNamespace(**args | {"suite": None, "weights": "random", "model": []}))
    assert list(plain) == ["a.json"]
    with pytest.raises(MetanetError, match="got 'timm:x' twice"):
        bench_networks.entrants(SimpleNamespace(**args | {"networks": ["timm:x"]}))


def test_proxies_of_architectures_as_a_table_and_as_json(here, capsys):
    line = "bench proxies net.json mn1/s8/h16/r8/fmb3:1x8:e3 --batch 8 --repeats 2 --proxies snip,params"
    code, out, err = said(line, capsys)
    lines = [" ".join(row.split()) for row in out.splitlines()]
    assert code == 0 and err == "" and "2 initialisations, 8 images of mnist-5k for each" in lines[0]
    counted = [create(name, num_classes=10) for name in ("net.json", "mn1/s8/h16/r8/fmb3:1x8:e3")]
    sizes = [f"{sum(p.numel() for p in net.parameters()):,}" for net in counted]
    assert f"params {sizes[0]} {sizes[1]}" in lines and any(row.startswith("snip ") and "±" in row for row in lines)
    code, out, _ = said(f"{line} --json", capsys)
    found = json.loads(out)
    assert [row["network"] for row in found] == ["net.json", "mn1/s8/h16/r8/fmb3:1x8:e3"]
    assert found[0]["params"] == float(sizes[0].replace(",", "")) and found[0]["snip"] > found[0]["snip.se"] > 0
    assert found[0]["id"] == counted[0].spec.id


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("bench proxies net.json --proxies snap", "unknown proxy 'snap': did you mean 'snip'"),
        ("bench proxies net.json --repeats 0", "a proxy needs at least 1 initialisation and 4 images for each, got"),
        ("bench proxies nowhere", "unknown model 'nowhere'"),
    ],
)
def test_mistakes_with_proxies_get_one_sentence(here, line, sentence, capsys):
    code, out, err = said(line, capsys)
    assert code == 2 and sentence in err and err.startswith("metanet: ") and out == ""
