"""The report of a study: controls at equal budget, studies in every condition, and the command."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.image import imread
from studies import Told, study_of
from test_searchers_table import Row, TableSpace, score

from metanet.cli import main
from metanet.errors import MetanetError
from metanet.search_spaces import load_space
from metanet.searchers import ChoiceTable, SearchResult, controls, load_result, search
from metanet.searchers.report.comparison import Comparison
from metanet.searchers.report.tables import choices_table, failures_table, states_table

SPACE = TableSpace()
TABLE = ChoiceTable("cells", {"op": ("none", "conv", "pool"), "width": (8, 16, 24), "se": (True, False)})
TWO = {"accuracy": "maximize", "latency": "minimize"}


def result_of(trials: list[Told], objectives: Mapping[str, str] | None = None, **options: Any) -> SearchResult[Row]:
    """A result in memory, of TableSpace."""
    return SearchResult(study_of(trials, objectives, **options), SPACE)


def told(values: list[float | None], macs: list[int]) -> list[Told]:
    """Trials in sequence; None failed. Their architectures differ."""
    return [
        Told("failed", macs=m, genes=(1, i % 3, i // 3, 0))
        if v is None
        else Told("scored", [v], macs=m, genes=(1, i % 3, i // 3, 0))
        for i, (v, m) in enumerate(zip(values, macs, strict=True))
    ]


def test_the_controls_stand_beside_the_search_at_equal_budget() -> None:
    own = result_of(told([0.1, 0.6, None, 0.9], [5, 5, 5, 5]), sampler="PredictorGuided()")
    control = result_of(told([0.2, 0.5, 0.4, None, 0.95], [7, 3, 9, 99, 100]))
    compared = Comparison(own, control)
    assert compared.budget == 4  # of the control's five
    rows = compared.table.set_index("chosen by")
    assert rows["accuracy"].to_dict() == {"search": 0.9, "random search": 0.5, "most MACs": 0.4}
    assert rows["trial"].to_dict() == {"search": 3, "random search": 1, "most MACs": 2}
    assert compared.reached("accuracy") == 2
    said = compared.sentence("accuracy")
    assert "After 4 evaluations each, the best accuracy of the search is 0.9, of random search 0.5" in said
    assert "the search is 0.4 better. It was as good as random search's best after 2 evaluations." in said
    assert "The architecture with the most MACs that was drawn has 0.4." in said
    assert {name: len(rows) for name, rows in compared.scores.items()} == {"search": 4, "random search": 4}
    assert compared.largest is not None and compared.largest["accuracy"].tolist() == [0.2, 0.2, 0.4, 0.4]
    assert compared.trials["random search"]["macs"].tolist() == [7, 3, 9]


def test_a_search_that_loses_is_told_so() -> None:
    own = result_of(told([3.0, 2.5], [1, 1]), {"loss": "minimize"})
    control = result_of(told([2.0, 1.0, 0.5], [1, 2, 3]), {"loss": "minimize"})
    compared = Comparison(own, control)
    assert compared.reached("loss") is None
    assert "the search is 1.5 worse. The architecture" in compared.sentence("loss")
    level = Comparison(own, result_of(told([2.5, 9.0], [1, 1]), {"loss": "minimize"}))
    assert "the search is level. It was as good as random search's best after 2" in level.sentence("loss")


def test_a_control_has_to_be_random_search_for_the_same() -> None:
    own = result_of([])
    with pytest.raises(MetanetError, match="a control is random search, this one was searched by LocalSearch"):
        Comparison(own, result_of([], sampler="LocalSearch(restart=True)"))
    for difference in ({"constraints": "macs <= 9"}, {"evaluator": "f"}, {"space_fingerprint": "x"}):
        (name,) = difference
        with pytest.raises(MetanetError, match=f"must be of the same search, got {name} .* give the control of this"):
            Comparison(own, result_of([], **difference))


def test_failures_that_differ_in_numbers_are_one() -> None:
    trials = [
        Told("failed", reason="out of memory: 7.5 MiB"),
        Told("scored", [1.0]),
        Told("failed", reason="accuracy = nan"),
        Told("failed", reason="out of memory: 912 MiB"),
        Told("abandoned"),
        Told("pruned", reported={1: 0.5}),
    ]
    frame = result_of(trials).to_dataframe()
    rows = failures_table(frame)
    assert rows["reason"].tolist() == ["out of memory: 7.5 MiB", "accuracy = nan"]
    assert rows[["trials", "first", "last"]].to_numpy().tolist() == [[2, 0, 3], [1, 2, 2]]
    counts = states_table(frame).set_index("state")
    assert counts["trials"].to_dict() == {"FAIL": 3, "COMPLETE": 1, "ABANDONED": 1, "PRUNED": 1}
    assert counts["seconds"]["FAIL"] == 3
    assert failures_table(frame.iloc[:0]).empty and states_table(frame.iloc[:0]).empty


def test_choices_are_told_by_what_they_scored() -> None:
    trials = [Told("scored", [a + b / 10], genes=(1, a, b, 0)) for a in range(3) for b in range(3)]
    trials += [Told("scored", [9.0], genes=(2, 0, 0, 0)), Told("failed", genes=(2, 1, 0, 0))]
    rows = choices_table(Comparison(result_of(trials), None))
    own = rows[rows["gene"] == "wide"].set_index("choice")
    assert own["architectures"].to_dict() == {"10": 9, "20": 1}
    assert own["mean accuracy"]["10"] == pytest.approx(1.1) and own["best accuracy"]["10"] == 2.2
    assert set(rows["gene"]) == {"wide", "g1", "g2"}  # the last one never varied


def pictures(folder: Path) -> set[str]:
    """The PNG files of a report, each proven to be a picture."""
    for path in folder.glob("*.png"):
        assert imread(path).shape[1] == 1600
    return {path.stem for path in folder.glob("*.png")}


def test_a_folder_gets_the_page_and_a_picture_of_every_plot(tmp_path: Path) -> None:
    own = search(SPACE, score, trials=14, store=tmp_path / "s")
    control = controls(SPACE, score, trials=12, store=tmp_path / "c").random
    page = own.report(tmp_path / "out", control)
    text = page.read_text()
    assert page == tmp_path / "out" / "report.html"
    assert pictures(tmp_path / "out") == {"best-accuracy", "front-accuracy", "hypervolume", "importances", "seconds"}
    assert text.count('class="plot"') == 5
    best = max(one.values["accuracy"] for one in own.scored[:12])
    assert f"After 12 evaluations each, the best accuracy of the search is {best:.4g}" in text
    assert "most MACs" in text and "of one run each" in text and "No control was given" not in text
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?://', text, re.IGNORECASE)


def test_several_objectives_are_shown_against_each_other(tmp_path: Path) -> None:
    space = TableSpace(priced=False)

    def evaluate(spec: Row) -> dict[str, float]:
        return {"accuracy": score(spec), "latency": float(sum(spec.choices))}

    result = search(space, evaluate, objectives=TWO, sampler="random", trials=8, store=tmp_path / "s")
    result.report(tmp_path / "out", result)
    names = {"best-accuracy", "best-latency", "front-accuracy-latency", "hypervolume", "seconds"}
    assert pictures(tmp_path / "out") == names
    text = (tmp_path / "out" / "report.html").read_text()
    assert "the search is level" in text and "latency (less is better)" in text and "most MACs" not in text
    assert "the best by that objective alone" in text


def test_macs_may_be_an_objective_themselves(tmp_path: Path) -> None:
    objectives = {"accuracy": "maximize", "macs": "minimize"}

    def evaluate(spec: Row) -> dict[str, float]:
        return {"accuracy": score(spec), "macs": float(SPACE.price(spec)["macs"])}

    result = search(SPACE, evaluate, objectives=objectives, sampler="random", trials=8, store=tmp_path / "s")
    frame = result.to_dataframe()
    assert list(frame.columns).count("macs") == 1 and str(frame["macs"].dtype) == "float64"
    assert list(result.worst) == ["accuracy", "macs"] and len(result.hypervolume()) == 8
    text = result.report(tmp_path / "page.html", result).read_text()
    assert "in accuracy and macs" in text


def test_trials_that_fell_behind_are_told_from_those_that_failed(tmp_path: Path) -> None:
    class Cheap:
        fingerprint = "cheap"

        def __call__(self, spec: Row, *, fidelity: float = 1.0) -> Mapping[str, float]:
            if spec.choices[1] == 2:
                raise RuntimeError("no memory")
            return {"accuracy": score(spec) - 0.1 * (1 - fidelity), "images": 1000 * fidelity}

    how: dict[str, Any] = {"trials": 16, "max_failures": 16}
    result = search(SPACE, Cheap(), sampler="random", fidelities=(0.1, 1.0), store=tmp_path / "s", **how)
    frame = result.to_dataframe()
    pruned = frame[frame["state"] == "PRUNED"]
    assert len(pruned) and len(frame[frame["state"] == "FAIL"])
    assert (pruned["last_fidelity"] == 0.1).all() and pruned["accuracy"].isna().all()
    assert pruned["metric.images"].isna().all()
    complete = frame[frame["state"] == "COMPLETE"]
    assert (complete["last_fidelity"] == 1).all() and (complete["last_value"] == complete["accuracy"]).all()
    assert len(result.best_so_far()) == 16
    text = result.report(tmp_path / "page.html").read_text()
    assert f'<td>PRUNED</td><td class="number">{len(pruned)}</td>' in text and "RuntimeError: no memory" in text
    full = controls(SPACE, Cheap(), store=tmp_path / "c", **how).random
    with pytest.raises(MetanetError, match=r"must be of the same search, got fidelities \[0.1, 1.0\] and None; pruner"):
        result.report(tmp_path / "page.html", full)


def test_a_study_in_any_condition_has_a_report(tmp_path: Path) -> None:
    conditions = {
        "empty": [],
        "failures": [Told("failed", reason="RuntimeError: <b>no</b>"), Told("failed")],
        "begun": [Told("running", macs=3)],
        "few": told([0.5, None, 0.5], [3, 4, 3]),
        "pruned": [Told("pruned", macs=3, reported={1: 0.3}), Told("abandoned", macs=3)],
    }
    said = {
        "empty": ["No trial was made yet", "trials: none", "Nothing was scored yet", "No architecture was evaluated"],
        "failures": ["RuntimeError: &lt;b&gt;no&lt;/b&gt;", "no reason was written down", "got 0: search on"],
        "begun": ["RUNNING", "Nothing can be compared yet"],
        "few": [
            "Importances need at least 10 scored architectures, got 2",
            "of random search 0.5: the search is level",
        ],
        "pruned": ["PRUNED", "ABANDONED", "Nothing was scored yet"],
    }
    for name, trials in conditions.items():
        control = None if name in ("empty", "pruned") else result_of(trials)
        page = result_of(trials).report(tmp_path / f"{name}.html", control)
        text = page.read_text()
        for words in said[name]:
            assert words in text, (name, words)
        assert ("No control was given" in text) == (control is None)
    assert not list(tmp_path.glob("*.png"))


def test_the_report_of_a_running_search_writes_nothing_but_itself(tmp_path: Path) -> None:
    seen: list[str] = []

    def evaluate(spec: Row) -> float:
        if len(seen) == 3:
            before = (tmp_path / "s").read_bytes()
            load_result(tmp_path / "s", SPACE).report(tmp_path / "page.html")
            assert (tmp_path / "s").read_bytes() == before
            assert {path.name for path in tmp_path.iterdir()} <= {"s", "s.owner", "s.lock", "page.html"}
        seen.append(spec.id)
        return score(spec)

    result = search(SPACE, evaluate, trials=6, sampler="random", store=tmp_path / "s")
    assert len(result.scored) == 6
    text = (tmp_path / "page.html").read_text()
    assert "3 architectures were scored (trials: 3 complete, 1 running)." in text


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studies of a run folder of `metanet search`, of networks."""
    folder = tmp_path_factory.mktemp("report") / "run"
    space = load_space("metanet-tiny").freeze(resolution=28)
    how: dict[str, Any] = {"constraints": "macs <= 2M", "trials": 4, "quiet": True}
    search(space, _depth, sampler="evolution", store=folder / "search.journal", **how)
    controls(space, _depth, store=folder / "random.journal", **how)
    return folder


