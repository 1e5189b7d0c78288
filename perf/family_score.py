"""A ladder of four rungs between two anchors in metanet-tiny, each chosen by score, with its controls and the rule.

Stores what `metanet family --evaluate` found, running it where it was not run or was killed (the run folder is
runs/family_score). Command: `python perf/family_score.py` (tens of minutes of one core).
"""

import json
from pathlib import Path

import pandas as pd

from metanet.cli.family_score import FamilyOptions, run_family_job
from metanet.runs import write_json

ROOT = Path(__file__).parents[1]
RUN = ROOT / "runs" / "family_score"
# MBConv, then attention, as MN-B4 and MN-B15. Their widths are such that every multiple of 8 between them is a choice
# of the space: so the rule's networks lie in it, and shared weights can score them, too.
ANCHORS = (
    "mn1/s16/h192/r28/mb3+se:1x16:e1/mb3+se:1x24:e3:s2/mb3+se:2x40:e2:s2/sa8:1x64:e1",
    "mn1/s16/h192/r28/mb3+se:2x16:e1/mb3+se:3x32:e3:s2/mb3+se:3x48:e3:s2/sa8:3x64:e3",
)
OPTIONS = FamilyOptions(ANCHORS, rungs=6, tolerance=0.03, within=0.05, trials=30)


def main() -> None:
    """Runs where needed and stores."""
    verdict = run_family_job(OPTIONS, RUN, quiet=True)
    about = json.loads((RUN / "manifest.json").read_text())
    about.pop("seconds")  # a run may have been gone on with, or have shared its cores
    rows = pd.read_csv(RUN / "results.csv").to_dict("records")
    apart = pd.read_csv(RUN / "comparisons.csv").to_dict("records")
    stored = {**about, "verdict": verdict, "rows": rows, "apart": apart}
    write_json(ROOT / "perf" / "results" / "family_score.json", stored)


if __name__ == "__main__":
    main()
