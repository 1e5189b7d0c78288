"""The comparison of a supernet's order with the truth: halves that are fixed, statistics against scipy and simulation,
a half that opens once."""

import hashlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from scipy.stats import kendalltau

from metanet.bench import Task
from metanet.cli.phases import Data, shared_evaluator
from metanet.data import ArrayImages
from metanet.search_spaces import Supernet
from metanet.stats import Interval

sys.path.insert(0, str(Path(__file__).parents[1] / "perf"))
import ranked
import ranking
import ranking_rules
import ranking_tables
import rows
import truth
from small import SMALL

RNG = np.random.default_rng(0)
SPACE = SMALL.freeze(resolution=16)
PIXELS = RNG.integers(0, 256, (90, 16, 16), np.uint8)
IMAGES = ArrayImages("noise", PIXELS, np.arange(90) % 3, ("a", "b", "c"))
PARTS = {"weights": np.arange(30), "selection": np.arange(30, 60), "test": np.arange(60, 90)}
OWN = Data(IMAGES, PARTS, Task("noise", "classification", "accuracy", IMAGES, PARTS["selection"], PARTS["test"], 16))


@pytest.fixture
def small(monkeypatch):
    """Two networks of a small space, one in each of two bands, trained for two steps."""
    low, high = SPACE.table.extremes("macs")
    middle = (low + high) // 2
    drawn = truth.drawn_from(SPACE, (f"macs <= {middle}", f"macs > {middle}"), 1)
    monkeypatch.setattr(truth, "space", lambda: SPACE)
    monkeypatch.setattr(truth, "networks", lambda: drawn)
    monkeypatch.setattr(truth, "TRAINING", replace(truth.TRAINING, epochs=1, batch_size=15))
    monkeypatch.setattr(truth, "SIDE", 16)
    return drawn


def made(seeds=(0, 1)):
    """A table as truth.csv, of 24 networks in three bands."""
    found = []
    for i in range(24):
        one = {"band": i % 3, "half": "report" if i < 12 else "choose", "id": f"n{i}"}
        one |= {"params": int(RNG.integers(9**6)), "macs": i + 1}
        for seed in seeds:
            quality = 0.8 + i / 300 + RNG.normal() / 60
            found.append({**one, "seed": seed, "accuracy": quality, "cross_entropy": 1 - quality**3, "seconds": 9.0})
    return pd.DataFrame(found)


def test_networks_are_different_in_their_bands_and_halved_by_their_hash():
    low, high = SPACE.table.extremes("macs")
    bands = (f"macs <= {(low + high) // 2}", f"macs > {(low + high) // 2}")
    found = truth.drawn_from(SPACE, bands, 10)
    assert len({one.spec for one in found}) == 20 and [one.band for one in found] == [0, 1] * 10
    for i in (0, 1):
        own = [one for one in found if one.band == i]
        assert all(SPACE.feasible(one.spec, bands[i]) for one in own)
        assert sorted(one.half for one in own) == ["choose"] * 5 + ["report"] * 5
    assert found == truth.drawn_from(SPACE, bands, 10)
    # A network's half follows from its id among those of its band, not from its place in the draw.
    digests = {one.half: [] for one in found}
    for one in found[::2]:
        digests[one.half].append(hashlib.sha256(f"half {one.spec.id}".encode()).digest())
    assert max(digests["choose"]) < min(digests["report"])


def test_a_band_with_too_few_networks_is_refused():
    spec = SPACE.sample(1, seed=0)[0]
    with pytest.raises(ValueError, match=r"each band needs 2000 different networks, got fewer with macs == "):
        truth.drawn_from(SPACE, (f"macs == {SPACE.price(spec)['macs']}",), 2000)