def _depth(spec: Any) -> float:
    return float(sum(stage.depth for stage in spec.stages))


def said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and what was printed."""
    code = main(argv)
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_a_run_folder_tells_its_space_and_its_control(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    assert said(["report", str(run_folder)], capsys) == (0, "wrote study/report.html\n")
    text = Path("study/report.html").read_text()
    assert "After 4 evaluations each" in text and "<svg" in text  # the network that was found is drawn
    assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before
    journal, control = str(run_folder / "search.journal"), str(run_folder / "random.journal")
    assert said(["report", journal, "--out", "alone.html"], capsys) == (0, "wrote alone.html\n")
    assert "No control was given" in Path("alone.html").read_text()
    assert said(["report", journal, "--control", control, "--out", "both.html"], capsys)[0] == 0
    assert "After 4 evaluations each" in Path("both.html").read_text()


def test_a_table_of_choices_needs_no_space_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(TABLE, lambda row: row["width"] + row["se"] / 2, trials=12, store=tmp_path / "s")
    assert said(["report", str(tmp_path / "s"), "--out", str(tmp_path / "page.html")], capsys)[0] == 0
    text = (tmp_path / "page.html").read_text()
    assert "Search in cells" in text and "24" in text and "hypervolume" in text


def test_an_old_study_asks_for_its_space(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (run_folder / "search.journal").read_bytes().splitlines(keepends=True)
    old = [line for line in lines if "space" not in json.loads(line).get("user_attr", {})]
    assert len(old) == len(lines) - 1
    (tmp_path / "old.journal").write_bytes(b"".join(old))
    argv = ["report", str(tmp_path / "old.journal"), "--out", str(tmp_path / "page.html")]
    code, text = said(argv, capsys)
    assert code == 2 and "does not tell the choices of 'metanet-tiny', which it searched: give the space" in text
    code, text = said([*argv, "--space", "metanet-tiny"], capsys)
    assert code == 2 and "with other choices than the space given has" in text
    assert said([*argv, "--space", "metanet-tiny", "--resolution", "28"], capsys)[0] == 0
    code, text = said([*argv, "--resolution", "28"], capsys)
    assert code == 2 and "--resolution and --latency belong to a space that is named: add --space" in text


def test_what_is_no_study_is_said_in_one_sentence(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    code, text = said(["report", str(tmp_path / "folder")], capsys)
    assert code == 2 and "holds no search.journal: name a run folder of `metanet search`, or a journal" in text
    damaged = tmp_path / "damaged.journal"
    damaged.write_bytes((run_folder / "search.journal").read_bytes()[:900] + b"\nnonsense\n")
    code, text = said(["report", str(damaged), "--out", str(tmp_path / "page.html")], capsys)
    assert code == 2 and "is damaged" in text and not (tmp_path / "page.html").exists()
    other = str(run_folder / "search.journal")
    code, text = said(["report", other, "--control", other, "--out", str(tmp_path / "page.html")], capsys)
    assert code == 2 and "a control is random search" in text
    (tmp_path / "file").write_text("mine")
    code, text = said(["report", other, "--out", str(tmp_path / "file")], capsys)
    assert code == 2 and "cannot write in the run folder" in text and (tmp_path / "file").read_text() == "mine"


def test_long_fronts_are_cut_and_say_so(tmp_path: Path) -> None:
    trials = [Told("scored", [float(i)], macs=i, genes=(1, i % 3, i // 3 % 3, i // 9 % 3)) for i in range(40)]
    text = result_of(trials).report(tmp_path / "page.html").read_text()
    assert "the first 30 of 40" in text
    assert pd.Series(re.findall(r">1-\d-\d-\d</td>", text)).size == 30
