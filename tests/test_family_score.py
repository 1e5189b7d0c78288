"""Families by score: against brute force, interrupted and resumed, and the whole job in small."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small import SMALL, prices

import metanet
from metanet import ArchSpec, MetanetError
from metanet.cli import family_score, phases
from metanet.cli.family_score import FamilyOptions, run_family_job
from metanet.cli.samplers import rung_sampler
from metanet.cli.verdict import difference
from metanet.data import IMAGES, ArrayImages, load_images
from metanet.search_spaces import load_space
from metanet.search_spaces.family import Target, as_zoo, chosen, family_from, target_of
from metanet.searchers import coefficient_grid, search_family
from metanet.zoo import parse_zoo

LADDER = {"one": Target(8_000, 400_000), "two": Target(20_000, 900_000)}
ANCHOR = ArchSpec.from_text("mn1/s16/h192/r28/mb3+se:1x16:e1/mb3+se:1x24:e3:s2/mb3+se:2x40:e2:s2/sa8:1x64:e1")
LARGE = "mn1/s16/h192/r28/mb3+se:2x16:e1/mb3+se:3x32:e3:s2/mb3+se:3x48:e3:s2/sa8:3x64:e3"


def score(spec):
    """A number that has nothing to do with size, the same in every process."""
    return int(spec.id, 16) % 10_007 / 10_007


def near(target, share):
    """All networks of SMALL whose totals are within a share of the target's, by looking at every one."""
    return {
        spec: costs
        for spec, costs in prices().items()
        if abs(costs["params"] - target.params) <= share * target.params
        and abs(costs["macs"] - target.macs) <= share * target.macs
    }


class Interrupted:
    """Counts its calls, and is stopped at one of them as by Ctrl-C."""

    fingerprint = "counted"

    def __init__(self, stop=math.inf):
        self.calls, self.stop = Counter(), stop

    def __call__(self, spec, *, fidelity=1.0):
        self.calls[spec] += 1
        if self.calls.total() == self.stop:
            raise KeyboardInterrupt
        return {"accuracy": score(spec), "accuracy.se": 0.01}


@pytest.fixture
def rule():
    """Some network near each target, as a rule would give it."""
    return {name: min(near(target, 0.05), key=lambda spec: spec.id) for name, target in LADDER.items()}


def test_with_enough_trials_each_rung_is_the_best_of_all_networks_near_its_totals(tmp_path, rule):
    ladder = {"one": LADDER["one"]}
    found = search_family(SMALL, ladder, score, trials=60, sampler="random", rule=rule, folder=tmp_path)
    one, feasible = found.rungs["one"], near(LADDER["one"], 0.05)
    assert len(one.search.scored) == len(feasible) > 10 and one.search.stopped
    assert one.search.best.spec == max(feasible, key=score) == one.choices["random search"].spec
    assert prices()[one.controls.most_macs.spec]["macs"] == max(costs["macs"] for costs in feasible.values())
    assert one.choices["rule"].spec == rule["one"] and one.choices["rule"].metrics == {"accuracy": score(rule["one"])}


def test_a_target_without_macs_leaves_them_free(tmp_path):
    found = search_family(SMALL, {"one": Target(20_000)}, score, trials=3, folder=tmp_path)
    assert found.rungs["one"].constraints == "params in [19_000, 21_000]"
    assert found.to_dataframe()["target_macs"].isna().all()


def test_interrupted_anywhere_a_family_ends_the_same_and_scores_nothing_twice(tmp_path, rule):
    def run(evaluate, folder):
        return search_family(SMALL, LADDER, evaluate, trials=4, rule=rule, folder=folder, quiet=True)

    whole = Interrupted()
    expected = run(whole, tmp_path / "whole").to_dataframe()
    for stop in range(1, whole.calls.total() + 1, 4):
        stopped, rest = Interrupted(stop), Interrupted()
        with pytest.raises(KeyboardInterrupt):
            run(stopped, tmp_path / str(stop))
        pd.testing.assert_frame_equal(run(rest, tmp_path / str(stop)).to_dataframe(), expected)
        assert stopped.calls.total() - 1 + rest.calls.total() == whole.calls.total()
        again = Interrupted()
        run(again, tmp_path / str(stop))
        assert not again.calls
    rows = json.loads((tmp_path / "whole" / "two" / "rule.json").read_text())["rows"]
    assert [(row["spec"], row["metrics"]["accuracy"]) for row in rows] == [(rule["two"].to_text(), score(rule["two"]))]