def test_the_truth_is_trained_once_and_left_to_who_has_it(small, tmp_path, capsys):
    first, seed = small[0], truth.SEEDS[0]
    home = tmp_path / "runs" / truth.fingerprint(truth.settings(OWN))
    home.mkdir(parents=True)
    with FileLock(home / f"{first.spec.id}-{seed}.lock"):
        truth.work(OWN, tmp_path / "runs", tmp_path)
    table = pd.read_csv(tmp_path / "truth.csv")
    assert len(table) == 2 * len(small) - 1 and capsys.readouterr().out.count("accuracy") == len(table)
    truth.work(OWN, tmp_path / "runs", tmp_path)  # what is left: one training
    assert capsys.readouterr().out.count("accuracy") == 1
    whole = pd.read_csv(tmp_path / "truth.csv")
    assert whole[["seed", "id"]].values.tolist() == [[s, one.spec.id] for s in truth.SEEDS for one in small]
    for row in whole.itertuples():
        right = np.unpackbits(np.load(home / f"{row.id}-{row.seed}.npy"), count=30)
        assert right.sum() == row.correct and row.accuracy == pytest.approx(row.correct / 30)
        spec = next(one.spec for one in small if one.spec.id == row.id)
        assert (row.macs, row.spec) == (SPACE.price(spec)["macs"], spec.to_text())
    assert json.loads((tmp_path / "truth.json").read_text())["rows"] == 4
    truth.work(OWN, tmp_path / "elsewhere", tmp_path)  # what is stored is not trained again where its runs are not
    assert capsys.readouterr().out == "" and truth.collect(OWN, tmp_path / "elsewhere", tmp_path).equals(whole)


def test_the_halves_are_apart_and_a_network_needs_all_seeds():
    table = made().drop(index=1)  # the second seed of n0
    report, choose = ranked.known(table, "report"), ranked.known(table, "choose")
    assert set(report.index) == {f"n{i}" for i in range(1, 12)} and len(choose) == 12
    row = table[table["id"] == "n3"]["accuracy"]
    assert ranked.known(table, "report", "cross_entropy").loc["n3", "seed 1"] == row.iloc[1] ** 3 - 1
    assert report.loc["n3", "truth"] == pytest.approx(row.mean()) and report.loc["n3", "seed 1"] == row.iloc[1]


def test_comparisons_are_scipys_over_all_and_inside_bands():
    table = ranked.known(made(), "choose")
    table["probe"] = table["truth"] + RNG.normal(size=12) / 50
    found = ranked.compared(table, ["probe"])
    assert [(row["where"], row["by"]) for row in found] == [
        (where, by) for where in ("all", 0, 1, 2) for by in ("probe", "params", "macs")
    ]
    for row in found:
        own = table if row["where"] == "all" else table[table["band"] == row["where"]]
        tau = kendalltau(own[row["by"]], own["truth"]).statistic
        assert row["tau"]["mean"] == pytest.approx(tau) and row["networks"] == len(own)
        if row["by"] == "probe":
            by_macs = kendalltau(own["macs"], own["truth"]).statistic
            assert row["above macs"]["mean"] == pytest.approx(tau - by_macs)
    top = ranked.ceilings(table)[0]
    assert top["tau"]["mean"] == pytest.approx(kendalltau(table["seed 0"], table["seed 1"]).statistic)
    assert top["noise"] == pytest.approx(np.sqrt(table[["seed 0", "seed 1"]].var(axis=1, ddof=1).mean()))
    assert ranked.ceilings(ranked.known(made(seeds=(0,)), "choose")) == []


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_a_perfect_scores_tau_is_that_of_a_simulation(noise):
    good = RNG.normal(size=20_000)
    one, two = good + noise * RNG.normal(size=(2, 20_000))
    between = kendalltau(one, two).statistic
    found = ranked.of_perfect(Interval(between, between, between, 0.0))
    # tau of 20,000 pairs has a standard error below 0.005
    assert found.mean == pytest.approx(kendalltau(good, (one + two) / 2).statistic, abs=0.015)
    assert ranked.of_perfect(Interval(0, -0.5, 1, 0.0)).low == 0
    assert ranked.of_perfect(Interval(0, -0.5, 1, 0.0)).high == pytest.approx(1)


