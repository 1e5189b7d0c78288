"""The study on disk: one owner, repaired after a death, refused and untouched where it is damaged or another's."""

import errno
import itertools
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from test_searchers_table import Row, TableSpace, score, told

from metanet.errors import MetanetError
from metanet.searchers import SearchResult, load_result, search
from metanet.searchers.stores.journal import Journal

SPACE = TableSpace()


def run(store: Path, trials: int = 20, **options: Any) -> SearchResult[Row]:
    return search(SPACE, score, **{"trials": trials, "store": store, **options})


def plain_study(store: Path) -> optuna.Study:
    """The file as Optuna alone reads it (a dashboard does)."""
    storage = JournalStorage(JournalFileBackend(str(store)))
    return optuna.load_study(study_name=None, storage=storage)


def killed_after(store: Path, record: Callable[[dict[str, Any]], bool], torn: int = 0) -> None:
    """Leaves the file as a death would: up to the last record that fits, and some bytes of the next one."""
    lines = store.read_bytes().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if record(json.loads(line)))
    store.write_bytes(b"".join(lines[: last + 1]) + lines[last + 1][:torn])


def test_optuna_reads_what_the_search_wrote(tmp_path: Path) -> None:
    result = run(tmp_path / "s")
    study = plain_study(tmp_path / "s")
    assert [t.values for t in study.trials] == [t.values for t in result.study.trials]
    assert [t.params for t in study.trials] == [t.params for t in result.study.trials]
    assert [t.user_attrs for t in study.trials] == [t.user_attrs for t in result.study.trials]
    assert study.metric_names == ["accuracy"]


@pytest.mark.parametrize("torn", [0, 30])
def test_a_torn_line_is_cut_and_kept_and_the_slot_run_again(torn: int, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    run(tmp_path / "s")
    killed_after(tmp_path / "s", lambda record: record["op_code"] == 5 and record["trial_id"] == 12, torn)  # a gene
    tail = (tmp_path / "s").read_bytes().rpartition(b"\n")[2]
    result = run(tmp_path / "s")
    assert told(result) == told(whole)
    frame = result.to_dataframe()
    assert list(frame.query("state == 'ABANDONED'")["number"]) == [12]
    assert frame["reason"][12] == "its process ended before the result was told"
    assert (tmp_path / "s.torn").exists() == bool(tail)
    assert not tail or (tmp_path / "s.torn").read_bytes() == tail + b"\n"
    assert [t.values for t in plain_study(tmp_path / "s").trials] == [t.values for t in result.study.trials]


def test_a_study_whose_making_was_interrupted_is_made(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    (tmp_path / "s").write_bytes(b"")
    (tmp_path / "s.new").write_bytes((tmp_path / "whole").read_bytes()[:300])
    (tmp_path / "s.new.lock").symlink_to(tmp_path / "s.new")
    assert told(run(tmp_path / "s")) == told(whole)
    assert not list(tmp_path.glob("s.new*"))


def test_a_study_cut_at_any_byte_goes_on(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", trials=10)
    content = (tmp_path / "whole").read_bytes()
    made = len(b"".join(content.splitlines(keepends=True)[:3]))  # study, names of the metrics, options
    for cut in np.random.default_rng(0).integers(made, len(content), size=8):
        (tmp_path / f"{cut}").write_bytes(content[:cut])
        assert told(run(tmp_path / f"{cut}", trials=10)) == told(whole)


def test_locks_of_the_dead_are_removed(tmp_path: Path) -> None:
    run(tmp_path / "s", trials=3)
    (tmp_path / "s.lock").symlink_to(tmp_path / "s")
    (tmp_path / "s.lock1234.rename").symlink_to(tmp_path / "s")
    run(tmp_path / "s", trials=4)
    assert not list(tmp_path.glob("s.lock*"))


def test_a_study_in_use_is_refused(tmp_path: Path) -> None:
    def evaluate(spec: Row) -> float:
        with pytest.raises(MetanetError, match="in use by another search: wait for its end or take another store"):
            run(tmp_path / "s")
        return score(spec)

    search(SPACE, evaluate, trials=1, store=tmp_path / "s")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [*lines[:40], b"\x00\xff garbage\n", *lines[40:]], "line 41 is not a record of a study"),
        (lambda lines: [*lines[:40], lines[40][:20] + b"\n", *lines[41:]], "line 41 is not a record of a study"),
        (lambda lines: [b"name,value\n", b"a,1\n"], "line 1 is not a record of a study"),
        (lambda lines: [b'{"a": 1}\n'], "line 1 is not a record of a study"),
        (lambda lines: [b"a text without an end"], "line 1 is not a record of a study"),
        (lambda lines: lines[5:], "the record that makes the study is missing"),
        (lambda lines: [*lines[:5], lines[0].replace(b":0,", b":4,"), *lines[5:]], "its records contradict each other"),
        (lambda lines: [line for line in lines if b'"genes"' not in line], "trial 0 has a result and no architecture"),
    ],
)
def test_a_damaged_study_is_refused_and_left_as_it_is(
    damage: Callable[[list[bytes]], list[bytes]], message: str, tmp_path: Path
) -> None:
    run(tmp_path / "s", trials=4)
    content = b"".join(damage((tmp_path / "s").read_bytes().splitlines(keepends=True)))
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(MetanetError) as failure:
        run(tmp_path / "s")
    assert message in str(failure.value)
    assert "restore the file or take another store" in str(failure.value)
    assert str(tmp_path / "s") in str(failure.value)
    with pytest.raises(MetanetError, match=r"damaged|holds no study that `search` made"):
        load_result(tmp_path / "s", SPACE)
    assert (tmp_path / "s").read_bytes() == content


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"constraints": "macs <= 9"}, "constraints was None, now 'macs <= 9'"),
        (
            {"sampler": "random"},
            "sampler was 'PredictorGuided(first=8, pool=200)', now 'RandomFeasible()'",
        ),
        ({"objectives": {"accuracy": "minimize"}}, "objectives was {'accuracy': 'maximize'}, now"),
        ({"space": TableSpace(count=5)}, "space_fingerprint was"),
        ({"evaluate": lambda spec: 1.0}, "evaluator was 'test_searchers_table.score', now"),
    ],
)
def test_a_study_of_another_search_is_refused_and_left_as_it_is(
    options: dict[str, Any], difference: str, tmp_path: Path
) -> None:
    run(tmp_path / "s", trials=4)
    killed_after(tmp_path / "s", lambda record: record.get("trial_id") == 2, 25)
    content = (tmp_path / "s").read_bytes()
    with pytest.raises(MetanetError) as failure:
        search(**{"space": SPACE, "evaluate": score, "trials": 4, "store": tmp_path / "s", **options})
    assert "belongs to another search" in str(failure.value)
    assert difference in str(failure.value)
    assert "take another store" in str(failure.value)
    assert (tmp_path / "s").read_bytes() == content


