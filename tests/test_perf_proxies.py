"""Zero-cost proxies against the truth: scores computed once, taus against scipy, halves that are kept apart."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from metanet.bench import Task
from metanet.cli.phases import Data
from metanet.data import ArrayImages

sys.path.insert(0, str(Path(__file__).parents[1] / "perf"))
import predicted
import proxies
import proxy_tables
import rows
import truth
from small import SMALL

RNG = np.random.default_rng(0)
SPACE = SMALL.freeze(resolution=16)
IMAGES = ArrayImages("noise", RNG.integers(0, 256, (90, 16, 16), np.uint8), np.arange(90) % 3, ("a", "b", "c"))
PARTS = {"weights": np.arange(30), "selection": np.arange(30, 60), "test": np.arange(60, 90)}
OWN = Data(IMAGES, PARTS, Task("noise", "classification", "accuracy", IMAGES, PARTS["selection"], PARTS["test"], 16))


@pytest.fixture
def small(monkeypatch):
    """Networks of a small space, eight in each of two bands, and two cheap proxies of them."""
    low, high = SPACE.table.extremes("macs")
    drawn = truth.drawn_from(SPACE, (f"macs <= {(low + high) // 2}", f"macs > {(low + high) // 2}"), 8)
    monkeypatch.setattr(truth, "networks", lambda: drawn)
    monkeypatch.setattr(proxies, "SCORES", ("synflow", "snip"))
    monkeypatch.setattr(proxies, "BATCH", 8)
    monkeypatch.setattr(proxies, "REPEATS", 2)
    return drawn


def trained(drawn, seeds=(0, 1)):
    """A table as truth.csv."""
    table = []
    for seed in seeds:
        for one in drawn:
            price = {name: SPACE.price(one.spec)[name] for name in ("params", "macs")}
            about = {"band": one.band, "half": one.half, "id": one.spec.id, "seed": seed, **price}
            table.append({**about, "accuracy": RNG.random(), "cross_entropy": RNG.random()})
    return pd.DataFrame(table)


def test_scores_are_the_evaluators_and_computed_once(small, tmp_path, monkeypatch):
    evaluate = proxies.evaluator(OWN)
    found = proxies.scored(evaluate, tmp_path)
    assert list(found.index) == [one.spec.id for one in small] and set(found["settings"]) == {evaluate.fingerprint}
    expected = evaluate(small[3].spec)
    assert found.iloc[3]["snip"] == pytest.approx(expected["snip"], rel=1e-7)
    assert found.iloc[3]["synflow.se"] == pytest.approx(expected["synflow.se"], rel=1e-7)
    stored = pd.read_csv(tmp_path / "proxies.csv")
    stored.iloc[2:].to_csv(tmp_path / "proxies.csv", index=False)
    asked = []

    def counted(spec, **options):
        asked.append(spec.id)
        return evaluate(spec)

    counted.fingerprint, counted.seed, counted.batch, counted.repeats = evaluate.fingerprint, 0, 8, 2
    again = proxies.scored(counted, tmp_path)
    assert again.equals(found) and asked == [one.spec.id for one in small[:2]]
    monkeypatch.setattr(proxies, "REPEATS", 1)  # other settings: nothing that is stored counts
    other = proxies.scored(proxies.evaluator(OWN), tmp_path)
    assert not set(other["settings"]) & set(found["settings"]) and "snip.se" not in other


def test_orders_are_scipys_and_both_halves_are_told(small, tmp_path, monkeypatch, capsys):
    evaluate, table = proxies.evaluator(OWN), trained(small)
    results = tmp_path / "perf" / "results"
    results.mkdir(parents=True)
    monkeypatch.setattr(rows, "ROOT", tmp_path)
    monkeypatch.setattr(proxy_tables, "ROOT", tmp_path)
    assert proxy_tables.proxies() == "Not measured yet: `python perf/proxies.py`.\n\n"
    assert proxy_tables.proxies_report() == "Not measured yet: `python perf/proxies.py --report`.\n\n"
    table.to_csv(results / "truth.csv", index=False)
    scores = proxies.scored(evaluate, results)
    for half in truth.HALVES:
        proxies.compare(evaluate, scores, results, half=half, partial=False)
    for half, name in zip(truth.HALVES, ("proxies", "proxies_report"), strict=True):
        stored = json.loads((results / f"{name}.json").read_text())
        assert stored["half"] == half and stored["trainings"] == {"known": 32, "whole": 32}
        assert {one["truth"] for one in stored["rows"]} == {"accuracy", "cross_entropy"}
        for told in stored["rows"]:
            for one in told["taus"]:
                own = table[(table["half"] == half) & ((table["band"] == one["where"]) | (one["where"] == "all"))]
                by_id = own.groupby("id")[["params", "macs", "accuracy", "cross_entropy"]].mean()
                by = by_id.join(scores[["synflow", "snip"]])[one["by"]]
                sign = 1 if told["truth"] == "accuracy" else -1
                expected = kendalltau(by, sign * by_id[told["truth"]]).statistic
                assert one["tau"]["mean"] == pytest.approx(expected) and one["networks"] == len(by_id)
    lines = {line.split(" | ")[0].strip("| "): line for line in proxy_tables.proxies_report().split("\n")}
    assert {"synflow", "snip", "parameters", "MACs", "another training (the ceiling)"} < set(lines)
    report = json.loads((results / "proxies_report.json").read_text())["rows"][0]["taus"]
    tau = next(one["tau"] for one in report if (one["where"], one["by"]) == ("all", "snip"))
    assert lines["snip"].split(" | ")[1] == f"{tau['mean']:.2f} ({tau['low']:.2f} to {tau['high']:.2f})"
    assert "from 32" not in proxy_tables.proxies()
    monkeypatch.setattr(proxies, "REPEATS", 1)
    with pytest.raises(SystemExit, match=r"opened for one rule, and was for 'proxies' on "):
        proxies.compare(proxies.evaluator(OWN), scores, results, half="report", partial=False)


def test_a_truth_in_parts_is_named_or_used(small, tmp_path, monkeypatch, capsys):
    evaluate, table = proxies.evaluator(OWN), trained(small)
    scores = proxies.scored(evaluate, tmp_path)
    with pytest.raises(SystemExit, match=r"the truth has 0 of 32 trainings, and the scores are stored: run"):
        proxies.compare(evaluate, scores, tmp_path, half="choose", partial=True)
    table.iloc[:20].to_csv(tmp_path / "truth.csv", index=False)  # all networks with one seed, four with the other
    for half in truth.HALVES:
        with pytest.raises(SystemExit, match=r"the truth has 20 of 32 trainings, .* or add --partial to compare what"):
            proxies.compare(evaluate, scores, tmp_path, half=half, partial=False)
    with pytest.raises(SystemExit, match="the half 'report' is opened once, with the whole truth: leave --partial out"):
        proxies.compare(evaluate, scores, tmp_path, half="report", partial=True)
    assert not (tmp_path / "proxies_opened.json").exists()
    proxies.compare(evaluate, scores, tmp_path, half="choose", partial=True)
    stored = json.loads((tmp_path / "proxies.json").read_text())
    assert stored["trainings"] == {"known": 16, "whole": 32} and stored["ceilings"]["accuracy"] == []
    assert {one["networks"] for one in stored["rows"][0]["taus"]} == {8, 4}
    monkeypatch.setattr(proxy_tables, "stored", lambda name: stored)
    monkeypatch.setattr(proxy_tables, "ROOT", tmp_path)
    (tmp_path / "perf" / "results").mkdir(parents=True)
    (tmp_path / "perf" / "results" / "proxies.json").touch()
    assert "; from 16 of 32 trainings</sub>" in proxy_tables.proxies() and " | – | " in proxy_tables.proxies()
    table.iloc[:2].to_csv(tmp_path / "truth.csv", index=False)
    with pytest.raises(SystemExit, match="the half 'choose' has no band with three trained networks: go on with perf"):
        proxies.compare(evaluate, scores, tmp_path, half="choose", partial=True)


def test_the_predictor_orders_other_networks_by_a_proxy_that_tells_the_truth(small, tmp_path, monkeypatch):
    """Accuracy is a line over SNIP here, so that beside SNIP hardly anything is left to learn from genes."""
    monkeypatch.setattr(truth, "RESULTS", tmp_path)
    monkeypatch.setattr(truth, "space", lambda: SPACE)
    evaluate = proxies.evaluator(OWN)
    scores = proxies.scored(evaluate, tmp_path)
    table = trained(small)
    table["accuracy"] = 0.5 + 0.01 * table["id"].map(scores["snip"])
    table.to_csv(tmp_path / "truth.csv", index=False)
    for name, value in (("COUNTS", (4, 8)), ("DRAWS", 2), ("BESIDES", {"genes": (), "snip": ("snip",)})):
        monkeypatch.setattr(predicted, name, value)
    predicted.main()
    rows = json.loads((tmp_path / "predicted.json").read_text())["rows"]
    assert [row["draws"] for row in rows if row["model"] == "process"] == [2, 2, 1, 1]
    by = {(row["model"], row["beside"]): row["tau"] for row in rows if row["count"] == 8}
    assert by["process", "snip"] > 0.8 and by["process", "snip"] > by["process", "genes"] + 0.2
