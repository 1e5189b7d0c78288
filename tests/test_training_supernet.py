"""Training a supernet by rules: it learns, goes on after any kill to the same bit, and tells the same in every step."""

import json
import multiprocessing
import random
import re
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from test_training_rules import combinations
from trained import DISTILLED, SPACE, config, shades, weights_of

from metanet import MetanetError
from metanet.search_spaces import Supernet, train_supernet, training_report

ATTENTIVE = ("sandwich", "best-up", "alpha-divergence", "gradient-projection")


def train(out, rules=DISTILLED, *, seed=0, every=30.0, **options):
    made = config(rules, **options)
    return train_supernet(Supernet(SPACE, seed=seed), shades(), made, out=out, every=every, quiet=True)


@pytest.mark.parametrize("rules", [DISTILLED, ATTENTIVE], ids="+".join)
def test_training_learns_and_resumes_to_the_bit(tmp_path, monkeypatch, rules):
    whole = train(tmp_path / "whole", rules, steps=10)
    history = pd.read_csv(tmp_path / "whole" / "history.csv")
    assert len(history) == 10 and history.loss.iloc[-3:].mean() < 0.9 * history.loss.iloc[:3].mean()
    assert whole.num_classes == 4 and not whole.training

    real, calls = torch.optim.AdamW.step, []

    def dies(self, *args, **kwargs):
        calls.append(0)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", rules, steps=10, every=0)
    calls.extend(range(10))  # no more kills
    again = train(tmp_path / "cut", rules, steps=10)
    assert len(calls) == 7 + 10 + 10 - 6  # it goes on where it was
    assert torch.equal(weights_of(again), weights_of(whole))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "cut" / "history.csv"), history)


def test_a_folder_is_that_of_its_starting_weights(tmp_path):
    train(tmp_path, steps=2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    train(tmp_path, steps=2)  # the same start
    for other in (Supernet(SPACE, seed=1), Supernet(SPACE, 7), train(None, steps=1)):
        with pytest.raises(
            MetanetError, match="on the same images and from the same weights, or choose another folder"
        ):
            train_supernet(other, shades(), config(steps=2), out=tmp_path, quiet=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("rules", list(combinations())[1::13], ids="+".join)
def test_every_step_tells_the_same_columns(tmp_path, rules):
    train(tmp_path, rules, steps=4, samples=2, micro_batches=2)
    history = pd.read_csv(tmp_path / "history.csv")
    ops = ["mbconv", "fused_mbconv", "self_attention"]
    columns = ["step", "loss", "accuracy", "taught", "cosine", "macs", *(f"loss {op}" for op in ops)]
    columns += [f"loss band {band}" for band in range(4)]
    if "best-up" in rules or "worst-up" in rules:
        columns += [f"taken {i}" for i in range(2 if "sandwich" in rules else 1)]
    assert list(history.columns) == [*columns, "lr"]
    assert history[["loss", "accuracy", "macs", "lr"]].notna().all().all()
    assert history["cosine"].notna().all() == ("sandwich" in rules) == history["taught"].notna().all()
    assert history["cosine"].dropna().between(-1, 1).all()
    bands = history[[f"loss band {band}" for band in range(4)]]
    assert (bands.notna().sum(axis=1) >= 1).all()


def test_branches_that_no_network_runs_keep_their_weights(tmp_path):
    space = SPACE.where(op=["mbconv"])
    supernet = Supernet(SPACE, 4)
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    supernet.space = space
    train_supernet(supernet, shades(), config(("single-path",), steps=2), quiet=True)
    for name, parameter in supernet.named_parameters():
        if "fused_mbconv" in name or "self_attention" in name:
            assert torch.equal(parameter, before[name])
    assert not torch.equal(supernet.shared["stem/conv/weight"], before["shared.stem/conv/weight"])


def test_another_runs_folder_is_refused(tmp_path):
    train(tmp_path, steps=1, samples=0)
    for change in ({"samples": 1}, {"rules": ("sandwich",)}, {"micro_batches": 2}):
        with pytest.raises(MetanetError, match="belongs to other options"):
            train(tmp_path, **{"steps": 1, "samples": 0, **change})


def test_the_manifest_says_what_the_weights_depend_on(tmp_path):
    train(tmp_path, ATTENTIVE, steps=1)
    about = json.loads((tmp_path / "manifest.json").read_text())
    assert about["options"]["rules"] == list(ATTENTIVE) and about["space"] == SPACE.fingerprint
    macs = sorted(SPACE.price(spec)["macs"] for spec in SPACE.sample(400, seed=0))
    assert about["bands"][0] <= macs[0] and macs[-1] <= about["bands"][-1] and len(about["bands"]) == 5


# --- the report


def test_the_report_shows_what_the_history_tells(tmp_path):
    train(tmp_path, ATTENTIVE, steps=4, constraints="macs <= 150k")
    assert training_report(tmp_path) == tmp_path / "report.html"
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?://', text, re.IGNORECASE)
    for words in ("fused_mbconv", "Gong et al. 2022", "150 k MACs", "largest network", "pull in one direction"):
        assert words in text
    history = pd.read_csv(tmp_path / "history.csv")
    assert f"{history.cosine.mean():.3f} in the mean, below 0 in {(history.cosine < 0).mean():.1%} of 4" in text
    for name in ("loss", "accuracy", "cosine", "operators", "bands", "macs"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_a_history_alone_is_enough_for_a_report(tmp_path):
    train(tmp_path / "run", ("single-path",), steps=3)
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    page = training_report(history, tmp_path / "pages" / "one.html")
    assert "no two gradients to compare" in page.read_text() and re.search(r"band [0-3]", page.read_text())
    assert not (tmp_path / "pages" / "cosine.png").exists() and (tmp_path / "pages" / "loss.png").exists()
    with pytest.raises(MetanetError, match="the report of a history needs a path"):
        training_report(history)
    with pytest.raises(MetanetError, match=r"holds no history.csv, which a training writes at its end: finish it"):
        training_report(tmp_path)


# --- real kills


def train_again(out: Path, rules: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    train_supernet(Supernet(SPACE), shades(), config(rules, steps=60), out=out, every=0, quiet=True)


def written(path: Path) -> int:
    """When a file was written last, in nanoseconds; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("rules", [DISTILLED, ATTENTIVE], ids="+".join)
def test_killed_at_ten_random_moments_it_ends_the_same_to_the_bit(tmp_path, rules):
    calm, killed = train(tmp_path / "calm", rules, steps=60), tmp_path / "killed"
    path = killed / "checkpoint.pt"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "torch._dynamo", "pandas", "pytest", "hypothesis", "metanet.search_spaces"]
    )
    moments, at = random.Random(1), []
    for _ in range(10):
        process = context.Process(target=train_again, args=(killed, rules))
        process.start()
        for _ in range(moments.randrange(4)):  # after so many checkpoints, and at any moment of a step or a write
            before = written(path)
            while process.is_alive() and written(path) == before:
                time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        at.append(torch.load(path, weights_only=True)["step"] if path.exists() else 0)
    assert at == sorted(at) and len(set(at)) > 4 and 0 < at[-1] < 60
    again = train(killed, rules, steps=60)
    assert torch.equal(weights_of(again), weights_of(calm)) and torch.isfinite(weights_of(again)).all()
    assert (killed / "history.csv").read_bytes() == (tmp_path / "calm" / "history.csv").read_bytes()