def test_a_relative_store_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wander(spec: Row) -> float:
        os.chdir("/")
        return score(spec)

    monkeypatch.chdir(tmp_path)
    search(SPACE, wander, trials=3, store="runs/first/s")
    assert len(plain_study(tmp_path / "runs/first/s").trials) == 3


def test_a_study_of_another_tool_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s")))
    optuna.create_study(study_name="search", storage=storage).optimize(lambda trial: 1.0, n_trials=1)
    content = (tmp_path / "s").read_bytes()
    with pytest.raises(MetanetError, match="holds an Optuna study that `search` did not make: take another store"):
        run(tmp_path / "s")
    assert (tmp_path / "s").read_bytes() == content


def test_a_place_that_cannot_hold_a_study_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MetanetError, match=r"cannot write the study .* choose a store where you may create files"):
        run(tmp_path / "file" / "s")
    with pytest.raises(MetanetError, match=r"cannot read the study .* choose another store"):
        run(tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_the_study_as_it_was(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    run(tmp_path / "s", trials=5)
    room = (tmp_path / "s").stat().st_size + 4000  # enough for a few more trials, not for all
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(MetanetError, match="it stands as it was; make room and run the same search again to go on"):
            run(tmp_path / "s")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "s").read_bytes().endswith(b"}\n")
    assert len(plain_study(tmp_path / "s").trials) > 5
    assert told(run(tmp_path / "s")) == told(whole)
    assert not (tmp_path / "s.torn").exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("write", [3, 8])
def test_a_disk_that_fails_midway_leaves_the_study_as_it_was(
    code: int, write: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing down a proposal, or a result: the record is on its way when the disk refuses."""
    whole = run(tmp_path / "whole")
    run(tmp_path / "s", trials=2)
    before, writes, sync = (tmp_path / "s").read_bytes(), itertools.count(1), os.fsync

    def fails(file: int) -> None:
        if next(writes) == write:
            raise OSError(code, os.strerror(code))
        sync(file)

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(MetanetError) as failure:
        run(tmp_path / "s")
    assert str(failure.value) == (
        f"cannot write the study '{tmp_path / 's'}' ({os.strerror(code)}): it stands as it was; "
        "make room and run the same search again to go on"
    )
    after = (tmp_path / "s").read_bytes()
    assert after.startswith(before) and after.endswith(b"}\n")
    monkeypatch.undo()
    assert told(run(tmp_path / "s")) == told(whole)


def test_somebody_else_may_write_to_the_study_meanwhile(tmp_path: Path) -> None:
    """A dashboard stores its notes in the same file."""

    def score_(spec: Row) -> float:
        plain_study(tmp_path / "s").set_user_attr(f"note:{spec.id}", "seen")
        return score(spec)

    result = search(SPACE, score_, trials=10, store=tmp_path / "s")
    study = plain_study(tmp_path / "s")
    assert [t.values for t in study.trials] == [t.values for t in result.study.trials]
    assert sum(name.startswith("note:") for name in study.user_attrs) == 10
    assert study.user_attrs == result.study.user_attrs


def test_a_batch_is_one_write_and_can_be_read_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "s")
    study = optuna.create_study(storage=JournalStorage(journal))
    syncs: list[int] = []
    monkeypatch.setattr("os.fsync", syncs.append)
    size = (tmp_path / "s").stat().st_size
    with journal.batch():
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("note", ("a", "b"))
        assert study.trials[0].user_attrs == {"note": ["a", "b"]}
        assert (tmp_path / "s").stat().st_size == size
    study.tell(trial, 1.0)
    assert len(syncs) == 2
    (read,) = plain_study(tmp_path / "s").trials
    assert (read.params, read.values, read.user_attrs) == (trial.params, [1.0], {"note": ["a", "b"]})