def test_a_rule_that_cannot_be_scored_says_why_and_is_tried_again(tmp_path, rule):
    def broken(spec):
        if spec == rule["one"]:
            raise MetanetError("outside of the supernet")
        return score(spec)

    def mended(spec):
        return score(spec)

    mended.__qualname__ = broken.__qualname__  # a function is known by its name
    share = {"trials": 1, "rule": rule, "folder": tmp_path, "seed": 3}
    first = search_family(SMALL, LADDER, broken, **share)
    assert first.rungs["one"].rule.metrics is None
    rows = first.to_dataframe().set_index(["rung", "chooser"])
    assert "outside of the supernet" in rows.loc[("one", "rule"), "reason"]
    assert math.isnan(rows.loc[("one", "rule"), "accuracy"]) and rows.loc[("two", "rule"), "accuracy"] > 0
    second = search_family(SMALL, LADDER, mended, **share)
    assert second.rungs["one"].rule.metrics == {"accuracy": score(rule["one"])}


def test_wrong_ladders_are_refused_before_anything_is_written(tmp_path, rule):
    def refused(message, ladder=LADDER, space=SMALL, **options):
        with pytest.raises(MetanetError, match=message):
            search_family(space, ladder, score, folder=tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()

    refused(r"`within` must be above 0 and below 1, got 1.5", within=1.5)
    refused(r"far cannot be chosen from 'small': .*nearest", {**LADDER, "far": Target(10**6, 10**9)})
    refused(r"a rung's name is that of its folder.*got 'a/b'", {"a/b": LADDER["one"]})
    refused(r"those of all rungs, got none for two", rule={"one": rule["one"]})
    refused(r"rule's network of one must keep .* to be compared, got .*: lower", rule={**rule, "one": rule["two"]})
    refused(r"chosen by one objective, got a, b", objectives={"a": "maximize", "b": "minimize"})
    wide = replace(SMALL, head_width=(16, 24))
    refused(r"one head width, got \(16, 24\)", {"one": replace(LADDER["one"], num_classes=10)}, wide)


@pytest.mark.parametrize("text", ["", "{}", '{"made_with": {}, "rows": [1]}', '{"made_with": {}, "rows": [{}]}'])
def test_damaged_scores_are_refused_and_left_as_they_are(tmp_path, rule, text):
    path = tmp_path / "one" / "rule.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(MetanetError, match=r"rule.json' are damaged: restore"):
        search_family(SMALL, LADDER, score, trials=1, rule=rule, folder=tmp_path)
    assert path.read_text() == text


def test_scores_of_another_rule_are_refused(tmp_path, rule):
    share = {"trials": 1, "folder": tmp_path}
    search_family(SMALL, LADDER, score, rule=rule, **share)
    other = next(spec for spec in near(LADDER["one"], 0.05) if spec != rule["one"])
    with pytest.raises(MetanetError, match=r"belong to something else \(rule was .*, now .*\): repeat"):
        search_family(SMALL, LADDER, score, rule={**rule, "one": other}, **share)


def test_each_pair_of_coefficients_is_judged_by_a_network_of_twice_the_parameters(tmp_path):
    seen = Interrupted()
    grid = coefficient_grid(ANCHOR, seen, tolerance=0.03, store=tmp_path / "grid.json")
    assert [pair.depth for pair in grid.pairs] == [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
    wanted = 2 * metanet.cost(ANCHOR).params
    for pair in grid.pairs:
        assert pair.depth * pair.width**2 == pytest.approx(2, rel=0.01)
        assert abs(metanet.cost(pair.tried.spec).params / wanted - 1) <= 0.03
        stages = zip(ANCHOR.stages, pair.tried.spec.stages, strict=True)
        assert all(a.depth <= b.depth and a.width <= b.width and a.op == b.op for a, b in stages)
    by_pair = [pair.tried.spec for pair in grid.pairs]
    assert [s.width for s in by_pair[-1].stages] == [s.width for s in ANCHOR.stages]  # 2.0, 1.0: depth alone
    assert set(seen.calls.values()) == {1} and set(seen.calls) == set(by_pair)
    assert grid.best.tried.spec == max(by_pair, key=score)
    rows = json.loads((tmp_path / "grid.json").read_text())["rows"]
    assert [(row["depth"], row["width"]) for row in rows] == [(pair.depth, pair.width) for pair in grid.pairs]
    family = family_from(ANCHOR, "params = 150k", 3, depth=grid.best.depth, width=grid.best.width)
    assert family.path.depths == (grid.best.depth,) * 4


def test_an_interrupted_grid_goes_on_where_it_was(tmp_path):
    pairs = ((1.0, 1.414), (1.4, 1.195), (2.0, 1.0))

    def run(evaluate, name):
        store = tmp_path / name
        return coefficient_grid(ANCHOR, evaluate, pairs=pairs, tolerance=0.05, store=store).to_dataframe()

    stopped, rest = Interrupted(3), Interrupted()
    with pytest.raises(KeyboardInterrupt):
        run(stopped, "grid.json")
    pd.testing.assert_frame_equal(run(rest, "grid.json"), run(Interrupted(), "whole.json"))
    assert rest.calls.total() == 1
    with pytest.raises(MetanetError, match=r"belong to something else .*tolerance was 0.05, now 0.04"):
        coefficient_grid(ANCHOR, rest, pairs=pairs, tolerance=0.04, store=tmp_path / "grid.json")


def test_pairs_that_cannot_be_made_or_scored_stay_without_a_score(tmp_path):
    def broken(spec):
        raise RuntimeError("no memory")

    pairs = ((1.4, 1.195), (2.0, 1.0))
    grid = coefficient_grid(ANCHOR, broken, pairs=pairs, tolerance=0.05, store=tmp_path / "grid.json")
    assert set(grid.to_dataframe()["reason"]) == {"RuntimeError: no memory"}
    with pytest.raises(
        MetanetError, match=r"no pair of coefficients has a score \(1.4, 1.195: RuntimeError: no memory"
    ):
        _ = grid.best
    tiny = ArchSpec.from_text("mn1/s8/h16/r28/mb3+se:1x8:e1")
    exact = coefficient_grid(tiny, score, pairs=pairs[:1], tolerance=1e-4, store=tmp_path / "exact.json")
    assert exact.pairs[0].tried is None and "satisfies params in [1_424, 1_424]" in exact.pairs[0].reason
    assert exact.to_dataframe()["spec"].isna().all()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((1.2, 1.1), r"must be about 2 .*got 1.45 for \(1.2, 1.1\): take beta = 1.291"),
        ((0.5, 2.0), "must be 1 or more"),
    ],
)
def test_pairs_that_do_not_double_a_network_are_refused(tmp_path, pair, message):
    with pytest.raises(MetanetError, match=message):
        coefficient_grid(ANCHOR, score, pairs=[pair], store=tmp_path / "grid.json")
    assert not (tmp_path / "grid.json").exists()


