"""`metanet space`: marginals, landmarks and names against full enumeration; tables, JSON, pictures, sentences."""

import json
import shlex
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from matplotlib.image import imread
from small import SMALL, prices

import metanet
from metanet import ArchSpec
from metanet.cli import main, parser
from metanet.cli.space import ACTIONS, power
from metanet.report import draw_marginals, style
from metanet.report.marginals import choices_of, genes, longest, percent
from metanet.report.shapes import Box, Text
from metanet.search_spaces import files, load_space, parse_constraints
from metanet.search_spaces.feasible import counting
from metanet.search_spaces.marginals import named, portrait

RULES = "macs <= 600k, params in [11k, 20k]"


def said(argv, capsys):
    """Exit code, stdout and stderr of a command."""
    code = main(argv)
    out = capsys.readouterr()
    return code, out.out, out.err


def kept(rules):
    found = [spec for spec, costs in prices().items() if all(rule.holds(costs) for rule in parse_constraints(rules))]
    assert len(found) > 100
    return found


def value_of(spec, gene):
    """A gene's value in an architecture; "idle" where another value makes the same architecture."""
    stage, _, name = gene.rpartition(".")
    if not stage:
        return getattr(spec, name)
    i = int(stage.removeprefix("stage"))
    if name == "expansion" and spec.stages[i].depth > 1:
        return spec.stages[i].expansion  # only the MLP of a first block can be missing
    if name == "expansion":
        others = [
            replace(spec, stages=(*spec.stages[:i], replace(spec.stages[i], expansion=e), *spec.stages[i + 1 :]))
            for e in (7, 8)
        ]
        return "idle" if others[0] == others[1] else spec.stages[i].expansion
    value = getattr(spec.stages[i], name)
    return "idle" if value is None and name != "down" else value


@cache
def enumerated_marginals(rules):
    """gene -> (share with effect, {choice: share among those}), by counting over all architectures."""
    specs, found = kept(rules), {}
    for gene in SMALL.genes:
        counts = Counter(value_of(spec, gene.name) for spec in specs)
        idle = counts.pop("idle", 0)
        left = len(specs) - idle
        found[gene.name] = (left / len(specs), {c: counts[c] / left if left else 0.0 for c in gene.choices})
    return found


@pytest.mark.parametrize("rules", [None, RULES])
def test_marginals_of_a_small_space_equal_enumeration(rules):
    found = portrait(SMALL, rules)
    true, everything = enumerated_marginals(rules), enumerated_marginals(None)
    assert found.draws == 0 and found.count.low == found.count.high == len(kept(rules)) and found.size == len(prices())
    for one in found.marginals:
        effect, shares = true[one.gene]
        assert one.effect == pytest.approx(effect) and list(one.shares) == pytest.approx(list(shares.values()))
    assert any(0 < one.effect < 1 for one in found.marginals)
    for one in found.free:
        assert list(one.shares) == pytest.approx(list(everything[one.gene][1].values()))
    assert len(found.free) == (len(SMALL.genes) if rules else 0)


def test_drawn_marginals_are_near_those_of_the_enumeration(monkeypatch):
    monkeypatch.setattr(counting, "ENUMERABLE", 0)
    found = portrait(SMALL, RULES, seed=1, draws=4_000)
    assert found.draws == 4_000
    for one in found.marginals:
        effect, shares = enumerated_marginals(RULES)[one.gene]
        assert one.effect == pytest.approx(effect, abs=5 * 0.5 / 4_000**0.5)
        if effect:
            assert list(one.shares) == pytest.approx(list(shares.values()), abs=5 * 0.5 / (4_000 * effect) ** 0.5)
    assert portrait(SMALL, RULES, seed=1, draws=4_000).marginals == found.marginals
    assert portrait(SMALL, RULES, seed=2, draws=4_000).marginals != found.marginals


