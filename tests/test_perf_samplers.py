"""How samplers are compared: tables read from files, regret and hypervolume by hand."""

import csv
import gzip
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from metanet.errors import MetanetError

sys.path.insert(0, str(Path(__file__).parents[1] / "perf"))
import nas_tables
import sampler_runs
import sampler_tables
import samplers
import sampling

ROWS = {"00": [5.0, 7.0], "01": [1.0, 1.0], "10": [9.0, 3.0], "11": [8.0, 8.0]}
MACS = {"00": 10, "01": 20, "10": 30, "11": 40}


@pytest.fixture
def bench(tmp_path: Path) -> nas_tables.Bench:
    records = {name: {"acc": ROWS[name], "flops": MACS[name]} for name in ("11", "00", "10", "01")}
    path = tmp_path / "cells.json.gz"
    path.write_bytes(gzip.compress(json.dumps(records).encode()))
    return nas_tables.load(path, ["acc"], cost="flops")


def test_a_table_is_read_from_json_in_the_order_of_its_rows(bench: nas_tables.Bench) -> None:
    assert bench.table.name == "cells"
    assert bench.truth.tolist() == [6, 1, 6, 8]
    assert bench.table.priced(bench.table.allowed())["macs"].tolist() == [10, 20, 30, 40]
    seen = {bench.query(2, seed=0, times=i) for i in range(20)}
    assert seen == {9.0, 3.0}
    assert bench.query(2, seed=1, times=3) == bench.query(2, seed=1, times=3)


def test_a_table_is_read_from_csv_and_several_columns_are_their_mean_rank(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    values = [("(0, x)", 1.0, 4.0), ("(1, x)", 2.0, 4.0), ("(2, x)", 3.0, 1.0)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("other", "arch", "a", "b"), *((0, *row) for row in values)])
    assert nas_tables.load(path, ["a"], key="arch").truth.tolist() == [1, 2, 3]
    assert nas_tables.load(path, ["a"], key="arch", sign=-1).truth.tolist() == [-1, -2, -3]
    # Ranks of a: 3, 2, 1; of b, with two equals: 1.5, 1.5, 3.
    assert nas_tables.load(path, ["a", "b"], key="arch").truth.tolist() == [-2.25, -1.75, -2]
    assert nas_tables.load(path, ["a", "b"], key="arch", sign=-1).truth.tolist() == [-1.75, -2.25, -2]
    with pytest.raises(MetanetError, match="unknown column 'c'"):
        nas_tables.load(path, ["c"], key="arch")
    path.write_text("arch,a\n00,1\n11,2\n")
    with pytest.raises(MetanetError, match=r"t\.csv has 2 of the 4 rows that its choices make: give all"):
        nas_tables.load(path, ["a"])