def test_a_choice_by_score_is_a_member_of_the_zoo():
    target = Target(45_000, 10**6, num_classes=10)
    one = chosen(ANCHOR, target, {"accuracy": 0.951234})
    own = metanet.cost(ANCHOR, num_classes=10)
    assert one.costs == {"params": own.params, "macs": own.macs}
    assert one.deviation == max(abs(own.params / 45_000 - 1), abs(own.macs / 10**6 - 1))
    text = as_zoo({"mine-2": one}, "chosen by a test")
    member = parse_zoo(text)["mine-2"]
    assert member.spec == ANCHOR and member.provenance == "generated: chosen by a test"
    assert json.loads(text)["mine-2"]["metrics"] == {"accuracy": 0.9512}


def test_a_difference_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    own, other = rng.random((4, 500)) < 0.9, rng.random((4, 500)) < 0.8
    found = difference(own.astype(float), other.astype(float))
    expected = stats.ttest_rel(own.mean(axis=1), other.mean(axis=1)).confidence_interval(0.95)
    assert (found.seeds.low, found.seeds.high) == pytest.approx(tuple(expected))
    assert found.says == "beats" and difference(other.astype(float), own.astype(float)).says == "is beaten by"
    assert found.images.mean == pytest.approx(found.seeds.mean) == pytest.approx(own.mean() - other.mean())


SMALL_JOB = {"tolerance": 0.05, "trials": 2, "supernet_steps": 2, "epochs": 1, "retrain_seeds": 2, "data": "mnist-few"}


