"""Latency tables: against sums over the modules of real networks, on a clock whose times are known."""

import json
import zlib
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

import metanet
from metanet import ArchSpec, MetaNet, MetanetError, StageSpec
from metanet.cli import main
from metanet.search_spaces import (
    Constraint,
    LatencySetting,
    LatencyTable,
    Space,
    StageChoices,
    build_latency,
    load_space,
)
from metanet.search_spaces.feasible.sampler import FeasibleSampler
from metanet.search_spaces.latency import timing
from metanet.search_spaces.latency.part_tables import parts_in
from metanet.search_spaces.latency.parts import parts_of

SMALL = Space(
    name="small",
    stages=(
        StageChoices((1, 2), (8, 12), (1, 2), ("mbconv", "self_attention"), (3,), (True,), head_dim=(4, 8)),
        (  # two alternatives that overlap
            StageChoices(
                (1, 3),
                (16,),
                (2, 3),
                ("fused_mbconv", "token_mlp"),
                (3,),
                (True,),
                (8,),
                down=(None, "local"),
                window=3,
            ),
            StageChoices((1, 4), (16, 24), (3,), ("fused_mbconv", "window_attention"), (3, 5), (True,), (8,), window=3),
        ),
        StageChoices((1,), (16, 24), (1, 2), ("channel_attention",), stride=2, head_dim=(8,), down=(None, "global")),
    ),
    stem_width=(8,),
    head_width=(16,),
    resolution=(12, 17),
)
FEWER = SMALL.freeze(resolution=17, **{"stage1.width": 16, "stage2.width": 24})
ONE = LatencySetting(rounds=1)


def time_of(module, side):
    """Nanoseconds that stand for what a module does on a map of side x side: its layers, their sizes and settings."""
    about = [side]
    for layer in module.modules():
        about += [type(layer).__name__, [tuple(value.shape) for value in layer.parameters(recurse=False)]]
        about += [getattr(layer, name, None) for name in ("stride", "kernel_size", "groups", "head_dim", "window")]
        about.append(getattr(layer, "shifted", False) and side > layer.window)  # one window cannot be shifted
    return 1 + zlib.crc32(repr(about).encode()) % 100_000


def modules_of(net):
    """The modules that a network runs one after the other."""
    return [net.stem, *(block for stage in net.stages for block in stage.children()), net.head]


def by_hand(net):
    """The sum over a network's modules, on the maps that they really take."""
    sides: dict[nn.Module, int] = {}
    hooks = [
        module.register_forward_pre_hook(lambda own, args: sides.__setitem__(own, args[0].shape[-1]))
        for module in modules_of(net)
    ]
    with torch.no_grad():
        net(torch.zeros(1, 3, net.spec.resolution, net.spec.resolution))
    for hook in hooks:
        hook.remove()
    return sum(time_of(module, sides[module]) for module in modules_of(net))


def clock(work):
    """A clock that shows the known times."""
    if isinstance(work.module, MetaNet):
        return by_hand(work.module)
    module = getattr(work.module, "stem", getattr(work.module, "head", work.module))
    return time_of(module, work.x.shape[-1])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """SMALL's table by the known clock."""
    out = tmp_path_factory.mktemp("latency") / "table.json"
    return build_latency(SMALL, out, setting=ONE, networks=0, clock=clock)


@pytest.fixture(scope="module")
def everything():
    """Every architecture of SMALL, as rows."""
    rows = np.array(list(product(*(range(len(gene.choices)) for gene in SMALL.genes))))
    return np.unique(SMALL.canonical(rows[SMALL.valid(rows)]), axis=0)


def test_predictions_equal_sums_over_the_modules_of_real_networks(table):
    timed = SMALL.timed(table)
    rows = SMALL.sampler().draw(80, np.random.default_rng(0))
    found = timed.table(rows, ("macs", "latency"))
    shifted = 0
    for spec, latency in zip(SMALL.specs(rows), found["latency"].tolist(), strict=True):
        want = by_hand(metanet.create(spec, seed=0).eval())
        assert want == latency == table.nanoseconds(spec) == timed.price(spec)["latency"]
        assert table.predict(spec) == pytest.approx(1e-9 * want, rel=1e-12)
        shifted += any(part.place == "shifted" for part in parts_of(spec))
    assert shifted > 3
    assert found["macs"].tolist() == [metanet.cost(spec).macs for spec in SMALL.specs(rows)]


