"""Families: the ladder, the equations, the nearest network against brute force, what is shipped, the messages."""

import json
import math
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metanet
from metanet import ArchSpec, MetanetError, StageSpec
from metanet.cli import main
from metanet.factory import MODELS
from metanet.search_spaces.family import (
    Target,
    between,
    climb,
    coefficients,
    family_between,
    family_from,
    log_linear,
    near,
    onward,
    rung,
    target_from,
    target_of,
    zoo_file,
)
from metanet.search_spaces.family.members import metanet_ladder

POINTS = {4: (31.7e6, 3.17e9), 7: (100.2e6, 7.26e9), 15: (1003.7e6, 137.7e9)}
NAMES = [f"MN-B{i}" for i in range(4, 16)]
GENERATED = NAMES[1:-1]


def conv(*sizes, stem, expansion=4):
    """A network of MBConv stages, (depth, width) each, that halve the map from the second stage on."""
    stages = [StageSpec("mbconv", d, w, expansion, stride=1 if i == 0 else 2) for i, (d, w) in enumerate(sizes)]
    return ArchSpec(tuple(stages), stem, head_width=64, resolution=64)


def sizes(spec):
    """Width of the stem, then depth and width of each stage."""
    return (spec.stem_width, *(n for stage in spec.stages for n in (stage.depth, stage.width)))


class TestLadder:
    def test_is_log_linear_between_the_public_points(self):
        ladder = metanet_ladder()
        assert list(ladder) == NAMES
        for i, point in POINTS.items():
            assert (ladder[f"MN-B{i}"].params, ladder[f"MN-B{i}"].macs) == point
        # by hand: geometric means with the weights of the distances to both points
        for i, a, b, share in ((5, 4, 7, 1 / 3), (6, 4, 7, 2 / 3), (8, 7, 15, 1 / 8), (11, 7, 15, 1 / 2)):
            target = ladder[f"MN-B{i}"]
            for got, low, high in zip((target.params, target.macs), POINTS[a], POINTS[b], strict=True):
                assert got == pytest.approx(low ** (1 - share) * high**share, rel=1e-12)
        assert all(target.num_classes == 1000 for target in ladder.values())

    def test_needs_two_ascending_points(self):
        for points in ([], [(1, Target(1.0))], [(2, Target(1.0)), (2, Target(2.0))]):
            with pytest.raises(MetanetError, match="a ladder needs at least two points at ascending positions"):
                log_linear(points)


class TestCoefficients:
    def test_half_way_between_two_anchors(self):
        small, large = conv((1, 16), (2, 24), (2, 32), stem=16), conv((4, 64), (8, 96), (8, 128), stem=64)
        middle = conv((2, 32), (4, 48), (4, 64), stem=32)  # the geometric means
        path = between(small, large)
        found = coefficients(path, target_of(middle))
        assert found.progress == pytest.approx([0.5] * 4, abs=2e-3) and found.tau == pytest.approx(0, abs=5e-3)
        assert found.shape.depths == pytest.approx([2, 4, 4], rel=5e-3)
        assert found.shape.widths == pytest.approx([32, 32, 48, 64], rel=5e-3)
        exact = rung(path, target_of(middle))
        assert exact.spec == middle and exact.deviation == 0 and exact.distance < 1e-2

    def test_one_step_from_one_anchor(self):
        small, large = conv((1, 16), (2, 24), stem=16), conv((2, 64), (4, 96), stem=64)
        found = rung(onward(small, depth := 2, width := 4), target_of(large))
        assert found.spec == large and found.coefficients.phi == pytest.approx(1, abs=1e-3)
        assert sizes(large) == (16 * width, depth, 16 * width, 2 * depth, 24 * width)

    def test_fewer_macs_let_late_stages_lead(self):
        path = onward(conv((1, 16), (2, 24), (2, 32), stem=16))
        plain = coefficients(path, Target(200e3))
        macs = rung(path, Target(200e3)).costs["macs"]
        late, early = (coefficients(path, Target(200e3, share * macs)) for share in (0.8, 1.4))
        assert plain.tau == 0 and late.tau > 0.1 and early.tau < -0.01
        assert late.progress[0] < plain.progress[0] < early.progress[0]
        assert late.progress[-1] > plain.progress[-1] > early.progress[-1]
        # x_i: -1 at the stem's stride 2, +1 at stride 8, 0 between them
        assert late.progress[2] == pytest.approx(math.sqrt(late.progress[1] * late.progress[3]))

    def test_totals_out_of_reach_are_named(self):
        small, large = conv((1, 16), (2, 24), stem=16), conv((2, 64), (4, 96), stem=64)
        path, most = between(small, large), target_of(large).params
        with pytest.raises(
            MetanetError, match=rf"{2 * most:,.0f} parameters: its parameters reach from .* to {most:,}"
        ):
            coefficients(path, Target(2 * most))
        with pytest.raises(
            MetanetError, match=r"and 1,000 MACs: with these parameters its MACs reach from [\d,]+ \(late"
        ):
            coefficients(path, Target(most / 2, 1e3))