def test_networks_may_have_been_trained_more_or_less_often(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(
        json.dumps({"a:1": {"x": [1, 2, 6], "y": 0}, "b:1": {"x": [8, 4], "y": 1}, "c:1": {"x": 5, "y": 2}})
    )
    bench = nas_tables.load(path, ["x"], cost="y")
    assert bench.truth.tolist() == [3, 6, 5] and bench.table.counts == (3, 1)
    assert [{bench.query(place, 0, times) for times in range(40)} for place in range(3)] == [{1, 2, 6}, {8, 4}, {5}]
    assert nas_tables.load(path, ["x", "y"]).truth.tolist() == [-3, -1.5, -1.5]
    path.write_text("arch,x,y\nb,8,1\na,1,0\na,2,0\nc,5,2\nb,4,1\na,6,0\n")  # a row a training run
    again = nas_tables.load(path, ["x"], cost="y")
    assert again.truth.tolist() == [3, 6, 5] and again.table.price(again.table.decode([1])) == {"macs": 1}


def test_a_text_is_read_so_that_the_table_is_whole_and_has_most_genes(tmp_path: Path) -> None:
    genes = ["ab", "cd", "ef"]
    for pattern, counts in (
        ("{}{}{}", (2, 2, 2)),
        ("x_{}|~0|{}_y+{}", (2, 1, 2, 2)),
        ("64-{}_{}-{}", (1, 2, 2, 2)),  # not one gene for "a_c"
        ("64-41-{}_{}{}", (1, 1, 1, 1, 1, 1, 2, 1, 2, 2)),
        ("conv_{0}{0}|{1}~2|{2}", (2, 2, 1, 2)),
    ):
        names = [pattern.format(*row) for row in itertools.product(*genes)]
        (tmp_path / "t.json").write_text(json.dumps({name: {"a": i} for i, name in enumerate(names)}))
        bench = nas_tables.load(tmp_path / "t.json", ["a"])
        assert bench.truth.tolist() == list(range(8)) and bench.table.counts == counts
    widths = [(16, 8), (64, 128)]
    names = [":".join(map(str, row)) for row in itertools.product(*widths)]
    (tmp_path / "t.json").write_text(json.dumps({name: {"a": 0} for name in names}))
    assert nas_tables.load(tmp_path / "t.json", ["a"]).table.genes[1].choices == ("128", "64")


def test_costs_are_whole_numbers_in_the_unit_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("arch,a,flops\n0,1,15.65\n1,2,7.78\n")
    assert nas_tables.load(tmp_path / "t.csv", ["a"], cost="flops", unit=1e6).table.price(
        nas_tables.load(tmp_path / "t.csv", ["a"]).table.decode([0])
    ) == {"macs": 15_650_000}
    with pytest.raises(MetanetError, match=r"'flops' of '0' must be a whole number of MACs, got 15\.65: say what it "):
        nas_tables.load(tmp_path / "t.csv", ["a"], cost="flops")
    with pytest.raises(MetanetError, match="unknown column 'b': known: a, arch, flops"):
        nas_tables.load(tmp_path / "t.csv", ["a"], key="b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("arch,a\n4-12,1\n4-12-3,2\n", "must be texts of equally many genes: '4-12' has 2, '4-12-3' has 3"),
        ("arch,a\n", "must be texts of equally many genes: there are none"),
        ("arch,a\n1_02,1\n1_13,2\n", r"t\.csv has 2 of the 4 rows that its choices make: give all"),
        ('{"0": 1}', r"t\.csv cannot be read as a table: its JSON is not \{architecture: \{column: number\}\}"),
        ('{"0": {"a"', r"t\.csv cannot be read as a table: Expecting ':' delimiter"),
        ("arch,a\n0,1\n1,\n", "'a' of '1' must be a number, or a list of one a training run, got ''"),
        ('{"0": {"a": []}}', r"'a' of '0' must be a number, or a list of one a training run, got \[\]"),
        ('{"0": {"a": [1, NaN]}}', r"'a' of '0' must be a number, .* got \[1, nan\]"),
    ],
)
def test_a_table_that_is_none_gets_a_sentence(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(MetanetError, match=message):
        nas_tables.load(tmp_path / "t.csv", ["a"])


def test_regret_is_that_of_the_best_seen_mean_and_excess_that_of_not_having_seen_the_best(
    bench: nas_tables.Bench,
) -> None:
    budgets = (1, 2, 3, 4)
    every = sampling.allowed(bench, None)
    # First 01 (true 1), then 10, lucky (seen 9, true 6), then 10 again, unlucky (mean 6), then the best.
    found = [(1, 1.0), (2, 9.0), (2, 3.0), (3, 8.0)]
    told = sampling.regrets(bench, 0, found, every, budgets)
    assert told["regret"] == [7, 2, 2, 0]
    # Beside a lucky 9 the best, seen as 8, would not have been recommended: no excess at 2.
    assert told["excess"] == [7, 0, 2, 0]
    capped = sampling.allowed(bench, "macs <= 20")
    assert sampling.regrets(bench, 0, found, capped, budgets)["regret"] == [5, 5, 5, 5]
    assert sampling.regrets(bench, 0, [(3, 8.0)], capped, budgets)["regret"] == [
        5,
        5,
        5,
        5,
    ]  # nothing feasible: the worst


def test_what_is_missing_of_the_hypervolume_is_the_area_by_hand(
    bench: nas_tables.Bench,
) -> None:
    # The corner is (1, 40). The true front is 00 (6, 10) and 11 (8, 40): 5 x 30 + 2 x 0 = 150. 10 alone: 5 x 10 = 50.
    told = sampling.missing(bench, [(2, 9.0), (0, 5.0)], (1, 2))
    assert told["missing"] == pytest.approx([1 - 50 / 150, 0])


def test_every_sampler_runs_and_equal_seeds_see_equal_results(
    bench: nas_tables.Bench,
) -> None:
    for name in sampling.SAMPLERS:
        found, seconds = sampling.visits(bench, name, 0, "macs <= 30", False, 3)
        assert seconds > 0
        assert {value for place, value in found if place == 1} <= {1.0}
        assert sampling.visits(bench, name, 0, "macs <= 30", False, 3)[0] == found
        if name not in ("TPE", "NSGA-II", "GP"):
            assert sorted(place for place, _ in found) == [0, 1, 2]
    for name in samplers.SEVERAL:
        assert len(sampling.visits(bench, name, 0, None, True, 3)[0]) == 3


def test_runs_are_summed_up_with_paired_differences(tmp_path: Path) -> None:
    regrets = {"predictor": ([1], [2], [3]), "TPE": ([2, 1], [3, 2], [4], [9])}
    for name, runs in regrets.items():
        for seed, values in enumerate(runs):
            about = {"case": "c", "settings": "a", "sampler": name, "seed": seed, "evaluations": 50, "seconds": 0.2}
            sampler_runs.add(tmp_path, {**about, "regret": values})
    summed = sampler_runs.summary(tmp_path, "predictor")
    found = summed["cases"]["c"]["regret"]
    assert found["predictor"]["mean"][0] == pytest.approx([2, 2 - 2.484, 2 + 2.484], abs=1e-3)  # t(2) = 4.303
    assert found["TPE"]["seeds"] == 4
    assert [mean for mean, *_ in found["TPE"]["mean"]] == [4.5, 1.5]  # the second of the two seeds that went so far
    assert found["TPE"]["over default"] == [[1, 1, 1]]
    assert summed["seconds a proposal"]["TPE"] == pytest.approx(0.004)


def test_shares_are_those_of_random_search_over_all_tables_and_its_better_ones_are_named(tmp_path: Path) -> None:
    def told(*means: float, over: float = 0.0) -> dict[str, object]:
        return {"seeds": 3, "mean": [[mean, mean, mean] for mean in means], "over default": [[over, over, over]]}

    noisy = {"random": told(4, 2), "predictor": told(2, 0), "TPE": told(1, 1, over=-1), "GP": told(3)}
    cases = {
        "a": {"regret": {"random": told(9, 9)}, "excess": noisy},
        "b": {"regret": {"random": told(8, 8), "predictor": told(2, 2), "TPE": told(8, 4), "GP": told(8)}},
        "c": {"regret": {"predictor": told(1)}},  # nothing to compare with
        "d": {"missing": {"random": told(1, 1)}},
    }
    about = {"options": {"budgets": [25, 100], "default": "predictor"}, "cases": cases}
    shares = sampler_tables.shares_of_random(about)
    assert shares == {"GP": [0.875], "TPE": [0.625, 0.375], "predictor": [0.375, 0.125], "random": [1, 0.75]}
    assert sampler_tables._better(noisy, [25, 100]) == ["TPE (25)"]
    sampler_tables.plotted(about, path := tmp_path / "s.png")
    assert path.read_bytes()[:4] == b"\x89PNG"
    solved = {"c": cases["c"], "d": {"regret": {"random": told(0, 0)}}, "e": {"regret": {"random": told()}}}
    for few in (solved, {"d": cases["d"]}, {}):  # nothing to be told apart by
        assert sampler_tables.shares_of_random({**about, "cases": few}) == {}
        assert sampler_tables.plotted({**about, "cases": few}, tmp_path / "none.png") is None


def test_stored_runs_outlive_a_torn_line_and_are_put_in_order(tmp_path: Path) -> None:
    about = {"case": "a: x, macs <= 2", "settings": "a", "sampler": "TPE, repeat-free", "seconds": 0.5}
    long = {**about, "seed": 1, "evaluations": 50, "regret": [0.25, 0.123456789], "excess": [0.0, -1e-7]}
    other = {**about, "seed": 0, "evaluations": 25, "missing": [0.5]}
    sampler_runs.add(tmp_path, {**about, "seed": 1, "evaluations": 25, "regret": [0.25]})
    (path,) = tmp_path.glob("*.csv")
    with path.open("a") as file:
        file.write('"a: x, macs <= 2",a,"TPE, rep')  # killed
    sampler_runs.add(tmp_path, long)
    sampler_runs.add(tmp_path, other)
    kept = {**long, "regret": [0.25, 0.12346]}
    assert list(sampler_runs.stored(tmp_path))[1:] == [kept, other]
    least = {**other, "case": "a: x, macs >= 2", "evaluations": 50}  # another case, the same file
    sampler_runs.add(tmp_path, least)
    sampler_runs.tidy(tmp_path)
    assert list(sampler_runs.stored(tmp_path)) == [other, kept, least]
    assert list(tmp_path.glob("*.csv")) == [path] and len(path.read_text().splitlines()) == 4


def test_runs_of_one_table_are_not_taken_for_those_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "RUNS", tmp_path / "runs")
    path = tmp_path / "t.csv"
    path.write_text("arch,a\n" + "\n".join(f"{i}{j},{i + j}" for i in range(3) for j in range(3)))
    samplers.run(samplers.Case(path, ["a"]), ["random"], range(2), 25)
    (first, second) = sampler_runs.stored(tmp_path / "runs")
    assert (first["seed"], second["seed"]) == (0, 1) and first["regret"] == [0.0]  # nine rows, all seen
    samplers.run(samplers.Case(path, ["a"]), ["random"], range(3), 25)
    assert len(list(sampler_runs.stored(tmp_path / "runs"))) == 3  # one that was not there
    other = samplers.Case(path, ["a"], minimize=True)
    with pytest.raises(SystemExit, match="the runs stored as 't: a' are of another table, column, cost or direction"):
        samplers.run(other, ["random"], range(2), 25)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["t.csv"], "--columns says what of the table is climbed"),
        (["t.csv", "--columns", "a", "--front"], "--front needs --cost, and knows no --limit"),
        (["t.csv", "--columns", "a", "--limit", "macs <= 1"], "--limit needs --cost: the column that it is on"),
        (["t.csv", "--columns", "a", "--part", "2/2"], "a part is K/N with K below N, as 0/2, got '2/2'"),
        (["t.csv", "--columns", "a", "--seeds", "1"], "--seeds must be at least 2: one seed has no interval"),
        (["t.csv", "--columns", "a"], "No such file or directory: 't.csv'"),
        (["."], "'.' holds none of the files of the stored table: name a table's file"),
    ],
)
def test_wrong_options_get_a_sentence(
    argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["samplers.py", *argv])
    with pytest.raises(SystemExit) as end:
        samplers.main()
    assert message in f"{end.value} {capsys.readouterr().err}"


@pytest.mark.parametrize("limit", [None, "macs <= 20"])
def test_pymoo_climbs_by_generations_and_keeps_the_limit_in_the_end(limit: str | None, tmp_path: Path) -> None:
    names = [f"{i:08b}" for i in range(256)]
    records = {name: {"acc": float(name.count("1")), "flops": 10 * name.count("1")} for name in names}
    (tmp_path / "t.json").write_text(json.dumps(records))
    bench = nas_tables.load(tmp_path / "t.json", ["acc"], cost="flops")
    found, _ = sampling.visits(bench, sampling.PYMOO, 0, limit, False, 60)
    again, _ = sampling.visits(bench, sampling.PYMOO, 0, limit, False, 60)
    assert found == again
    first, last = ([bench.truth[place] for place, _ in part] for part in (found[:20], found[40:]))
    assert np.mean(last) < min(3.5, np.mean(first)) if limit else np.mean(last) > max(5.5, np.mean(first))
    whole, _ = sampling.visits(bench, sampling.PYMOO, 1, None, True, 60)
    assert sampling.missing(bench, whole, (20, 60))["missing"][1] < 0.2