def test_fused_networks_are_sums_of_fused_parts(tmp_path):
    setting = LatencySetting(rounds=1, fused=True)
    fused = build_latency(FEWER, tmp_path / "table.json", setting=setting, networks=0, clock=clock)
    for spec in FEWER.sample(15, seed=0):
        assert fused.nanoseconds(spec) == by_hand(metanet.fuse(metanet.create(spec, seed=0).eval()))


def test_exactly_the_parts_that_the_space_has_are_measured(table, everything):
    have = {part.name for spec in SMALL.specs(everything) for part in parts_of(spec)}
    assert set(table.parts) == have == {part.name for part in parts_in(SMALL)}


def test_a_part_is_named_by_what_it_does():
    stages = (
        StageSpec("mbconv", 2, 24, 3, 2, kernel=5),
        StageSpec("window_attention", 2, 24, 2, head_dim=8, window=3, down="local_global"),
    )
    assert [part.name for part in parts_of(ArchSpec(stages, 16, 64, 28))] == [
        "stem 3>16 @28",
        "mbconv 16>24 /2 x3 k5 se @14",
        "mbconv 24>24 /1 x3 k5 se @7",
        "local_global down 24>24 /1 d8 @7",
        "window_attention 24>24 /1 x2 d8 w3 @7",
        "window_attention 24>24 /1 x2 d8 w3 shifted @7",
        "head 24>64 @7",
    ]


def test_extremes_equal_enumeration(table, everything):
    values = [table.nanoseconds(spec) for spec in SMALL.specs(everything)]
    assert SMALL.timed(table).table.extremes("latency") == (min(values), max(values))


@pytest.mark.parametrize("plane", [False, True])
def test_draws_are_uniform_under_a_rule_on_latency(plane, table, everything, monkeypatch):
    from scipy.stats import chi2

    from metanet.search_spaces.feasible import sampler as feasible

    monkeypatch.setattr(feasible, "ENOUGH", 2.0 if plane else 0.0)
    timed = SMALL.timed(table)
    params = SMALL.table(everything, ("params",))["params"].tolist()
    costs = [
        {"latency": table.nanoseconds(spec), "params": count}
        for spec, count in zip(SMALL.specs(everything), params, strict=True)
    ]
    low, high = np.quantile([cost["latency"] for cost in costs], (0.05, 0.15)).astype(int).tolist()
    rules = [Constraint("latency", low, high), Constraint("params", high=np.median([c["params"] for c in costs]))]
    want = everything[[all(rule.holds(cost) for rule in rules) for cost in costs]]
    drawn = FeasibleSampler(timed, tuple(rules)).draw(20 * len(want), np.random.default_rng(1))
    found, counts = np.unique(np.concatenate([want, drawn]), axis=0, return_counts=True)
    assert len(found) == len(want) > 60  # nothing infeasible, and nothing outside
    assert 1e-4 < chi2.sf((((counts - 1) - 20) ** 2 / 20).sum(), len(want) - 1) < 1 - 1e-4