SMALL = ArchSpec(
    (
        StageSpec("mbconv", 1, 16, 2),
        StageSpec("mbconv", 1, 24, 2, stride=2),
        StageSpec("self_attention", 1, 24, 2, head_dim=8),
    ),
    stem_width=16,
    head_width=32,
    resolution=32,
)
LARGE = ArchSpec(
    (
        StageSpec("fused_mbconv", 2, 32, 2),
        StageSpec("mbconv", 3, 48, 2, stride=2),
        StageSpec("channel_attention", 2, 48, 2, head_dim=16),
    ),
    stem_width=24,
    head_width=32,
    resolution=32,
)


@cache
def everything():
    """Every network between SMALL and LARGE with equal widths in its last two stages, and its totals."""
    found = {}
    choices = product((16, 24), (0, 1), (1, 2), (16, 24, 32), (1, 2, 3), (24, 32, 40, 48), (0, 1), (1, 2))
    for stem, first, d0, w0, d1, w1, last, d2 in choices:
        if last and w1 % 16:
            continue
        a, c = (SMALL, LARGE)[first].stages[0], (SMALL, LARGE)[last].stages[2]
        parts = replace(a, depth=d0, width=w0), replace(SMALL.stages[1], depth=d1, width=w1)
        spec = ArchSpec((*parts, replace(c, depth=d2, width=w1)), stem, head_width=32, resolution=32)
        cost = metanet.cost(spec)
        found[spec] = cost.params, cost.macs
    return found


def distance(spec, found):
    """The rule's distance, term by term."""
    total = math.log2(spec.stem_width / found.shape.widths[0]) ** 2
    for i, stage in enumerate(spec.stages):
        total += math.log2(stage.width / found.shape.widths[i + 1]) ** 2
        total += math.log2(stage.depth / found.shape.depths[i]) ** 2
        if SMALL.stages[i].op != LARGE.stages[i].op:
            far = found.progress[i + 1]
            total += far**2 if stage.op == SMALL.stages[i].op else (1 - far) ** 2
    return math.sqrt(total)


