"""`metanet supernet`, and the rules that `metanet search` and `metanet family` pass on."""

import json
import re
import shlex

import pandas as pd
import pytest
import torch

from metanet.cli import main, parser
from metanet.cli.family_score import FamilyOptions
from metanet.cli.job import JobOptions
from metanet.cli.setting import names_in
from metanet.cli.supernet import NUMBERS, _config, _next
from metanet.data import IMAGES, ArrayImages, load_images
from metanet.errors import MetanetError
from metanet.search_spaces import RULES, TrainingConfig

SHORT = ["supernet", "train", "--data", "mnist-few", "--constraints", "macs <= 1M, params <= 80k", "--steps", "3"]


@pytest.fixture(scope="module", autouse=True)
def few():
    """400 of the digits as a data set by name."""
    source = load_images("mnist-5k")
    images = ArrayImages("mnist-few", source.pixels[::12], source.labels[::12], source.classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(IMAGES, "mnist-few", lambda: images)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a training by the command line."""
    folder = tmp_path_factory.mktemp("cli") / "supernet"
    assert main([*SHORT, "--rules", "sandwich, best-up", "--out", str(folder), "--quiet"]) == 0
    return folder


def test_help_tells_the_defaults_of_trainings():
    usual = TrainingConfig()
    assert {name: number for name, (number, _) in NUMBERS.items()} == {
        name: getattr(usual, name.replace("-", "_")) for name in NUMBERS
    }


def test_training_writes_everything_and_says_what_to_type_next(run, capsys, monkeypatch):
    names = {path.name for path in run.iterdir()}
    pngs = {f"{name}.png" for name in ("loss", "accuracy", "cosine", "operators", "bands", "macs")}
    assert names - {".checkpoint.lock"} == {"checkpoint.pt", "history.csv", "manifest.json", "report.html"} | pngs
    assert len(pd.read_csv(run / "history.csv")) == 3
    before = (run / "checkpoint.pt").read_bytes()
    assert main([*SHORT, "--rules", "sandwich,best-up", "--out", str(run)]) == 0  # nothing is left to do
    said = capsys.readouterr().out.strip().split("\n")
    assert said[-2].startswith("3 steps by sandwich, best-up: in the last 20 loss ")
    assert said[-1].startswith(f"open {run}/report.html, then type: metanet search ")
    # That very command takes these weights: it trains no further.
    argv = shlex.split(said[-1].partition("type: metanet ")[2])
    args = parser().parse_args(argv)
    assert (args.out, args.supernet_steps, args.rules) == (str(run.parent), 3, "sandwich,best-up")
    monkeypatch.setattr(
        "metanet.cli.job._searches", lambda *args, **options: (_ for _ in ()).throw(MetanetError("far enough"))
    )
    assert main(argv) == 2 and "far enough" in capsys.readouterr().err
    assert (run / "checkpoint.pt").read_bytes() == before


def test_a_training_that_no_search_asks_for_names_no_search():
    usual = parser().parse_args([*SHORT, "--out", "runs/a/supernet"])
    assert _next(usual, _config(usual)).endswith("--supernet-steps 3 --seed 0 --out runs/a")
    for extra in (["--samples", "1"], ["--batch-size", "16", "--lr", "0.02"], ["--out", "runs/b"]):
        args = parser().parse_args([*SHORT, "--out", "runs/a/supernet", *extra])
        assert _next(args, _config(args)) == ""
    numbers = ["--samples", "0", "--batch-size", "16", "--micro-batches", "2", "--bands", "5", "--candidates", "4"]
    found = _config(parser().parse_args([*SHORT, *numbers, "--lr", "0.5", "--seed", "7", "--rules", "single-path"]))
    assert found == TrainingConfig(
        ("single-path",), 3, 16, 2, samples=0, candidates=4, bands=5, lr=0.5, constraints=SHORT[5], seed=7
    )


def test_the_report_is_written_anew(run, tmp_path, capsys):
    assert main(["supernet", "report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}/page.html\n"
    assert (tmp_path / "page.html").read_bytes() == (run / "report.html").read_bytes()
    assert (tmp_path / "loss.png").exists()
    assert main(["supernet", "report", str(tmp_path)]) == 2
    assert "holds no history.csv, which a training writes at its end" in capsys.readouterr().err


def test_rules_are_listed_with_their_papers(capsys):
    assert main(["supernet", "rules", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == list(RULES) and all(one["paper"] and one["about"] for one in listed)
    assert main(["supernet", "rules"]) == 0
    text = capsys.readouterr().out
    for name, rule in RULES.items():
        assert re.search(rf"^  {name} +{re.escape(rule.about)}\n +{re.escape(rule.paper)}$", text, re.MULTILINE)
    assert text.count("\n") <= 30


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--rules", "sandwich,foo"], "unknown rule 'foo': known: alpha-divergence, best-up"),
        (["--rules", ""], "the rules must say which networks a step trains: add sandwich or single-path, got none"),
        (["--rules", "single-path,alpha-divergence"], "alpha-divergence needs the largest network in each step"),
        (
            ["--rules", "sandwich,progressive-shrinking"],
            "phase 'largest' of progressive-shrinking has no network under",
        ),
        (["--micro-batches", "40"], "each micro-batch needs two images"),
        (["--constraints", "macs <= 1k"], "the nearest attainable value is"),
        (["--data", "mnist-5l"], "mnist-5k"),
        (["--space", "metanet-tini"], "metanet-tiny"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(tmp_path, capsys, extra, said):
    assert main([*SHORT, *extra, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_jobs_take_rules_and_refuse_them_before_any_work(tmp_path, capsys):
    usual = ",".join(TrainingConfig.rules)
    for command in (["search"], ["family"], ["supernet", "train"]):
        args = parser().parse_args(command)
        steps = args.steps if command[0] == "supernet" else args.supernet_steps
        assert (args.rules, steps) == (usual, TrainingConfig.steps)
    assert JobOptions().rules == FamilyOptions(("MN-B4",), "params = 1G").rules == names_in(usual)
    assert names_in(" sandwich , best-up,") == ("sandwich", "best-up")
    out = str(tmp_path / "run")
    for command in (["search"], ["family", "--anchor", "MN-B4", "--to", "params = 1G", "--evaluate", "mnist-few"]):
        assert main([*command, "--rules", "sandwich,best-up,worst-up", "--out", out]) == 2
        assert "one rule for how its random networks are drawn, got best-up and worst-up" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_weights_of_a_job_depend_on_its_rules(run, capsys):
    options = ["--constraints", "macs <= 1M, params <= 80k", "--supernet-steps", "3", "--data", "mnist-few"]
    assert main(["search", *options, "--out", str(run.parent), "--rules", "single-path"]) == 2
    assert "belongs to other options" in capsys.readouterr().err
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] == 3