def test_changes_keep_a_rule_on_latency(table):
    timed, rng = SMALL.timed(table), np.random.default_rng(0)
    rule = [Constraint("latency", high=sum(timed.table.extremes("latency")) // 2)]
    a, b = timed.sample(2, rule, seed=0)
    for child in (timed.mutate(a, rng, rule), timed.crossover(a, b, rng, rule)):
        assert timed.feasible(child, rule) and table.nanoseconds(child) <= rule[0].high


def test_the_factor_is_fitted_on_networks_that_the_error_leaves_out(tmp_path):
    def slower(work):
        return clock(work) * (5 if isinstance(work.module, MetaNet) else 4)

    built = build_latency(FEWER, tmp_path / "table.json", setting=ONE, networks=10, clock=slower)
    assert built.factor == 1.25 and [one["for"] for one in built.networks] == ["error"] * 10 + ["factor"] * 5
    assert len({ArchSpec.from_dict(one["spec"]) for one in built.networks}) == 15
    error = built.error
    assert error.networks == 10 and error.plain == pytest.approx(20)
    assert (error.spearman, error.kendall) == pytest.approx((1, 1))
    assert error.median == error.worst == error.bias == 0


def test_the_error_is_that_of_the_stored_times(tmp_path):
    from scipy.stats import kendalltau, spearmanr

    rng = np.random.default_rng(0)
    out = tmp_path / "table.json"
    built = build_latency(
        FEWER,
        out,
        setting=LatencySetting(rounds=3),
        networks=12,
        clock=lambda work: int(clock(work) * rng.uniform(1, 2)),
    )
    stored = json.loads(out.read_text())
    rated = [one for one in stored["networks"] if one["for"] == "error"]
    measured = np.array([sorted(one["times"])[1] for one in rated])
    predicted = np.array([built.nanoseconds(ArchSpec.from_dict(one["spec"])) for one in rated])
    off = 100 * (predicted / measured - 1)
    assert built.error.median == pytest.approx(np.median(abs(off))) and built.error.worst == pytest.approx(
        max(abs(off))
    )
    assert built.error.bias == pytest.approx(np.median(off))
    assert built.error.spearman == pytest.approx(spearmanr(predicted, measured)[0])
    assert built.error.kendall == pytest.approx(kendalltau(predicted, measured)[0])


def test_a_table_survives_its_file_and_names_its_machine(table, tmp_path):
    table.save(tmp_path / "copy.json")
    again = LatencyTable.load(tmp_path / "copy.json")
    assert again == table and again.fingerprint == table.fingerprint and again.about == table.about
    assert again.setting == ONE and set(again.about["machine"]) >= {"processor", "cpus", "threads", "platform"}
    assert again.about["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_a_space_with_another_table_is_another_space(table):
    timed = SMALL.timed(table)
    slower = SMALL.timed(replace(table, factor=2.0))
    assert len({SMALL.fingerprint, timed.fingerprint, slower.fingerprint}) == 3
    assert SMALL.timed(table).fingerprint == timed.fingerprint and hash(timed) == hash(SMALL.timed(table))
    # what studies of untimed spaces have stored stays true
    known = "0b5cafa3fe37bb7e"
    assert load_space("metanet-tiny").freeze(resolution=28).fingerprint[:16] == known
    assert timed.freeze(resolution=17).latency is table


def test_what_was_measured_is_kept_when_it_ends_early(tmp_path):
    out, calls = tmp_path / "table.json", []

    def tired(work):
        calls.append(work)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return clock(work)

    setting = LatencySetting(rounds=2)
    with pytest.raises(KeyboardInterrupt):
        build_latency(FEWER, out, setting=setting, networks=2, clock=tired)
    with pytest.raises(MetanetError, match=r"table.json' is not finished: run the same metanet latency build again"):
        LatencyTable.load(out)
    built = build_latency(FEWER, out, setting=setting, networks=2, clock=tired)
    assert len(calls) - 1 == 2 * (len(built.parts) + 3) and {len(times) for times in built.parts.values()} == {2}
    assert build_latency(FEWER, out, setting=setting, networks=2, clock=tired) == built and len(calls) % 2 == 1
    with pytest.raises(MetanetError, match="was measured with another options: choose another file"):
        build_latency(FEWER, out, setting=ONE, networks=2, clock=clock)
    with pytest.raises(MetanetError, match="was measured with another sha256 and architectures and choices: choose an"):
        build_latency(FEWER.freeze(**{"stage0.width": 8}), out, setting=setting, networks=2, clock=clock)


def test_works_that_do_not_fit_into_memory_together_are_timed_lot_by_lot(monkeypatch):
    monkeypatch.setattr(timing, "KEPT", 25)
    seen, times = [], {"2": [7, 7]}
    works = {str(i): lambda i=i: timing.Work(nn.Identity(), torch.zeros(10 + i)) for i in range(5)}
    timing.measure(
        works,
        times,
        LatencySetting(rounds=3),
        seed=0,
        clock=lambda w: seen.append(len(w.x)) or 7,
        keep=list,
        quiet=True,
    )
    assert (
        times == {str(i): [7, 7, 7] for i in range(5)}
        and sorted(seen) == [10] * 3 + [11] * 3 + [12, 13, 13, 13] + [14] * 3
    )
    ends = {size: (seen.index(size), len(seen) - seen[::-1].index(size)) for size in set(seen)}
    together = [sum(size for size, (first, end) in ends.items() if first <= i < end) for i in range(len(seen))]
    assert max(together) <= 25 and sum(size > 14 for size in together) > 3


def test_a_real_measurement(tmp_path, capsys):
    options = ["op=mbconv", "depth=1", "expansion=1", "kernel=3", "se=True", "stage0.width=16", "stage1.width=24"]
    out, before = str(tmp_path / "table.json"), torch.get_num_threads()
    build = ["latency", "build", "metanet-tiny", "--resolution", "28", "--freeze", *options, "--rounds", "2"]
    assert main([*build, "--networks", "4", "--fused", "--threads", "2", "--out", out, "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "metanet-tiny (9 architectures): 18 parts" in said and "error on 4 networks measured whole" in said
    assert "2 threads), batch 1, float32, fused, 2 rounds, wall clock" in said and torch.get_num_threads() == before
    assert main(["latency", "show", out, "--slowest", "3"]) == 0
    said = capsys.readouterr().out
    assert said.count("µs") == 1 and "slowest parts" in said and " to " in said
    assert main(["latency", "show", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"] == 18
    measured = LatencyTable.load(out)
    (spec,) = measured.narrowed(load_space("metanet-tiny")).sample(1, seed=0)
    (tmp_path / "spec.json").write_text(spec.to_json())
    assert main(["latency", "predict", out, str(tmp_path / "spec.json"), "--json"]) == 0
    took = json.loads(capsys.readouterr().out)["nanoseconds"]
    assert took == measured.nanoseconds(spec) and 1e5 < took < 1e9  # between 0.1 ms and a second
    assert main(["latency", "predict", out, str(tmp_path / "spec.json")]) == 0
    assert capsys.readouterr().out.startswith(f"{took / 1e6:.3f} ms (median error of the table: ")
    assert main(["space", "sample", "metanet-tiny", "2", "--latency", out]) == 0
    assert "ms" in capsys.readouterr().out.split()
    assert main(["space", "show", "metanet-tiny", "--latency", out]) == 0
    said = capsys.readouterr().out
    low, high = measured.narrowed(load_space("metanet-tiny")).table.extremes("latency")
    assert main(["search", "--latency", out, "--constraints", "latency <= 100ns", "--out", str(tmp_path / "run")]) == 2
    assert "the nearest attainable value is" in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert "9 architectures" in said and f"latency: {low:,} to {high:,} ns" in said


def test_the_clock_leaves_out_what_other_programs_take():
    import time

    class Slept(nn.Module):
        def forward(self, x):
            time.sleep(0.02)
            return x

    work = timing.Work(Slept(), torch.zeros(1))
    assert timing.stopwatch(LatencySetting())(work) < 1e7 and LatencySetting().clock == "processor"
    assert timing.stopwatch(LatencySetting(threads=2))(work) > 1e7 and LatencySetting(threads=2).clock == "wall"


MISTAKES = {
    "no table": (
        lambda t: SMALL.sample(1, [Constraint("latency", high=5)], seed=0),
        "space small has no latency table, w",
    ),
    "no table either": (
        lambda t: SMALL.feasible(SMALL.sample(1, seed=0)[0], [Constraint("latency", high=5)]),
        r"measure one with `metanet latency build small --out table.json`, then take space.timed\(LatencyTable.load",
    ),
    "too fast": (
        lambda t: SMALL.timed(t).sample(1, [Constraint("latency", high=5)], seed=0),
        "the nearest attainable v",
    ),
    "missing part": (
        lambda t: load_space("metanet-tiny").timed(t).table.extremes("latency"),
        "the latency table of small lacks the part 'stem 3>16 @28': build one of a space that has it",
    ),
    "missing part of a network": (
        lambda t: t.predict(metanet.create("MN-B4", device="meta").spec),
        "lacks the part 'st",
    ),
    "dtype": (lambda t: LatencySetting(dtype="float23"), "unknown dtype 'float23': did you mean 'float32'"),
    "threads": (
        lambda t: LatencySetting(threads=0),
        "`threads` of a latency must be a whole number of at least 1, got 0",
    ),
    "device": (
        lambda t: build_latency(SMALL, "no.json", setting=LatencySetting("cuda:99")),
        "latency cannot be measured on 'cuda:99', which this machine lacks: take cpu",
    ),
    "one network": (lambda t: build_latency(SMALL, "no.json", networks=1), r"0 networks \(none\) or at least 2, got 1"),
    "no file": (lambda t: LatencyTable.load("nowhere.json"), "cannot read the latency table 'nowhere.json'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_sentence(case, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mistake, said = MISTAKES[case]
    with pytest.raises(MetanetError, match=said) as raised:
        mistake(table)
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []


def test_other_files_are_refused_and_left_alone(tmp_path, capsys):
    damaged = {"format": "metanet latency 1", "complete": True, "error": None}
    for values, said in (({"format": "x"}, "is no latency table: give a file that"), (damaged, "is damaged (KeyError")):
        path = tmp_path / "table.json"
        path.write_text(json.dumps(values))
        assert main(["latency", "show", str(path)]) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1 and json.loads(path.read_text()) == values
    assert main(["latency", "build", "metanet-tiny", "--freeze", "op", "--out", str(tmp_path / "a.json")]) == 2
    assert "cannot read --freeze 'op': write GENE=VALUE" in capsys.readouterr().err
    assert main(["latency", "build", "metanet-tiny", "--freeze", "op=conv", "--out", str(tmp_path / "a.json")]) == 2
    assert "op='conv' is outside space metanet-tiny" in capsys.readouterr().err