class TestNearest:
    @settings(max_examples=12, deadline=None)
    @given(
        st.sampled_from(sorted(everything(), key=lambda spec: spec.id)), st.sampled_from([0.01, 0.03, 0.1]), st.data()
    )
    def test_equals_brute_force(self, near_to, tolerance, data):
        off = st.floats(0.95, 1.05)
        params, macs = (total * data.draw(off) for total in everything()[near_to])
        target, path = Target(params, macs), between(SMALL, LARGE)
        try:
            found = coefficients(path, target)
        except MetanetError:
            return
        inside = [
            spec
            for spec, totals in everything().items()
            if all(abs(got - want) <= tolerance * want for got, want in zip(totals, (params, macs), strict=True))
        ]
        if not inside:
            with pytest.raises(MetanetError, match=r"satisfies|no network with"):
                rung(path, target, (SMALL, LARGE), tolerance=tolerance)
            return
        best = rung(path, target, (SMALL, LARGE), tolerance=tolerance)
        assert best.spec in inside
        assert best.distance == pytest.approx(distance(best.spec, found), abs=1e-3)
        assert best.distance == pytest.approx(min(distance(spec, found) for spec in inside), abs=1e-3)

    def test_bounds_hold_and_the_large_operator_stays(self):
        middle = rung(between(SMALL, LARGE), target_of(SMALL), tolerance=0.1).spec
        before = replace(middle, stages=(replace(middle.stages[0], op="fused_mbconv"), *middle.stages[1:]))
        after = rung(between(SMALL, LARGE), Target(target_of(LARGE).params * 0.8), (before, LARGE), tolerance=0.1)
        assert after.spec.stages[0].op == "fused_mbconv"
        assert all(a <= b <= c for a, b, c in zip(sizes(before), sizes(after.spec), sizes(LARGE), strict=True))

    def test_climbing_down_shrinks_every_stage(self):
        start = conv((4, 64), (6, 96), stem=48)
        rungs = list(climb(onward(start), [Target(target_of(start).params * share) for share in (0.6, 0.3, 0.1)]))
        steps = [sizes(start), *(sizes(found.spec) for found in rungs)]
        assert all(a >= b for big, less in pairwise(steps) for a, b in zip(big, less, strict=True))
        assert all(found.deviation <= 0.01 for found in rungs)


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_member_is_where_the_ladder_wants_it(name):
    target, own = metanet_ladder()[name], metanet.cost(name, resolution=224, num_classes=1000)
    assert abs(own.params / target.params - 1) <= 0.01 and abs(own.macs / target.macs - 1) <= 0.01
    provenance = MODELS[name].provenance
    assert provenance.startswith("generated: ") and "released" not in provenance
    for stage, small, large in zip(*(MODELS[n].spec.stages for n in (name, "MN-B4", "MN-B15")), strict=True):
        assert stage.width % 8 == 0 and stage.width % (stage.head_dim or 1) == 0
        assert replace(stage, depth=1, width=960) in [replace(one, depth=1, width=960) for one in (small, large)]


def test_the_shipped_family_is_monotone():
    specs = [MODELS[name].spec for name in NAMES]
    for a, b in pairwise(specs):
        assert all(x <= y for x, y in zip(sizes(a), sizes(b), strict=True))
        for before, after, large in zip(a.stages, b.stages, specs[-1].stages, strict=True):
            assert before.op != large.op or after.op == large.op  # an operator that has changed stays
    assert all(spec.stages[3].width == spec.stages[4].width for spec in specs)
    assert MODELS["MN-B4"].provenance.startswith("released") and MODELS["MN-B15"].provenance.startswith("released")


@pytest.mark.slow
def test_the_shipped_file_is_rebuilt_bit_for_bit():
    shipped = files("metanet.zoo").joinpath("family.json").read_text(encoding="utf-8")
    assert zoo_file() == shipped
    for name, entry in json.loads(shipped).items():
        cost = metanet.cost(entry["spec"], num_classes=entry["target"]["num_classes"])
        assert entry["totals"] == {"params": cost.params, "macs": cost.macs} and name in GENERATED
        assert entry["versions"]["rule"] == 1