@pytest.mark.parametrize(("tau", "ranks"), [(0.76, True), (0.64, True), (0.62, False)])  # 90 % of 0.7 is 0.63
def test_the_verdict_is_the_aims(tau, ranks):
    row = {
        "where": "all",
        "by": "probe",
        "tau": {"mean": tau},
        "above params": {"low": 0.1},
        "above macs": {"low": -0.1},
    }
    found = ranked.verdict([row], [{"where": "all", "tau": {"mean": 0.7}}], "probe")
    assert found["ranks"] is ranks and found["above"] == {"params": True, "macs": False}
    assert found["of the ceiling"] == pytest.approx(tau / 0.7)
    assert math.isnan(ranked.verdict([row], [], "probe")["of the ceiling"])


def test_the_report_half_is_opened_for_one_rule(tmp_path):
    path = tmp_path / "opened.json"
    first = ranked.opened(path, {"rule": "a", "training": {"steps": 3}})
    assert first["opened"].endswith("Z") and ranked.opened(path, {"rule": "a", "training": {"steps": 3}}) == first
    for other in ({"rule": "b", "training": {"steps": 3}}, {"rule": "a", "training": {"steps": 4}}):
        with pytest.raises(SystemExit, match=r"opened for one rule, and was for 'a' on .* compare rules on the half"):
            ranked.opened(path, other)
    assert json.loads(path.read_text()) == first


def test_scores_are_the_evaluators_and_the_networks_own(small):
    supernet = Supernet(SPACE, 3, seed=0).eval()
    evaluate, spec = shared_evaluator(OWN, supernet), small[0].spec
    found, expected = ranking.scores(spec, evaluate), evaluate(spec)
    assert (found["probe"], found["probe.se"]) == (expected["accuracy"], expected["accuracy.se"])
    assert found["r2"] == pytest.approx(expected["r2"], abs=1e-6)
    with torch.no_grad():
        chances = evaluate.network(spec)(IMAGES.batch(PARTS["selection"], 16)).double().softmax(1).numpy()
    labels = IMAGES.labels[PARTS["selection"]]
    assert found["accuracy"] == np.mean(chances.argmax(1) == labels)
    assert found["likelihood"] == pytest.approx(np.log(chances[np.arange(30), labels]).mean(), abs=1e-5)


def test_from_supernets_to_tables(small, tmp_path, monkeypatch, capsys):
    _rules(monkeypatch, {"one": {"steps": 2}, "two": {"steps": 1}})
    for rule, seed in (("one", 0), ("one", 0), ("one", 1), ("two", 0)):
        ranking.stored(ranking.scored(rule, seed, OWN, tmp_path / "runs"), tmp_path, tmp_path)
    scores = pd.read_csv(tmp_path / "ranking.csv")
    assert len(scores) == 3 * len(small) and scores["probe"].between(0, 1).all()
    assert ranking.known_seeds("one", OWN, tmp_path) == [0, 1]
    monkeypatch.setitem(ranking_rules.RULES, "two", {"steps": 3})
    assert ranking.known_seeds("two", OWN, tmp_path) == []
    with pytest.raises(SystemExit, match="the scores by 'two', seed 0, are of other settings: train it again"):
        ranking.scores_by("two", OWN, tmp_path)
    for name in ("three", "one"):
        (tmp_path / "ranking.csv").write_text(scores[scores["rule"] == "two"].to_csv(index=False))
        with pytest.raises(SystemExit, match=f"there are no scores by '{name}': run `python perf/ranking.py train"):
            ranking.scores_by(name, OWN, tmp_path)
    with pytest.raises(SystemExit, match="unknown rule 'three': known: one, two"):
        ranking.training("three", 0)


def _rules(monkeypatch, rules):
    """Puts other rules in the place of those that are compared."""
    for module in (ranking, ranking_rules):
        monkeypatch.setattr(module, "RULES", rules)
    monkeypatch.setattr(ranking_rules, "BASE", replace(ranking_rules.BASE, constraints=None, batch_size=15))


