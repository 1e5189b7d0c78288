"""The main job in small: every file of the run folder, hygiene, and the same end after kills."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import metanet
from metanet.cli import main
from metanet.cli.job import prepare
from metanet.search_spaces import load_space
from metanet.searchers import load_result

SMALL = "--constraints 'macs <= 1M, params <= 80k' --supernet-steps 3 --trials 4 --epochs 1 --retrain-seeds 2"
ARGV = ["search", *re.findall(r"'[^']*'|\S+", SMALL), "--percents", "1", "100"]
ARGV = [word.strip("'") for word in ARGV]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run folder."""
    folder = tmp_path_factory.mktemp("job") / "run"
    assert main([*ARGV, "--out", str(folder)]) == 0
    return folder


def test_the_winner_is_the_best_of_the_study_and_keeps_the_constraints(run):
    spec = metanet.ArchSpec.load(run / "winner.json")
    space = load_space("metanet-tiny").freeze(resolution=28)
    result = load_result(run / "search.journal", space)
    assert len(result.scored) == 4 and result.best.spec == spec
    assert max(s.values["accuracy"] for s in result.scored) == result.best.values["accuracy"]
    cost = metanet.cost(spec)
    assert cost.macs <= 1_000_000 and cost.params <= 80_000
    net = metanet.create(run / "winner.safetensors")
    assert net.spec == spec and metanet.weights.provenance(run / "winner.safetensors")["stage"] == "expert"


def test_scores_hold_every_cell_and_the_baselines(run):
    cells = pd.read_csv(run / "scores.csv")
    names = set(cells["backbone"])
    assert {"majority class", "raw pixels", "random initialisation of search, seed 0"} <= names
    assert {f"{w}, seed {k}" for w in ("search", "random search", "most MACs") for k in (0, 1)} <= names
    assert set(cells["percent"]) == {1, 100} and (cells["ci_low"] <= cells["value"]).all()
    assert cells[cells["backbone"] == "majority class"]["value"].between(0.09, 0.11).all()


def test_images_are_disjoint_and_named_in_the_manifest(run):
    about = json.loads((run / "manifest.json").read_text())
    assert {n: p["images"] for n, p in about["splits"].items()} == {"weights": 2500, "selection": 1000, "test": 1500}
    assert about["seeds"]["retraining"] == [0, 1] and about["seconds"].keys() >= {"supernet", "search"}
    assert about["options"]["constraints"] == "macs <= 1M, params <= 80k" and about["versions"]["torch"]
    frozen = json.loads((run / "frozen.json").read_text())
    assert frozen["winners"] == about["winners"] and frozen["test images opened"]


def test_the_report_needs_no_network_and_says_whether_the_search_paid(run):
    text = (run / "report.html").read_text()
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?://', text, re.IGNORECASE)
    for words in ("Did the search pay?", "random search", "most MACs", "over seeds", "raw pixels", "<svg"):
        assert words in text
    for name in ("trajectory", "front", "curve", "training", "winner"):
        assert (run / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_a_second_run_changes_no_result(run, capsys):
    before = {
        name: (run / name).read_bytes() for name in ("scores.csv", "winner.json", "winner.safetensors", "frozen.json")
    }
    assert main([*ARGV, "--out", str(run)]) == 0
    assert {name: (run / name).read_bytes() for name in before} == before
    assert f"metanet bench run {run}/winner.safetensors" in capsys.readouterr().out.strip().split("\n")[-1]


def test_other_options_in_the_same_folder_are_refused(run, capsys):
    before = (run / "search.journal").read_bytes()
    assert main([*ARGV, "--out", str(run), "--seed", "1"]) == 2
    assert "belongs to" in capsys.readouterr().err and (run / "search.journal").read_bytes() == before


def test_a_damaged_study_is_found_before_any_work_is_done(tmp_path, capsys):
    (tmp_path / "random.journal").write_text("garbage\n")
    start = time.monotonic()
    assert main(["search", "--out", str(tmp_path)]) == 2
    assert "random.journal' is damaged" in capsys.readouterr().err and time.monotonic() - start < 20
    assert (tmp_path / "random.journal").read_text() == "garbage\n" and not (tmp_path / "supernet").exists()


def test_a_damaged_checkpoint_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "supernet").mkdir()
    (tmp_path / "supernet" / "checkpoint.pt").write_bytes(b"half a checkpoint")
    assert main(["search", "--out", str(tmp_path)]) == 2
    assert "checkpoint.pt' is damaged" in capsys.readouterr().err
    assert (tmp_path / "supernet" / "checkpoint.pt").read_bytes() == b"half a checkpoint"


def test_a_searched_resolution_is_shown_at_its_own(tmp_path):
    from metanet.cli.job import JobOptions

    setting = prepare(JobOptions(resolution=None))
    assert set(setting.space.resolution) == {28, 32, 40, 48, 64} and setting.data.task.resolution == 64


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_the_same(run, tmp_path):
    argv = [sys.executable, "-m", "metanet", *ARGV, "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for seconds in (8, 14, 11, 17, 13):
        process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(argv, env=environment, check=True, capture_output=True)
    for name in ("winner.json", "scores.csv", "winner.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes(), name