@pytest.fixture(scope="module")
def few():
    """400 of the digits as a data set by name."""

    source = load_images("mnist-5k")
    images = ArrayImages("mnist-few", source.pixels[::12], source.labels[::12], source.classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(IMAGES, "mnist-few", lambda: images)
        yield


@pytest.fixture(scope="module")
def run(few, tmp_path_factory):
    """A finished run folder of two rungs between two anchors."""
    folder = tmp_path_factory.mktemp("family") / "run"
    said = run_family_job(FamilyOptions((ANCHOR.to_text(), LARGE), **SMALL_JOB), folder, quiet=True)
    assert said == (folder / "verdict.txt").read_text().strip()
    return folder


def test_the_job_chooses_near_the_ladder_and_tells_of_every_chooser(run):
    rows = pd.read_csv(run / "results.csv")
    assert set(rows["chooser"]) == {"search", "random search", "most MACs", "rule"}
    assert list(dict.fromkeys(rows["rung"])) == ["rung-2", "rung-3"]
    small, large = target_of(ANCHOR), target_of(ArchSpec.from_text(LARGE))
    for i, name in enumerate(("rung-2", "rung-3"), start=1):  # evenly spaced between the anchors, by the logarithm
        own = rows[rows["rung"] == name]
        assert own["target_params"].to_numpy() == pytest.approx(small.params * (large.params / small.params) ** (i / 3))
        assert (abs(own["params"] / own["target_params"] - 1) <= 0.05).all()
        assert (abs(own["macs"] / own["target_macs"] - 1) <= 0.05).all()
    assert rows["selection"].notna().all()  # the rule's networks lie in the space
    assert ((rows["ci_low"] <= rows["value"]) & (rows["value"] <= rows["ci_high"])).all()
    members = parse_zoo((run / "family.json").read_text())
    searched = rows[rows["chooser"] == "search"].set_index("rung")["spec"]
    assert {name: one.spec.id for name, one in members.items()} == dict(searched)
    assert metanet.factory.find(run / "rung-3.json").spec == members["rung-3"].spec
    assert members["rung-2"].provenance.startswith("generated: chosen by metanet family --evaluate mnist-few")


def test_the_pooled_difference_is_the_mean_over_the_rungs(run):
    apart, rows = pd.read_csv(run / "comparisons.csv"), pd.read_csv(run / "results.csv")
    test = rows.pivot(index="rung", columns="chooser", values="value")
    for other in ("random search", "most MACs", "rule"):
        own = apart[apart["other"] == other].set_index("rung")
        assert list(own.index) == ["rung-2", "rung-3", "all rungs"]
        expected = (test["search"] - test[other]).mean()
        assert own.loc["all rungs", "difference"] == pytest.approx(expected, abs=1e-9) or (
            expected == 0 and own.loc["all rungs", "says"] == "found the same as"
        )


def test_the_page_names_every_study_and_needs_no_network(run):
    text = (run / "report.html").read_text()
    for name in ("rung-2", "rung-3"):
        assert f'href="rungs/{name}/search.html"' in text and f'href="rungs/{name}/random.html"' in text
        assert (run / "rungs" / name / "search.html").exists() and (run / "rungs" / name / "rule.json").exists()
    assert "Content-Security-Policy" in text and "its own luck is in no interval" in text
    assert {p.name for p in run.glob("*.png")} == {"parameters.png", "macs.png"}
    frozen = json.loads((run / "frozen.json").read_text())
    assert len(frozen["winners"]) == 8 and frozen["test images opened"]
    assert json.loads((run / "manifest.json").read_text())["winners"] == frozen["winners"]


@pytest.mark.slow
def test_a_second_run_changes_nothing_and_other_options_are_refused(run, few):
    names = ("results.csv", "comparisons.csv", "scores.csv", "family.json", "frozen.json", "verdict.txt")
    before = {name: (run / name).read_bytes() for name in names}
    options = FamilyOptions((ANCHOR.to_text(), LARGE), **SMALL_JOB)
    run_family_job(options, run, quiet=True)
    assert {name: (run / name).read_bytes() for name in names} == before
    with pytest.raises(MetanetError, match="belongs to other options"):
        run_family_job(replace(options, supernet_steps=3), run, quiet=True)
    (run / "rungs" / "rung-3" / "random.journal").write_text("garbage\n")
    with pytest.raises(MetanetError, match=r"random.journal' is damaged"):
        run_family_job(options, run, quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "nth"), [("shared_weights", 1), ("trained", 5), ("freeze", 1), ("about_job", 1)])
