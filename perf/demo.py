"""Stores what the main job found: runs `make demo`'s command where its results are missing, then keeps its scores.

Writes perf/results/demo.json and docs/img/. Command: `python perf/demo.py` (minutes where nothing was run).
"""

import json
import shutil
from pathlib import Path

import pandas as pd

from metanet.cli import main as metanet
from metanet.runs import write_json

ROOT = Path(__file__).parents[1]
RUN = ROOT / "runs" / "demo"


def summary() -> list[dict[str, object]]:
    """Mean test accuracy by network and percentage, over retraining seeds and draws of the probe's images."""
    cells = pd.read_csv(RUN / "scores.csv")
    cells["network"] = cells["backbone"].str.replace(r"^(?!random init)(.*), seed \d+$", r"winner of \1", regex=True)
    cells["network"] = cells["network"].str.removesuffix(", seed 0")
    means = cells.groupby(["network", "percent"], sort=False)["value"].mean().unstack()
    return [{"network": name, **{f"{p:g} %": row[p] for p in means.columns}} for name, row in means.iterrows()]


def main() -> None:
    """Runs where needed and stores."""
    if not (RUN / "report.html").exists() and metanet(["search", "--out", str(RUN)]) != 0:
        raise SystemExit("the main job failed")
    about = json.loads((RUN / "manifest.json").read_text())
    verdict = (RUN / "verdict.txt").read_text().strip()
    write_json(ROOT / "perf" / "results" / "demo.json", {**about, "verdict": verdict, "rows": summary()})
    for name in ("front", "winner"):
        shutil.copyfile(RUN / f"{name}.png", ROOT / "docs" / "img" / f"{name}.png")


if __name__ == "__main__":
    main()
