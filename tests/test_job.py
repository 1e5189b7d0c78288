"""The main job in small: every file of the run folder, hygiene, and the same end after kills."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pandas as pd
import pytest
import torch

import metanet
from metanet import MetanetError
from metanet.cli import main, phases
from metanet.cli.frozen import check_untested, freeze
from metanet.cli.job import JobOptions, prepare
from metanet.cli.job_report import marks_of
from metanet.pretrain import ExpertConfig
from metanet.search_spaces import Supernet, load_space
from metanet.searchers import load_result
from metanet.searchers.history import OPTIONS
from metanet.training import state_sha256

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
    assert max(s.values["r2"] for s in result.scored) == result.best.values["r2"]
    assert all(s.metrics["r2"] < s.metrics["accuracy"] < 1 for s in result.scored)
    cost = metanet.cost(spec)
    assert cost.macs <= 1_000_000 and cost.params <= 80_000
    net = metanet.create(run / "winner.safetensors")
    assert net.spec == spec and metanet.weights.provenance(run / "winner.safetensors")["stage"] == "expert"


@pytest.mark.slow
def test_a_search_may_learn_from_proxies_and_the_report_says_so(run, tmp_path):
    folder = tmp_path / "proxies"
    shutil.copytree(run / "supernet", folder / "supernet")
    shutil.copy(run / "images.json", folder)
    assert main([*ARGV, "--trials", "10", "--proxies", "naswot,params", "--out", str(folder)]) == 0
    assert "scored by predictor (which learnt from naswot, params, too)" in (folder / "report.html").read_text()
    plain, told = (load_result(one / "search.journal").study.user_attrs[OPTIONS] for one in (run, folder))
    assert plain["sampler"] == "PredictorGuided(first=8, pool=200)" and "proxies=" in told["sampler"]


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


def test_a_dearest_draw_that_fell_behind_has_no_star():
    specs = load_space("metanet-tiny").freeze(resolution=28).sample(2, seed=0)
    scored = pd.DataFrame({"id": [specs[0].id], "macs": [9], "r2": [0.5]})
    assert marks_of(scored, {"search": specs[0], "most MACs": specs[1]}) == {"winner of search": (9, 0.5)}


def test_a_second_run_changes_no_result(run, capsys):
    before = {
        name: (run / name).read_bytes() for name in ("scores.csv", "winner.json", "winner.safetensors", "frozen.json")
    }
    assert main([*ARGV, "--watch", "--out", str(run)]) == 0
    assert {name: (run / name).read_bytes() for name in before} == before
    shown = capsys.readouterr()
    assert f"metanet bench run {run}/winner.safetensors" in shown.out.strip().split("\n")[-1]
    for name, other in (("search", "random search"), ("random search", "search")):
        assert re.search(rf"^{name}: 4 of 4 trials .*; {other} after 4 evaluations: best r2", shown.err, re.M)


@pytest.fixture(scope="module")
def inherited(run, tmp_path_factory):
    """A run folder of the same options whose winners begin with the supernet's weights, stopped in the midst and ended
    by the same command; supernet and studies are those of `run`."""
    folder = tmp_path_factory.mktemp("job") / "inherited"
    shutil.copytree(run / "supernet", folder / "supernet")
    for name in ("search.journal", "random.journal"):
        shutil.copyfile(run / name, folder / name)
    real, steps = torch.optim.AdamW.step, []

    def dies(self, *args, **kwargs):
        steps.append(0)
        if len(steps) == 30:  # in the second of the fine-tunings, of 19 steps each
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", dies)
        assert main([*ARGV, "--inherit", "--out", str(folder)]) == 130
    assert len(list(folder.glob("retrain/*/weights.safetensors"))) == 1 and not (folder / "frozen.json").exists()
    assert main([*ARGV, "--inherit", "--out", str(folder)]) == 0
    return folder


def trained_supernet(folder):
    """The supernet of a run folder."""
    supernet = Supernet(load_space("metanet-tiny").freeze(resolution=28), 10)
    supernet.load_state_dict(torch.load(folder / "supernet" / "checkpoint.pt", weights_only=True)["state"]["supernet"])
    return supernet


@pytest.mark.slow
def test_winners_and_controls_are_fine_tuned_from_the_supernet(run, inherited):
    supernet = trained_supernet(run)
    assert (inherited / "winner.json").read_bytes() == (run / "winner.json").read_bytes()
    for spec in {metanet.create(path).spec for path in inherited.glob("retrain/*/weights.safetensors")}:
        start = supernet.extract(spec)
        for k in (0, 1):
            facts = metanet.weights.provenance(inherited / "retrain" / f"{spec.id}-{k}" / "weights.safetensors")
            with torch.random.fork_rng():
                torch.manual_seed(k)
                start.reset_classifier(10)  # the stage's own, from its seed
            assert facts["start"] == state_sha256(start)
            assert json.loads(facts["config"]) == asdict(ExpertConfig(epochs=1, seed=k))
    scratch = pd.read_csv(run / "scores.csv"), pd.read_csv(inherited / "scores.csv")
    assert len(scratch[0]) == len(scratch[1]) and not scratch[0]["value"].equals(scratch[1]["value"])


@pytest.mark.slow
def test_everything_says_how_the_winners_got_their_weights(run, inherited):
    for folder, words, inherit in (
        (run, "trained from scratch", False),
        (inherited, "fine-tuned from the supernet's weights", True),
    ):
        about = json.loads((folder / "manifest.json").read_text())
        assert about["options"]["inherit"] is inherit and about["weights of winners"] == words
        assert words in html.unescape((folder / "report.html").read_text())
        assert metanet.weights.provenance(folder / "winner.safetensors")["weights"] == words
        assert ("fine-tuned" in (folder / "verdict.txt").read_text()) is inherit


@pytest.mark.slow
def test_fine_tuning_that_was_stopped_ends_the_same(run, inherited, tmp_path):
    data, spec = prepare(JobOptions()).data, metanet.ArchSpec.load(inherited / "winner.json")
    start = trained_supernet(run).extract
    for seed in (0, 1):
        phases.trained(spec, data, tmp_path / str(seed), epochs=1, seed=seed, start=start)
        mine = inherited / "retrain" / f"{spec.id}-{seed}" / "weights.safetensors"
        assert mine.read_bytes() == (tmp_path / str(seed) / "weights.safetensors").read_bytes()


def test_a_tested_run_takes_no_more_trials(run, capsys):
    before = (run / "search.journal").read_bytes()
    assert main([*ARGV, "--trials", "5", "--out", str(run)]) == 2
    said = capsys.readouterr().err
    assert "was tested after 4 trials, and 5 would choose anew with the test known: take another folder (--out)" in said
    assert (run / "search.journal").read_bytes() == before


def test_winners_are_frozen_once(tmp_path):
    first, other = load_space("metanet-tiny").sample(2, seed=0)
    freeze(tmp_path, {"search": first, "random search": other}, 4)
    before = (tmp_path / "frozen.json").read_bytes()
    freeze(tmp_path, {"search": first, "random search": other}, 4)
    check_untested(tmp_path, 3)
    with pytest.raises(MetanetError, match=r"tested with other winners \(random search changed since\)"):
        freeze(tmp_path, {"search": first, "random search": first}, 4)
    assert (tmp_path / "frozen.json").read_bytes() == before
    (tmp_path / "frozen.json").write_text("[]")
    with pytest.raises(MetanetError, match=r"frozen.json' is damaged: take another folder \(--out\) to test"):
        check_untested(tmp_path, 4)


def test_a_damaged_manifest_is_said_in_a_sentence(tmp_path):
    assert phases.earlier_seconds(tmp_path) == {}
    for content in ("{", "[]", "{}", '{"seconds": {"search": "long"}}'):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(MetanetError, match=r"manifest.json' is damaged: delete it, the run writes it again"):
            phases.earlier_seconds(tmp_path)


def test_both_ways_do_not_share_a_folder(run, capsys):
    before = (run / "scores.csv").read_bytes()
    assert main([*ARGV, "--inherit", "--out", str(run)]) == 2
    assert "belongs to other options" in capsys.readouterr().err and (run / "scores.csv").read_bytes() == before


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