def test_interrupted_in_any_phase_it_ends_the_same(run, few, tmp_path, monkeypatch, phase, nth):
    module = phases if hasattr(phases, phase) else family_score
    calls, whole = Counter(), getattr(module, phase)

    def stopped(*args, **options):
        calls[phase] += 1
        if calls[phase] == nth:
            raise KeyboardInterrupt
        return whole(*args, **options)

    options = FamilyOptions((ANCHOR.to_text(), LARGE), **SMALL_JOB)
    monkeypatch.setattr(module, phase, stopped)
    with pytest.raises(KeyboardInterrupt):
        run_family_job(options, tmp_path, quiet=True)
    run_family_job(options, tmp_path, quiet=True)
    for name in ("results.csv", "comparisons.csv", "scores.csv", "family.json", "verdict.txt"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes(), name


@pytest.mark.parametrize(("trials", "random"), [(2, 1), (21, 7), (300, 10)])
def test_most_of_a_rungs_trials_are_evolutions_own(trials, random):
    """The first networks are what the control draws, too: a search of nothing else is no search."""
    options = FamilyOptions(("a", "b"), trials=trials, sampler="evolution")
    assert rung_sampler(options.sampler, options.trials).first == random < trials
    assert not hasattr(rung_sampler("random", options.trials), "first")


def test_trained_alone_any_network_can_be_scored(few, tmp_path):
    data = phases.data_of("mnist-few", 28, 0)
    evaluate = phases.trained_evaluator(data, tmp_path, epochs=1, seed=0)
    outside = replace(ANCHOR, stem_width=8)
    assert not load_space("metanet-tiny").contains(outside)
    found = evaluate(outside)
    assert 0 <= found["accuracy"] <= 1 and found["accuracy.se"] > 0
    assert evaluate(outside) == found and (tmp_path / outside.id / "weights.safetensors").exists()
    for other in ({"epochs": 2, "seed": 0}, {"epochs": 1, "seed": 1}):  # their scores are never mixed in one study
        assert phases.trained_evaluator(data, tmp_path, **other).fingerprint != evaluate.fingerprint


def test_without_a_space_the_coefficients_alone_are_found(few, tmp_path):
    options = FamilyOptions((ANCHOR.to_text(),), to="params = 150k", rungs=3, space=None, **SMALL_JOB)
    said = run_family_job(options, tmp_path, quiet=True)
    grid = pd.read_csv(tmp_path / "coefficients.csv")
    best = grid.loc[grid["r2"].idxmax()]
    assert f"depth {best['depth']:g} and width {best['width']:g} score best" in said
    members = parse_zoo((tmp_path / "family.json").read_text())
    assert list(members) == ["rung-2", "rung-3"]
    assert abs(metanet.cost(members["rung-3"].spec).params / 150_000 - 1) <= 0.05
    assert said in (tmp_path / "report.html").read_text().replace("&#x27;", "'")
    before = (tmp_path / "coefficients.json").read_bytes()
    assert run_family_job(options, tmp_path, quiet=True) == said
    assert (tmp_path / "coefficients.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchors": ()}, "one anchor or two, got 0"),
        ({"anchors": ("a", "b", "c")}, "one anchor or two, got 3"),
        ({"anchors": ("a", "b"), "to": "params = 1G"}, "between two anchors neither totals nor coefficients"),
        ({"anchors": ("a",)}, "needs its last rung's totals, as 'params = 1G'"),
        ({"anchors": ("a", "b"), "space": None}, "nothing is left to be chosen by score"),
        ({"anchors": ("a", "b"), "trials": 0}, "`trials` must be at least 1, got 0"),
        ({"anchors": ("a", "b"), "retrain_seeds": 1}, "`retrain_seeds` must be at least 2, got 1"),
        ({"anchors": ("a", "b"), "sampler": "x"}, "unknown sampler 'x'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(MetanetError, match=message):
        FamilyOptions(**options)


def test_what_cannot_be_chosen_from_the_space_ends_before_any_file(tmp_path):
    small = FamilyOptions((ANCHOR.to_text(),), to="params = 1G", coefficients=(1.2, 1.1))
    with pytest.raises(MetanetError, match="rung-3 cannot be chosen from 'metanet-tiny'"):
        run_family_job(small, tmp_path / "run")
    with pytest.raises(MetanetError, match="resolution"):
        run_family_job(replace(small, resolution=224), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_resolution_is_that_of_the_whole_family(few, tmp_path, monkeypatch):
    seen = {}

    def stop(space, ladder, *rest, **options):
        seen.update(space=space, ladder=ladder)
        raise MetanetError("enough")

    monkeypatch.setattr("metanet.cli.family_score.rungs_near", stop)
    with pytest.raises(MetanetError, match="enough"):
        run_family_job(FamilyOptions((ANCHOR.to_text(), LARGE), resolution=32, rungs=3), tmp_path)
    assert seen["space"].resolution == (32,)
    low, high = metanet.cost(ANCHOR, resolution=32).macs, metanet.cost(LARGE, resolution=32).macs
    assert seen["ladder"]["rung-2"].macs == pytest.approx(math.sqrt(low * high))
    assert load_space("metanet-tiny").contains(replace(ANCHOR, resolution=32))
