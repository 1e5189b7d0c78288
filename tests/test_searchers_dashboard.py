"""optuna-dashboard opens what a search left, whatever became of its trials."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from test_searchers_table import Row, score

from metanet.searchers import ChoiceTable, search

TABLE = ChoiceTable(
    "cells",
    {"op": ("none", "conv", "pool"), "width": (8, 16, 24), "se": (True, False), "down": (None, "local")},
    {"macs": {"op": (0, 9, 1), "width": (1, 2, 3)}},
)


def written(store: Path) -> list[str]:
    """Makes a study with a trial of every kind, and returns their states."""
    calls: list[Row] = []

    def evaluate(row: Any) -> float:
        calls.append(row)
        if len(calls) == 4:
            raise KeyboardInterrupt
        if len(calls) == 6:
            raise RuntimeError("no memory")
        return score_of(row)

    with pytest.raises(KeyboardInterrupt):
        search(TABLE, evaluate, constraints="macs <= 11", trials=12, store=store)
    result = search(TABLE, evaluate, constraints="macs <= 11", trials=12, store=store)
    study = optuna.load_study(study_name="search", storage=JournalStorage(JournalFileBackend(str(store))))
    pruned = study.ask(TABLE.distributions())
    pruned.report(0.25, 1)
    study.tell(pruned, state=optuna.trial.TrialState.PRUNED)
    study.ask(TABLE.distributions())
    states = [trial.state.name.capitalize() for trial in result.study.trials]
    assert states.count("Complete") == 11 and states.count("Fail") == 2  # one of them abandoned
    assert states[-2:] == ["Pruned", "Running"]
    return states


def score_of(row: Any) -> float:
    return score(Row(row.indices)) + row["width"] / 100


@contextmanager
def dashboard(store: Path) -> Iterator[str]:
    """The address of a dashboard of a study."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("optuna-dashboard")
    argv = [str(command), str(store), "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until = time.monotonic() + 90
        while True:
            assert process.poll() is None, process.communicate()[0]
            try:
                asked(f"http://127.0.0.1:{port}/api/studies")
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < until
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


def asked(address: str) -> tuple[int, str]:
    """Status and content."""
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.status, answer.read().decode()


@pytest.mark.slow
def test_the_dashboard_opens_a_study(tmp_path: Path) -> None:
    store = tmp_path / "search.journal"
    states = written(store)
    before = store.read_bytes()
    with dashboard(store) as address:
        status, text = asked(f"{address}/api/studies")
        (summary,) = json.loads(text)["study_summaries"]
        assert status == 200 and summary["study_name"] == "search" and summary["directions"] == ["maximize"]
        number = summary["study_id"]
        status, text = asked(f"{address}/api/studies/{number}?after=0")
        told = json.loads(text)
        assert status == 200 and [trial["state"] for trial in told["trials"]] == states
        attrs = {attr["key"]: attr["value"] for attr in told["trials"][0]["user_attrs"]}
        assert {"spec", "genes", "costs", "metrics", "seconds"} <= attrs.keys()
        values = [trial["values"] for trial in told["trials"] if trial["state"] == "Complete"]
        study = optuna.load_study(study_name="search", storage=JournalStorage(JournalFileBackend(str(store))))
        assert values == [trial.values for trial in study.trials if trial.state.name == "COMPLETE"]
        assert told["objective_names"] == ["accuracy"]
        status, text = asked(f"{address}/api/studies/{number}/param_importances")
        assert status == 200 and {p["name"] for p in json.loads(text)["param_importances"][0]} == {*TABLE.choices}
        assert asked(f"{address}/dashboard/studies/{number}")[0] == 200
    assert store.read_bytes() == before