def test_all_rules_are_trained_and_the_best_of_them_again(small, tmp_path, monkeypatch):
    made().to_csv(tmp_path / "truth.csv", index=False)
    rules = {name: {"steps": steps} for name, steps in (("one", 1), ("two", 2), ("three", 3))}
    _rules(monkeypatch, rules)
    monkeypatch.setattr(ranking, "FINALISTS", 2)
    # What a rule's supernet says is made up: "three" knows the truth, "one" knows it with a sign too many.
    good, done = {"one": -1, "two": 0.5, "three": 1}, []

    def told(rule, seed, own, runs):
        done.append((rule, seed))
        networks = ranked.known(pd.read_csv(tmp_path / "truth.csv"), "choose")
        scores = good[rule] * networks["truth"].to_numpy() + RNG.normal(size=len(networks)) * (rule == "two") / 30
        about = {"rule": rule, "seed": seed, "settings": truth.fingerprint(ranking.depends(rule, seed, own))}
        columns = dict.fromkeys(ranking.SCORES, scores)
        return pd.DataFrame({**about, "id": networks.index, **columns})

    monkeypatch.setattr(ranking, "scored", told)
    with pytest.raises(SystemExit, match=r"no rule is chosen: run `python perf/ranking\.py choose`"):
        ranking.report(OWN, tmp_path, tmp_path / "x.png")
    ranking.stored(told("two", 0, OWN, tmp_path), tmp_path, tmp_path)
    with pytest.raises(SystemExit, match=r"no rule has scores by all seeds \(\(0, 1\)\): run `python"):
        ranking.choose(OWN, tmp_path, tmp_path)
    done.clear()
    ranking.work(OWN, tmp_path, tmp_path)
    assert done[:2] == [("one", 0), ("three", 0)] and sorted(done[2:]) == [("three", 1), ("two", 1)]
    ranking.work(OWN, tmp_path, tmp_path)  # nothing is left
    assert len(done) == 4
    ranking.choose(OWN, tmp_path, tmp_path)
    assert json.loads((tmp_path / "ranking.json").read_text())["options"]["chosen"] == "three"


@pytest.mark.slow
def test_tables_and_plot_of_stored_results(small, tmp_path, monkeypatch, capsys):
    results = tmp_path / "perf" / "results"
    results.mkdir(parents=True)
    monkeypatch.setattr(rows, "ROOT", tmp_path)
    monkeypatch.setattr(ranking_tables, "RESULTS", results)
    table = made()
    table.to_csv(results / "truth.csv", index=False)
    (results / "truth.json").write_text(json.dumps(truth.manifest({})))
    own = table.drop_duplicates("id")
    _rules(monkeypatch, {"one": {}, "two": {"samples": 2}})
    monkeypatch.setattr(ranking, "SEEDS", (0,))
    about = {"rule": "one", "seed": 0, "settings": truth.fingerprint(ranking.depends("one", 0, OWN))}
    pd.DataFrame(
        {
            **about,
            "id": one.id,
            "r2": one.macs + RNG.normal(),
            "probe": one.macs + RNG.normal(),
            "probe.se": 0.1,
            "accuracy": RNG.random(),
            "likelihood": 0.0 - one.macs,
        }
        for one in own.itertuples()
    ).to_csv(results / "ranking.csv", index=False)
    ranking.choose(OWN, results, tmp_path)
    ranking.report(OWN, results, tmp_path / "ranking.png")
    assert (tmp_path / "ranking.png").read_bytes()[:4] == (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"
    macs = kendalltau(*ranked.known(table, "report")[["macs", "truth"]].to_numpy().T).statistic
    lines = {line.split(" | ")[0].strip("| "): line for line in ranking_tables.ranking_report().split("\n")}
    assert lines["MACs"].split(" | ")[1].startswith(f"{macs:.2f} (")
    assert {"R2 of a probe of shared features, seed 0", "another training (the ceiling)"} < set(lines)
    crossed = kendalltau(*ranked.known(table, "report", "cross_entropy")[["macs", "truth"]].to_numpy().T).statistic
    assert lines["MACs"].split(" | ")[5].startswith(f"{crossed:.2f} (")
    assert ranking_tables.ranking().count("\n| ") == 5 and "48 trainings, 0.1 hours" in ranking_tables.truth()
    monkeypatch.setattr(truth, "SEEDS", range(25))
    with pytest.raises(SystemExit, match="the truth has 48 of 50 trainings: run `python"):
        ranking.report(OWN, results, tmp_path / "ranking.png")
