"""What `metanet bench run` takes and gives on real images that packages hold.

Three processes one after the other, each timed whole, imports and report included: "cold" with nothing kept, "again"
the same command, "features" with the features of the first one and an empty folder of cells. They run beside nothing
else, or the times mean little: the load of the machine before each is stored. Writes perf/results/packaged.json with
all scores. Command: `python perf/packaged.py` (about nine minutes).
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from metanet.runs import manifest, write_json

RESULTS = Path(__file__).parent / "results" / "packaged.json"
MODEL = ("--model", "timm:tf_efficientnet_lite0", "--weights", "packaged")
RUN = ("bench", "run", "--suite", "packaged", *MODEL, "--quiet")
WAYS = {"cold": "cells", "again": "cells", "features": "other cells"}  # by name, the folder of cells


def timed(folder: Path, cells: str) -> dict[str, Any]:
    """One process: seconds on the clock and of processor time, the images that went through a backbone."""
    load, before = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    command = [sys.executable, "-m", "metanet", *RUN, "--out", cells, "--cache", "features"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    clock, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = re.search(r"^([\d,]+) forward passes", said, re.MULTILINE)
    if found is None:
        raise SystemExit(f"the command did not say how many forward passes it made:\n{said}")
    return {"clock": clock, "processor": processor, "forwards": int(found[1].replace(",", "")), "load": load}


def main() -> None:
    """Runs, then stores times and scores."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs = {}
        for name, cells in WAYS.items():
            runs[name] = timed(folder, cells)
            print(f"{name}: {runs[name]['clock']:.1f} s, {runs[name]['forwards']:,} forward passes", flush=True)
        summary, averages = (pd.read_csv(folder / "cells" / f"{name}.csv") for name in ("summary", "averages"))
        scores = [*summary.to_dict("records"), *averages.rename(columns={"average": "task"}).to_dict("records")]
        kept = ("backbone", "baseline", "task", "percent", "value", "images_low", "images_high", "draws")
        rows = [{name: row[name] for name in kept if row.get(name) == row.get(name) and name in row} for row in scores]
    write_json(RESULTS, manifest({"command": RUN}, runs=runs, scores=rows))


if __name__ == "__main__":
    main()
