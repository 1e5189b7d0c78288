"""The live table: what it tells, in a terminal and out of one, and that it harms nothing."""

import io
import re
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from studies import BEGIN, Told, study_of
from test_searchers_table import Row, TableSpace, score, told

from metanet.cli import main
from metanet.errors import MetanetError
from metanet.searchers import LiveTable, SearchResult, controls, load_result, search
from metanet.searchers.live_table import duration, table_of
from metanet.searchers.standing import standing
from metanet.searchers.watch import Watched, look_on

SPACE = TableSpace()
TWO = {"accuracy": "maximize", "latency": "minimize"}
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def terminal() -> Console:
    """A terminal that keeps what it is shown."""
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=40)


def shown(console: Console) -> str:
    """What a console was shown, without colours."""
    assert isinstance(console.file, io.StringIO)
    return COLOURS.sub("", console.file.getvalue())


TRIALS = [
    Told("scored", [0.5], macs=2_000_000, genes=(1, 0, 0, 0), ended=10, seconds=8),
    Told("abandoned", ended=11),
    Told("failed", macs=3, reason="RuntimeError: [bold]no\nmemory", genes=(2, 0, 0, 0), ended=20, seconds=2),
    Told("scored", [0.7], macs=1_500_000, genes=(1, 1, 0, 0), ended=32, seconds=8),
    Told("pruned", macs=7, genes=(1, 2, 0, 0), reported={100: 0.25, 300: 0.5}, ended=38, seconds=4),
    Told("answered", [0.7], genes=(1, 1, 0, 0), ended=38, seconds=0),
    Told("running", macs=9, genes=(1, 2, 1, 0), ended=40, seconds=0),
]


def test_how_a_study_stands() -> None:
    now = standing(study_of(TRIALS), total=10, now=BEGIN + timedelta(seconds=47))
    assert (now.done, now.total) == (5, 10)  # without the abandoned and the running one
    assert now.counts == {"scored": 3, "pruned": 1, "failed": 1, "running": 1}
    assert [line.number for line in now.best] == [3, 0]  # what the study answered is no architecture more
    assert [line.number for line in now.last] == [6, 5, 4, 3, 2]
    assert now.each == 6  # the median of 8, 2, 8, 4
    assert now.left == pytest.approx(5 * (38 - 10) / 3)  # ends at 10, 20, 32, 38
    running, _, pruned, _, failed = now.last
    assert (running.state, running.seconds, running.values) == ("running", 7, {})
    assert (pruned.state, pruned.reason, pruned.values) == ("pruned", "0.5 at a fidelity of 0.3", {})
    assert (failed.state, failed.reason) == ("failed", "RuntimeError: [bold]no\nmemory")


def test_a_pause_does_not_count_for_the_time_left() -> None:
    ends = [0, 5, 10, 5000, 5006, 5012]
    trials = [Told("scored", [0.5], genes=(1, 1, 0, i), ended=end, seconds=4) for i, end in enumerate(ends)]
    assert standing(study_of(trials), total=8).left == pytest.approx(2 * 6)
    assert standing(study_of(trials[:1]), total=8).left is None
    assert standing(study_of(trials)).left is None
    assert standing(study_of(trials), total=4).left == 0


def test_what_it_is_compared_with_had_as_many_evaluations() -> None:
    other = study_of([Told("scored", [value]) for value in (0.1, 0.4, 0.9)])
    own = study_of([Told("scored", [0.3]), Told("failed")])
    assert standing(own, other={"random search": other}).beside == (
        "random search after 2 evaluations: best accuracy 0.4 (search 0.3)"
    )
    assert standing(own, other={"random search": study_of([])}).beside == ""


def test_of_several_objectives_the_front_is_shown() -> None:
    values = [(0.5, 3.0), (0.4, 4.0), (0.9, 5.0), (0.1, 1.0)]
    study = study_of([Told("scored", v, genes=(1, 1, 1, i)) for i, v in enumerate(values)], TWO)
    now = standing(study)
    assert [line.number for line in now.best] == [2, 0, 3]
    console = terminal()
    console.print(table_of(now))
    text = shown(console)
    assert "no other one beats" in text and "latency" in text


