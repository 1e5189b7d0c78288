"""How alike the order of networks by a score is to their order by the truth, and which networks that may be asked of.

The truth of a network is its mean accuracy over the seeds it was trained with alone; beside it stands its mean
cross-entropy, which depends less on the seed. Rules of training are compared on the half "choose"; the half "report" is
opened for one rule, and the opening is written down first.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metanet.runs import write_json
from metanet.stats import Interval, kendall_difference, kendall_interval

COSTS = ("params", "macs")  # what a score has to be better than
TRUTHS = {"accuracy": 1, "cross_entropy": -1}  # and whether more is better
WHOLE = "all"


def known(table: pd.DataFrame, half: str, truth: str = "accuracy") -> pd.DataFrame:
    """The networks of a half, by id: band, params, macs, truth (the mean over seeds) and one column a seed.

    table   rows of truth.csv; of the networks that not all of its seeds have, none is kept
    truth   one of TRUTHS; more is better in what is returned
    """
    own = table[table["half"] == half]
    seeds = TRUTHS[truth] * own.pivot(index="id", columns="seed", values=truth).dropna()
    found = own.drop_duplicates("id").set_index("id").loc[seeds.index, ["band", *COSTS]]
    for seed in seeds:
        found[f"seed {seed}"] = seeds[seed]
    return found.assign(truth=seeds.mean(axis=1))


def compared(table: pd.DataFrame, scores: Sequence[str]) -> list[dict[str, Any]]:
    """For all networks and for those of each band: tau of each score and cost with the truth, and by how much a score's
    is above each cost's.

    table   as `known` gives it, with a column for each score
    """
    rows = []
    for where, own in ((WHOLE, table), *((int(band), rows) for band, rows in table.groupby("band"))):
        drawn = {"strata": own["band"]}  # so many networks were drawn in each
        for by in (*scores, *COSTS):
            tau = kendall_interval(own[by], own["truth"], **drawn)
            row = {"where": where, "by": by, "networks": len(own), "tau": asdict(tau)}
            for cost in COSTS if by in scores else ():
                row[f"above {cost}"] = asdict(kendall_difference(own[by], own[cost], own["truth"], **drawn))
            rows.append(row)
    return rows


def ceilings(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For all networks and for those of each band: tau between two seeds of the truth, and what a perfect score's tau
    with their mean would be; none where the truth has one seed."""
    seeds = [name for name in table if str(name).startswith("seed ")]
    if len(seeds) != 2:
        return []
    rows = []
    for where, own in ((WHOLE, table), *((int(band), rows) for band, rows in table.groupby("band"))):
        tau = kendall_interval(own[seeds[0]], own[seeds[1]], strata=own["band"])
        noise = float(np.sqrt(np.mean((own[seeds[0]] - own[seeds[1]]) ** 2) / 2))
        row = {"where": where, "networks": len(own), "tau": asdict(tau), "perfect": asdict(of_perfect(tau))}
        rows.append(row | {"spread": float(own["truth"].std(ddof=1)), "noise": noise})
    return rows


def of_perfect(tau: Interval) -> Interval:
    """The tau with the mean of two seeds that a score has which knows what accuracy each network has in expectation.

    tau   between the two seeds

    It takes networks' expected accuracies and the noise of seeds as normal, and the noise as equal for all: then a tau
    is 2 / pi * asin(r) for the correlation r (Greiner), that of the means of two seeds is 2 r / (1 + r) (Spearman,
    Brown), and a perfect score's correlation with them is the root of that.
    """

    def perfect(value: float) -> float:
        r = max(0.0, math.sin(math.pi / 2 * value))
        return 2 / math.pi * math.asin(math.sqrt(2 * r / (1 + r)))

    return Interval(perfect(tau.mean), perfect(tau.low), perfect(tau.high), math.nan)


def verdict(rows: Sequence[dict[str, Any]], tops: Sequence[dict[str, Any]], by: str) -> dict[str, Any]:
    """Whether a score does what we aim at over all networks: a tau of 0.75, or 90 % of that between two seeds; and a
    higher one than each cost has, beyond the paired interval."""
    row = next(row for row in rows if (row["where"], row["by"]) == (WHOLE, by))
    top = next((one["tau"]["mean"] for one in tops if one["where"] == WHOLE), math.nan)
    tau, above = row["tau"]["mean"], {cost: row[f"above {cost}"]["low"] > 0 for cost in COSTS}
    ranks = bool(tau >= 0.75 or tau >= 0.9 * top)
    return {"by": by, "tau": tau, "of the ceiling": tau / top, "ranks": ranks, "above": above}


def opened(path: Path, what: dict[str, Any]) -> dict[str, Any]:
    """Writes down that the half "report" is opened, what for and when, or returns what was written down before.

    what   the rule, and all that its scores depend on

    Raises:
        SystemExit: it was opened for something else before.
    """
    if not path.exists():
        write_json(path, {"opened": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **what})
    before: dict[str, Any] = json.loads(path.read_text())
    asked = json.loads(json.dumps(what))
    if {name: value for name, value in before.items() if name != "opened"} != asked:
        raise SystemExit(
            f"the half 'report' may be opened for one rule, and was for {before['rule']!r} on {before['opened']}, not "
            f"for {what['rule']!r} with these settings: compare rules on the half 'choose'"
        )
    return before