class TestOwnFamily:
    def test_between_two_anchors(self):
        small, large = conv((1, 16), (2, 24), stem=16), conv((4, 64), (8, 96), stem=64)
        family = family_between(small, large, 4, name="mine")
        rungs = dict(family.rungs(tolerance=0.03))
        assert list(family.anchors) == ["mine-1", "mine-4"] and list(rungs) == ["mine-2", "mine-3"]
        a, b = target_of(small), target_of(large)
        assert rungs["mine-2"].target.params == pytest.approx((a.params**2 * b.params) ** (1 / 3))
        assert rungs["mine-3"].target.macs == pytest.approx((a.macs * b.macs**2) ** (1 / 3))
        assert all(found.deviation <= 0.03 for found in rungs.values())

    def test_from_one_anchor(self):
        family = family_from(conv((1, 16), (2, 24), stem=16), "params = 200k", 3)
        rungs = dict(family.rungs())
        assert list(rungs) == ["rung-2", "rung-3"] and rungs["rung-3"].target == Target(200e3)
        assert abs(metanet.cost(rungs["rung-3"].spec).params / 200e3 - 1) <= 0.01

    def test_near_counts_without_classifier(self):
        params, macs = near(Target(1_000_000, 2_000_000, num_classes=10), 0.01, 100)
        assert (params.low, params.high) == (1_000_000 - 1_010 - 10_000, 1_000_000 - 1_010 + 10_000)
        assert (macs.low, macs.high) == (2_000_000 - 1_000 - 20_000, 2_000_000 - 1_000 + 20_000)

    def test_totals_are_read(self):
        assert target_from("params = 1G") == Target(1e9) and target_from("macs = 90G, params = 1G") == Target(1e9, 9e10)


