"""A search that is killed at any moment and run again ends as one that was not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
