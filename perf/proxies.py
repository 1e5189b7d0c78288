"""Do zero-cost proxies rank? Each proxy of the networks of the truth, before any training, and its order.

    python perf/proxies.py             scores of all networks, then their order on the half "choose"
    python perf/proxies.py --report    then their order on the other half, once the whole truth is there

Nothing is chosen: every proxy is reported, on both halves, beside parameters and MACs. The halves are kept apart all
the same, so that numbers stand beside those of perf/ranking.py; the opening of the half "report" is written down, and
with other settings it is not opened again.

A score is the mean over REPEATS initialisations whose branches all count in full, each on a batch of its own of the
images that train weights; no proxy sees another image.
Writes perf/results/proxies.csv (scores; killed and started again it goes on), proxies.json and proxies_report.json. The
truth is that of `perf/truth.py`.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import truth
from ranked import TRUTHS, ceilings, compared, known, opened

from metanet.bench.proxies import PROXIES, ProxyEvaluator, proxy_evaluator
from metanet.cli.phases import Data
from metanet.runs import atomic_write, manifest, track, write_json

SCORES = tuple(name for name in PROXIES if name not in ("params", "macs"))  # these two are the truth's own columns
SEED, BATCH, REPEATS = 0, 64, 3


def evaluator(own: Data) -> ProxyEvaluator:
    """What scores the networks."""
    return proxy_evaluator(SCORES, own.weights, seed=SEED, batch=BATCH, repeats=REPEATS)


def scored(evaluate: ProxyEvaluator, results: Path) -> pd.DataFrame:
    """The scores of all networks, by id; those that are stored with the present settings are not computed again."""
    path, digest = results / "proxies.csv", evaluate.fingerprint
    stored = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {row["id"]: row for row in stored if row["settings"] == digest}
    about = {"settings": digest, "seed": evaluate.seed, "batch": evaluate.batch, "repeats": evaluate.repeats}
    for one in track(truth.networks(), "proxies"):
        if one.spec.id not in done:
            found = {name: float(f"{value:.8g}") for name, value in evaluate(one.spec).items()}
            done[one.spec.id] = {**about, "id": one.spec.id, **found}
            atomic_write(path, pd.DataFrame(done.values()).to_csv(index=False))
    return pd.DataFrame([done[one.spec.id] for one in truth.networks()]).set_index("id")


def trainings(results: Path, *, partial: bool) -> pd.DataFrame:
    """The rows of the truth; of a part of it those of the seeds that have got as far as any.

    Raises:
        SystemExit: there are none, or only a part where the whole is asked for.
    """
    path, whole = results / "truth.csv", len(truth.networks()) * len(truth.SEEDS)
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"seed": []})
    if len(table) == 0 or (len(table) < whole and not partial):
        raise SystemExit(
            f"the truth has {len(table)} of {whole} trainings, and the scores are stored: run `python perf/truth.py` "
            "to its end, or add --partial to compare what there is"
        )
    counts = table["seed"].value_counts()
    return table[table["seed"].isin(counts[counts == counts.max()].index)]


def judged(table: pd.DataFrame, scores: pd.DataFrame, half: str) -> dict[str, Any]:
    """How the proxies order the networks of a half by each kind of truth, and what no score can exceed.

    table   of `trainings`; of bands with fewer than three networks in the half none is taken

    Raises:
        SystemExit: no band is left.
    """
    rows, tops = [], {}
    for truth_by in TRUTHS:
        networks = known(table, half, truth_by)
        networks = networks[networks.groupby("band")["macs"].transform("size") >= 3]
        if len(networks) == 0:
            raise SystemExit(f"the half {half!r} has no band with three trained networks: go on with perf/truth.py")
        taus = compared(networks.join(scores[list(SCORES)]), SCORES)
        rows.append({"rule": "untrained", "seed": None, "truth": truth_by, "taus": taus})
        tops[truth_by] = ceilings(networks)
    return {"ceilings": tops, "rows": rows}


def compare(evaluate: ProxyEvaluator, scores: pd.DataFrame, results: Path, *, half: str, partial: bool) -> None:
    """Stores and prints how the proxies order a half. Opens the half "report", and only with the whole truth.

    Raises:
        SystemExit: the truth is not complete, or the half was opened for other settings before.
    """
    if half == "report" and partial:
        raise SystemExit("the half 'report' is opened once, with the whole truth: leave --partial out")
    table = trainings(results, partial=partial)
    about = {"rule": "proxies", "settings": evaluate.fingerprint, "scores": SCORES}
    about |= {"seed": SEED, "batch": BATCH, "repeats": REPEATS}
    name = "proxies"
    if half == "report":
        about, name = opened(results / "proxies_opened.json", about), "proxies_report"
    found = judged(table, scores, half)
    progress = {"known": len(table), "whole": len(truth.networks()) * len(truth.SEEDS)}
    write_json(results / f"{name}.json", manifest(about, half=half, trainings=progress, **found))
    for row in found["rows"]:
        for one in row["taus"]:
            print(row["truth"], one["where"], one["by"], one["networks"], f"{one['tau']['mean']:.2f}")


def main() -> None:
    """Scores what is not scored, then compares."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fashion-mnist", metavar="FOLDER", help="of the images (default: see fashion_mnist)")
    parser.add_argument("--results", type=Path, default=truth.RESULTS, help="(default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="compare on the half for the report")
    parser.add_argument("--partial", action="store_true", help="compare with what there is of the truth")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    evaluate = evaluator(truth.data(chosen.fashion_mnist))
    scores = scored(evaluate, chosen.results)
    half = truth.HALVES[chosen.report]
    compare(evaluate, scores, chosen.results, half=half, partial=chosen.partial)


if __name__ == "__main__":
    main()