START = conv((1, 16), (2, 24), stem=16)
WRONG = {
    "a family of few": (lambda: family_between(START, START, 2), "at least 3 rungs, the anchors included, got 2"),
    "one rung": (lambda: family_from(START, "params = 1M", 1), "at least 2 rungs, the anchor included, got 1"),
    "no growth": (lambda: onward(START, 1.0, 1.0), "1 or more, and one of them above 1, got depth=1.0 and width=1.0"),
    "a range": (
        lambda: target_from("params <= 1M"),
        r"params = NUMBER and, if wanted, macs = NUMBER, got params <= 1_000",
    ),
    "a memory": (lambda: target_from("params = 1M, memory = 1MB"), "if wanted, macs = NUMBER, got memory in"),
    "MACs alone": (lambda: target_from("macs = 1G"), r"need params = NUMBER, got 'macs = 1G'"),
    "nothing": (lambda: target_from("params = 0"), "must be above 0, got 'params = 0'"),
    "its own size": (
        lambda: family_from(START, f"params = {metanet.cost(START).params}", 3),
        "parameters already: ask for",
    ),
    "stages": (lambda: between(START, conv((1, 16), stem=16)), "as many stages as each other, got 2 and 1"),
    "heads": (lambda: between(START, replace(START, head_width=80)), "one head_width, got 64 and 80"),
    "sizes": (lambda: between(START, replace(START, resolution=80)), "one resolution, got 64 and 80"),
    "shrinking": (
        lambda: between(START, conv((1, 16), (1, 24), stem=16)),
        "got 2 and 1 for the depth of stage 1: give",
    ),
    "strides": (
        lambda: between(START, replace(START, stages=(START.stages[0], replace(START.stages[1], stride=1)))),
        "the same strides, got 2 and 1 in stage 1",
    ),
    "windows": (
        lambda: between(
            *(ArchSpec((StageSpec("window_attention", 1, 32, 2, window=w),), stem_width=32) for w in (7, 8))
        ),
        "one window, got 7 and 8 in stage 0",
    ),
    "tolerance": (lambda: rung(onward(START), Target(1e6), tolerance=1.5), "above 0 and below 1, got 1.5"),
    "far": (lambda: dict(family_from(START, "params = 900T", 2).rungs()), "rung-2 cannot be made: no shape that grows"),
    "coarse": (
        lambda: rung(onward(conv((1, 8), stem=8)), Target(1_450), tolerance=0.0001),
        "no architecture of the family's neighbourhood satisfies params in",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_one_sentence(case):
    call, message = WRONG[case]
    with pytest.raises(MetanetError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


class TestCommand:
    def test_shows_the_ladder(self, capsys):
        assert main(["family"]) == 0
        out = capsys.readouterr().out
        assert [line.split()[0] for line in out.splitlines() if line.startswith(" MN-")] == NAMES
        assert main(["family", "--json"]) == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert rows["MN-B15"]["params"] == 1_003_706_020 and rows["MN-B7"]["target_macs"] == 7.26e9

    def test_makes_a_family_and_its_files(self, tmp_path, capsys):
        (tmp_path / "winner.json").write_text(START.to_json())
        out = tmp_path / "mine"
        argv = ["family", "--anchor", str(tmp_path / "winner.json"), "--to", "params = 100k", "--rungs", "3"]
        assert main([*argv, "--name", "n", "--coefficients", "1.5,1.2", "--out", str(out)]) == 0
        assert f"metanet show {out}/n-3.json" in capsys.readouterr().out
        assert sorted(path.name for path in out.iterdir()) == [
            "family.json",
            "family.png",
            *(f"n-{i}.json" for i in (1, 2, 3)),
        ]
        assert ArchSpec.load(out / "n-1.json") == START
        entry = json.loads((out / "family.json").read_text())["n-3"]
        assert (
            ArchSpec.from_text(entry["spec"]) == ArchSpec.load(out / "n-3.json")
            and entry["target"]["params"] == 100_000
        )
        assert entry["provenance"].startswith("generated: metanet family, from ")
        want = rung(onward(START, 1.5, 1.2), Target(100e3), (ArchSpec.load(out / "n-2.json"), None))
        assert ArchSpec.load(out / "n-3.json") == want.spec
        assert main([*argv, "--json"]) == 0
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["rung-1", "rung-2", "rung-3"]

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--anchor", "MN-B4"], "from one anchor a family needs --to"),
            (["--anchor", "MN-B4", "--anchor", "MN-B15", "--to", "params = 1G"], "neither --to nor --coefficients"),
            (["--anchor", "MN-B4"] * 3, "one anchor or two, got 3"),
            (["--evaluate", "mnist-5k"], "one anchor or two, got 0"),
            (["--anchor", "MN-B99", "--to", "params = 1G"], "unknown model 'MN-B99'"),
            (["--anchor", "MN-B4", "--to", "params = 1G", "--coefficients", "2"], "two numbers as 1.2,1.1"),
            (["build", "--anchor", "MN-B4"], "leave --anchor out, or leave build out"),
            (
                ["--anchor", "MN-B4", "--to", "params = 90M, macs = 2G", "--rungs", "2"],
                "rung-2 cannot be made: no shape",
            ),
        ],
    )
    def test_mistakes_get_a_sentence(self, argv, message, capsys):
        assert main(["family", *argv]) == 2
        assert message in capsys.readouterr().err

    def test_evaluate_asks_for_a_family_by_score(self, monkeypatch, capsys):
        asked = {}
        monkeypatch.setattr(
            "metanet.cli.family_score.run_family_job",
            lambda options, out, quiet: asked.update(options=options, out=out, quiet=quiet) or "who won",
        )
        argv = "--anchor MN-B4 --anchor MN-B15 --rungs 5 --evaluate digits --space metanet --within 0.1 --trials 7"
        assert main(["family", *argv.split(), "--retrain-seeds", "2", "--seed", "3"]) == 0
        options = asked["options"]
        assert options.anchors == ("MN-B4", "MN-B15") and (options.data, options.space) == ("digits", "metanet")
        assert (options.rungs, options.within, options.trials, options.retrain_seeds, options.seed) == (5, 0.1, 7, 2, 3)
        assert asked["out"] == "runs/family" and asked["quiet"] is None and "who won" in capsys.readouterr().out

    def test_builds_the_shipped_file(self, tmp_path, capsys, monkeypatch):
        text = files("metanet.zoo").joinpath("family.json").read_text(encoding="utf-8")
        monkeypatch.setattr("metanet.search_spaces.family.zoo_file", lambda: text)  # built for real above
        assert main(["family", "build", "--out", str(tmp_path / "family.json")]) == 0
        assert (tmp_path / "family.json").read_text() == text and "bit for bit" in capsys.readouterr().out
        monkeypatch.setattr("metanet.search_spaces.family.zoo_file", lambda: text + " ")
        assert main(["family", "build"]) == 1 and "NOT what the package ships" in capsys.readouterr().out
