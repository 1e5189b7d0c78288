"""A search that is killed at any moment and run again ends as one that was not."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_searchers_table import TableSpace

from metanet.searchers import load_result

SCRIPT = """
import json, os, signal, sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_searchers_table import TableSpace, score, told
from metanet.searchers import search

folder, kills, trials, seed = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])

def evaluate(spec):
    time.sleep(0.004)
    return score(spec)

def run(store):
    return search(TableSpace(count=6), evaluate, constraints="macs <= 24", trials=trials, store=f"{folder}/{store}")

def size(store):
    return os.path.getsize(f"{folder}/{store}") if os.path.exists(f"{folder}/{store}") else 0

whole = run("whole")
rng = np.random.default_rng(seed)
killed = 0
for part in np.sort(rng.uniform(0, 0.95, size=kills)):
    if (child := os.fork()) == 0:
        run("killed")
        os._exit(0)
    while size("killed") < part * size("whole") and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.02))  # a trial takes about as long: the blow falls anywhere in it
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
result = run("killed")
print(json.dumps({
    "killed": killed,
    "abandoned": int((result.to_dataframe()["state"] == "ABANDONED").sum()),
    "whole": [told(whole), whole.best.spec.id],
    "resumed": [told(result), result.best.spec.id],
}))
"""


def run_and_kill(folder: Path, kills: int, trials: int, seed: int) -> dict[str, object]:
    arguments = [Path(__file__).parent, folder, kills, trials, seed]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_killed_a_few_times(tmp_path: Path) -> None:
    result = run_and_kill(tmp_path, kills=4, trials=40, seed=0)
    assert result["killed"] == 4
    assert result["resumed"] == result["whole"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_twenty_random_moments(seed: int, tmp_path: Path) -> None:
    result = run_and_kill(tmp_path, kills=20, trials=200, seed=seed)
    assert result["killed"] == 20
    assert result["abandoned"] != 0
    assert result["resumed"] == result["whole"]


WORKERS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from test_searchers_table import TableSpace, score
from metanet.searchers import LocalProcesses, search

log_path = sys.argv[3]  # a worker has arguments of its own

def evaluate(spec):
    with open(log_path, "a") as log:
        log.write(spec.id + "\\n")
    time.sleep(0.05)
    return score(spec)

search(TableSpace(count=6), evaluate, trials=60, store=sys.argv[2], executor=LocalProcesses(2))
"""


@pytest.mark.slow
def test_a_search_with_workers_killed_five_times_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """No promise of order with several workers; but what was told is kept, and no result is there twice."""
    store, log = tmp_path / "s", tmp_path / "log"
    command = [sys.executable, "-c", WORKERS, str(Path(__file__).parent), str(store), str(log)]

    def asked() -> list[str]:
        return log.read_text().split() if log.exists() else []

    for kill in range(5):
        with subprocess.Popen(command) as driver:
            while len(asked()) < 10 * kill + 7:
                assert driver.poll() is None
                time.sleep(0.01)
            driver.kill()
    assert subprocess.run(command).returncode == 0
    frame = load_result(store, TableSpace(count=6)).to_dataframe()
    kept, lost = frame[frame["state"] == "COMPLETE"], frame[frame["state"] == "ABANDONED"]
    assert len(kept) == len(set(kept["spec"])) == 60
    assert len(kept) + len(lost) == len(frame)
    assert 0 < len(lost) <= 10  # two at a time were on their way
    assert set(kept["spec"]) <= set(asked()) <= set(frame["spec"])
    assert len(asked()) <= len(frame)