def test_the_table_holds_the_best_the_last_and_the_reasons() -> None:
    console = terminal()
    console.print(table_of(standing(study_of(TRIALS), total=10)))
    text = shown(console)
    assert "search: 5 of 10 trials (3 scored, 1 pruned, 1 failed, 1 running), 6.0 s each, about 47 s left" in text
    for words in (
        "best so far",
        "last trials",
        "1-1-0-0",
        "1.5 M",
        "0.5 at a fidelity of 0.3",
        "RuntimeError: [bold]no memory",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "<0.1 s"),
        (0.84, "0.8 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_search_in_a_terminal_shows_the_table(tmp_path: Path) -> None:
    control = controls(SPACE, score, trials=5, store=tmp_path / "c").random
    console = terminal()
    watch = LiveTable(others={"random search": tmp_path / "c"}, console=console)
    result = search(SPACE, score, trials=7, store=tmp_path / "s", watch=watch)
    text = shown(console)
    best = result.best
    assert "search: 7 of 7 trials (7 scored)" in text
    assert f"{best.number}  {best.spec.id}" in text and f"{best.values['accuracy']:.4g}" in text
    assert f"random search after 5 evaluations: best accuracy {control.best.values['accuracy']:.4g} (search" in text


def test_a_table_is_drawn_while_an_evaluation_runs(tmp_path: Path) -> None:
    console = terminal()
    seen: list[bool] = []

    def evaluate(spec: Row) -> float:
        until = time.monotonic() + 20
        while "1 running" not in shown(console) and time.monotonic() < until:
            time.sleep(0.02)
        seen.append("1 running" in shown(console))
        return score(spec)

    search(SPACE, evaluate, trials=1, store=tmp_path / "s", watch=LiveTable(console=console))
    assert seen == [True]


def test_a_line_every_no_trials_is_refused() -> None:
    with pytest.raises(MetanetError, match="`every` of LiveTable must be a whole number of at least 1, got 0"):
        LiveTable(every=0)


@pytest.mark.parametrize(("done", "lines"), [(7, [3, 6, 7]), (6, [3, 6])])
def test_without_a_terminal_it_is_a_line_every_few_trials(done: int, lines: list[int], tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=40)
    watch = LiveTable("random search", every=3, console=console)
    search(SPACE, score, trials=done, sampler="random", store=tmp_path / "s", watch=watch)
    told_ = shown(console).splitlines()
    assert [int(re.findall(r"random search: (\d+) of", line)[0]) for line in told_] == lines
    best = search(SPACE, score, trials=done, sampler="random", store=tmp_path / "s").best
    assert f"best accuracy {best.values['accuracy']:.4g} ({best.spec.id}, trial {best.number}, " in told_[-1]
    assert "\x1b" not in shown(console)


def test_ctrl_c_leaves_a_whole_study(tmp_path: Path) -> None:
    calls: list[Row] = []

    def evaluate(spec: Row) -> float:
        calls.append(spec)
        if len(calls) in (3, 6):
            raise KeyboardInterrupt
        return score(spec)

    console = terminal()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, evaluate, trials=10, store=tmp_path / "s", watch=LiveTable(console=console))
    assert "\x1b[?25h" in console.file.getvalue()  # type: ignore[attr-defined]  # the cursor is shown again
    result = search(SPACE, evaluate, trials=10, store=tmp_path / "s", watch=LiveTable(console=console))
    assert told(result) == told(search(SPACE, score_again, trials=10, store=tmp_path / "whole"))
    assert "10 of 10 trials" in shown(console)


def score_again(spec: Row) -> float:
    return score(spec)


def test_a_study_that_cannot_be_read_at_a_moment_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = search(SPACE, score, trials=3, store=tmp_path / "s")
    there: list[SearchResult[Row]] = []

    def later() -> SearchResult[Row]:
        if not there:
            raise MetanetError("there is no study")
        return there[0]

    look = Watched("search", lambda: result, {"random search": later}, None)
    assert look.line().startswith("search: 3 trials (3 scored)") and "random search" not in look.line()
    there.append(result)
    assert "random search" not in look.line()
    look.find()
    assert "random search after 3 evaluations" in look.line()
    before = look.table()
    monkeypatch.setattr("metanet.searchers.watch.standing", lambda *args, **options: 1 / 0)
    assert look.table() is before and look.line() == "search: the study cannot be read"
    monkeypatch.undo()
    look.find()
    assert look.table() is not before and look.line().startswith("search: 3 trials")
    there.clear()
    nothing = Watched("search", later, {}, None)
    assert nothing.table() == nothing.line() == "search: the study cannot be read"


def test_the_study_of_another_process_is_looked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = search(SPACE, score, trials=4, store=tmp_path / "s")
    before = (tmp_path / "s").read_bytes()

    def grows(seconds: float) -> None:
        assert seconds == 1
        if len(load_result(tmp_path / "s", SPACE).scored) == 6:
            raise KeyboardInterrupt
        search(SPACE, score, trials=6, store=tmp_path / "s")

    monkeypatch.setattr("metanet.searchers.watch.time", SimpleNamespace(sleep=grows))
    console = terminal()
    look_on(load_result(tmp_path / "s", SPACE), console=console)
    assert "search: 4 trials (4 scored)" in shown(console) and "search: 6 trials (6 scored)" in shown(console)
    assert (tmp_path / "s").read_bytes().startswith(before)
    look_on(result)
    assert capsys.readouterr().out.startswith("search: 6 trials (6 scored)")


def test_the_command_looks_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from metanet.searchers import ChoiceTable

    table = ChoiceTable("cells", {"op": ("a", "b", "c")}, {"macs": {"op": (1, 2, 3)}})
    how: dict[str, Any] = {"trials": 3, "quiet": True}
    search(table, lambda row: len(row["op"]), sampler="random", store=tmp_path / "search.journal", **how)
    assert main(["report", str(tmp_path), "--watch"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("search: 3 trials (3 scored)") and "random search" not in line
    controls(table, lambda row: len(row["op"]), store=tmp_path / "random.journal", **how)
    assert main(["report", str(tmp_path), "--watch"]) == 0
    assert "random search after 3 evaluations: best accuracy 1 (search 1)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["search", "--watch", "--quiet"])
    assert "not allowed with argument" in capsys.readouterr().err