def test_landmarks_are_the_ends_and_the_middle_of_the_enumeration():
    macs = sorted(prices()[spec]["macs"] for spec in kept(RULES))
    found = {name: one.costs["macs"] for name, one in portrait(SMALL, RULES).landmarks.items()}
    assert found == {"cheapest": macs[0], "median": macs[(len(macs) - 1) // 2], "dearest": macs[-1]}
    for one in portrait(SMALL, RULES).landmarks.values():
        assert prices()[one.spec] == one.costs and one.spec in kept(RULES)


def test_named_networks_are_inside_where_they_should_be():
    found = {one.name: one for one in named(load_space("metanet"), "macs in [3G, 4G]")}
    assert list(found) == metanet.list_models()
    assert (found["MN-B4"].inside, found["MN-B4"].feasible, found["MN-B4"].why) == (True, True, "")  # 3.17 GMACs
    assert (found["MN-B15"].inside, found["MN-B15"].feasible) == (True, False)
    assert not found["UniNet-B0"].inside and found["UniNet-B0"].why.startswith("resolution=160 is outside")


def test_show_fits_80_columns_and_tells_what_json_has_exactly(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "small.yaml").write_text(files.dump(SMALL))
    argv = ["space", "show", str(tmp_path / "small.yaml"), "--where", RULES]
    code, out, _ = said([*argv, "--json"], capsys)
    values = json.loads(out)
    assert code == 0 and values["size"] == len(prices()) and values["count"]["low"] == len(kept(RULES))
    assert values["count"]["exact"] and values["extremes"]["macs"] == list(SMALL.table.extremes("macs"))
    assert ArchSpec.from_text(values["landmarks"]["median"]["text"]) in kept(RULES)
    assert {(row["stage"], row["gene"]) for row in values["marginals"]} >= {(None, "resolution"), (2, "down")}
    code, out, _ = said(argv, capsys)
    lines = [line for line in out.splitlines() if not line.startswith("  mn1/")]
    assert code == 0 and max(map(len, lines)) <= 80 and f"{len(kept(RULES)):,} keep {RULES}" in out
    assert values["landmarks"]["dearest"]["text"] in out and "shares of all of them, exact" in out
    (row,) = [row for row in values["marginals"] if (row["stage"], row["gene"]) == (0, "op")]
    (line,) = [line for line in lines if line.startswith(" MBConv")]
    at = row["choices"].index("mbconv")
    assert line.split()[-2:] == [f"{100 * row[key][at]:.0f}" for key in ("shares", "free")]
    (line,) = [line for line in lines if line.startswith(" MN-B4 ")]
    assert line.split()[:8] == ["MN-B4", "no", "no", "space", "small", "has", "3", "stages,"]


def test_show_breaks_many_stages_into_groups(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    code, out, _ = said(["space", "show", "metanet-tiny", "--resolution", "28"], capsys)
    heads = [line.split() for line in out.splitlines() if "stage 0" in line or "stage 3" in line]
    assert code == 0 and heads == [["%", "stage", "0", "stage", "1", "stage", "2"], ["%", "stage", "3"]]
    assert "2,002,422,624 architectures" in out and "resolution" not in out.partition("networks by name")[0]


def test_the_picture_is_valid_and_follows_the_data(capsys, tmp_path):
    (tmp_path / "small.yaml").write_text(files.dump(SMALL))
    pictures = {}
    for name, rules in {"a": RULES, "b": "macs <= 500k"}.items():
        argv = ["space", "show", str(tmp_path / "small.yaml"), "--where", rules, "--png", str(tmp_path / f"{name}.png")]
        assert said(argv, capsys)[0] == 0
        pictures[name] = (tmp_path / f"{name}.png").read_bytes()
    assert pictures["a"] != pictures["b"]
    assert imread(tmp_path / "a.png").shape[1] == 2 * 622  # two pixels a unit; four columns at least


def test_bars_are_as_long_as_the_shares_say():
    rows = portrait(SMALL, RULES).rows()
    drawing = draw_marginals(rows, title="small")
    op = genes(rows)["op"]
    for name in choices_of(op):
        bars = [box.width for box in drawing.shapes if isinstance(box, Box) and box.colour == style.COLOURS[name]]
        free = [row for row in op if name in row["choices"] and len(row["choices"]) > 1]
        shares = [row["shares"][row["choices"].index(name)] for row in free]
        assert bars == pytest.approx([74 * share / longest(op) for share in shares])
    texts = [shape.text for shape in drawing.shapes if isinstance(shape, Text)]
    assert "self-attention" in texts and "stage 2" in texts and "the only one" in texts
    inside = [shape for shape in drawing.shapes if not isinstance(shape, Text)]
    assert all(box.x >= 0 and box.x + box.width <= drawing.width and box.y <= drawing.height for box in inside)


def test_percent_and_power_say_no_more_than_is_known():
    shown = {0: "0%", 0.004: "<1%", 0.014: "1%", 0.5: "50%", 0.9949: "99%", 0.996: ">99%", 1: "100%"}
    assert {share: percent(share) for share in shown} == shown
    assert [power(x) for x in (12, 9_999_999, 10**7, 943_623_929_971_657_611_226_781_280)] == [
        "12",
        "9,999,999",
        "1.00 × 10^7",
        "9.44 × 10^26",
    ]


def test_list_tells_every_space(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = said(["space", "list", "--json"], capsys)
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0 and rows["metanet-tiny"]["size"] == 10_012_113_120 and rows["metanet"]["stages"] == 6
    for name, row in rows.items():
        space = load_space(name)
        assert row["about"] == space.about and len(row["about"]) > 20
        assert row["macs"] == list(space.table.extremes("macs")) and row["params"] == list(
            space.table.extremes("params")
        )
    code, out, _ = said(["space", "list"], capsys)
    assert code == 0 and "1.00 × 10^10" in out and "605 k to 332 M" in out and rows["uninet"]["about"] in out


def test_sample_draws_from_names_and_files(capsys, tmp_path):
    argv = ["space", "sample", "metanet-tiny", "3", "--where", "macs <= 2M", "--resolution", "32", "--json"]
    code, out, _ = said(argv, capsys)
    specs = [ArchSpec.from_dict(values) for values in json.loads(out)]
    assert code == 0 and len(specs) == 3 and {spec.resolution for spec in specs} == {32}
    assert all(metanet.cost(spec).macs <= 2_000_000 for spec in specs)
    (tmp_path / "small.yaml").write_text(files.dump(SMALL))
    code, out, _ = said(["space", "sample", str(tmp_path / "small.yaml"), "2", "--seed", "5"], capsys)
    assert code == 0 and all(spec.id in out for spec in SMALL.sample(2, seed=5))


@pytest.mark.parametrize("name", [None, "yes: 1", "12", "true", "#1", "two words"])
def test_new_writes_a_space_that_can_be_shown_and_searched(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = said(["space", "new", "my own.yaml", *(["--name", name] if name else [])], capsys)
    assert code == 0 and "metanet space show 'my own.yaml'" in out and "metanet search --space 'my own.yaml'" in out
    assert load_space("my own.yaml").name == (name or "my own")
    lines = [line.rpartition("type: ")[2].rpartition("search it: ")[2] for line in out.splitlines()]
    assert parser().parse_args(shlex.split(lines[1])[1:]).space == "my own.yaml"
    code, out, _ = said([*shlex.split(lines[0])[1:], "--where", "macs <= 3M"], capsys)
    assert code == 0 and "10,848 architectures" in out
    before = (tmp_path / "my own.yaml").read_bytes()
    code, _, err = said(["space", "new", "my own.yaml"], capsys)
    assert code == 2 and "'my own.yaml' is there already: name another file" in err
    assert (tmp_path / "my own.yaml").read_bytes() == before


@pytest.mark.parametrize("action", ACTIONS)
def test_help_of_each_action_has_an_example_that_parses(action, capsys):
    with pytest.raises(SystemExit) as done:
        main(["space", action, "--help"])
    example = f"metanet space {ACTIONS[action][2]}"
    assert done.value.code == 0 and example in capsys.readouterr().out
    assert parser().parse_args(shlex.split(example)[1:]).action == action


MISTAKES = {
    "name": (["show", "metanet-tny"], "unknown space 'metanet-tny': did you mean 'metanet-tiny'"),
    "file": (["show", "none.yaml"], "cannot read the space 'none.yaml': No such file or directory"),
    "suffix": (
        ["sample", "space.txt", "1"],
        "a space is read from a file whose name ends in .yaml, .yml or .json, got",
    ),
    "line": (["show", "bad.yaml"], "bad.yaml, line 2: `resolution` of a network must be a whole number of at least 8"),
    "too little": (
        ["show", "metanet-tiny", "--where", "macs <= 1"],
        "no architecture of metanet-tiny satisfies macs <=",
    ),
    "resolution": (["show", "metanet-tiny", "--resolution", "30"], "resolution=30 is outside space metanet-tiny"),
    "picture": (["show", "metanet-tiny", "--png", "a.jpg"], "--png writes a file whose name ends in .png, got 'a.jpg'"),
    "latency": (["show", "metanet-tiny", "--latency", "none.json"], "cannot read the latency table 'none.json'"),
    "no latency": (["show", "metanet-tiny", "--where", "latency <= 1ms"], "latency"),
    "number": (["sample", "metanet-tiny", "-1"], "the number of architectures to draw must be 0 or more, got -1"),
    "seed": (["sample", "metanet-tiny", "1", "--seed", "-1"], "--seed must be 0 or more, got -1"),
    "new JSON": (["new", "a.json"], "a new space is written as YAML: name the file something.yaml, got 'a.json'"),
    "new name": (["new", "a.yaml", "--name", " "], "the name of a space must be a text, got ' '"),
    "new folder": (["new", "no/such.yaml"], "cannot read or write no/such.yaml: No such file or directory"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_sentence_and_exit_code_2(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.txt").write_text("name: a\n")
    (tmp_path / "bad.yaml").write_text(files.dump(SMALL).replace("resolution: [16, 17]", "resolution: [7]"))
    argv, sentence = MISTAKES[case]
    code, out, err = said(["space", *argv], capsys)
    assert code == 2 and sentence in err and err.startswith("metanet: ") and err.count("\n") == 1 and out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml", "space.txt"]


def test_a_wrong_rule_is_pointed_at(capsys):
    code, out, err = said(["space", "show", "metanet-tiny", "--where", "macs <= 5M, parms < 3"], capsys)
    lines = err.splitlines()
    assert code == 2 and out == "" and "did you mean 'params'" in lines[0]
    assert lines[1][lines[2].index("^") :].startswith("parms")


def test_search_takes_a_file_and_names_its_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: a\nstem_width: 16\nstages: []\n")
    code, _, err = said(["search", "--space", "bad.yaml", "--out", "run"], capsys)
    assert code == 2 and err == "metanet: bad.yaml, line 3: `stages` must be a list of at least one stage\n"
    assert not (tmp_path / "run").exists()
