"""Samplers on benchmark tables: how far what they recommend is from the best, after so many evaluations.

    python perf/samplers.py FOLDER [--part 0/2]      all cases of the stored table, from the folder of its files
    python perf/samplers.py TABLE --columns test_acc --cost flops --seeds 200
    python perf/samplers.py TABLE --columns test_acc --cost flops --limit "macs <= 40M"
    python perf/samplers.py TABLE --columns test_acc --cost flops --front
    python perf/samplers.py TABLE --columns class_scene [--columns class_scene room_layout ...: their mean rank]

One rule of recommendation for all, fixed before anything was run: the feasible architecture with the best mean of what
the search saw of it; of equals the first. Regret is the best feasible architecture's mean over all training runs less
that of the recommended one. Where a query returns one training run of several, part of it is the noise's: `excess` is
the regret less what it would have been had the same search evaluated the true best, too.

With --front two objectives are searched, more of the column and less of the cost; what is told is the share of the
hypervolume of the true front that is missing: of the architectures that by what was seen no other one beats, with their
true values; the reference point is the worst value and the highest cost of the table.

A sampler that proposes what it proposed before, or what breaks the limit (Optuna's own, which are told of it by
`trial.set_constraint`), pays an evaluation for it, as its user would. Seeds are shared: equal queries of equal seeds
see equal runs, so differences are paired. Every run is a line of runs/samplers/*.jsonl, and what is there is not run
again; perf/results/samplers.json sums up all of them.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
from nas_tables import load
from sampling import NAMES, SEVERAL, allowed, missing, regrets, visits

from metanet.runs import manifest, track, write_json
from metanet.searchers.stores import quiet_optuna
from metanet.stats import seeds_interval

ROOT = Path(__file__).parents[1]
RESULTS, PIECES = ROOT / "perf" / "results" / "samplers.json", ROOT / "runs" / "samplers"
BUDGETS = (25, 50, 100, 200)
DEFAULT = "predictor"  # that the others are compared with
TASKS = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
SLOW = {"GP": (10, 100), "GP, repeat-free": (10, 100)}  # seeds a process, and evaluations: 0.1 to 0.5 s a proposal


def pieces() -> Iterator[dict[str, Any]]:
    """Every run that ended, each once; a torn line is none."""
    for path in sorted(PIECES.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def summary() -> dict[str, Any]:
    """By case, measure and sampler: mean and interval at each budget, and its paired difference from the default."""
    runs: dict[tuple[str, str], dict[str, dict[int, list[float]]]] = {}
    seconds: dict[str, list[float]] = {}
    for piece in pieces():
        seconds.setdefault(piece["sampler"], []).append(piece["seconds"] / piece["evaluations"])
        for measure in ("regret", "excess", "missing"):
            if measure in piece:
                by_seed = runs.setdefault((piece["case"], measure), {}).setdefault(piece["sampler"], {})
                by_seed[piece["seed"]] = max(piece[measure], by_seed.get(piece["seed"], []), key=len)
    cases: dict[str, Any] = {}
    for (case, measure), samplers in runs.items():
        for name, by_seed in samplers.items():
            base = samplers.get(DEFAULT, {})
            told = {"seeds": len(by_seed), "mean": _intervals([by_seed[seed] for seed in sorted(by_seed)])}
            if name != DEFAULT and len(by_seed.keys() & base.keys()) > 1:
                pairs = [zip(by_seed[seed], base[seed], strict=False) for seed in sorted(by_seed.keys() & base.keys())]
                told["over default"] = _intervals([[a - b for a, b in pair] for pair in pairs])
            cases.setdefault(case, {}).setdefault(measure, {})[name] = told
    for measures in cases.values():
        if measures.get("excess") == measures.get("regret"):  # nothing was noisy
            measures.pop("excess", None)
    return {"cases": cases, "seconds a proposal": {name: float(np.mean(took)) for name, took in seconds.items()}}


def _intervals(values: list[list[float]]) -> list[list[float]]:
    """Mean and the ends of its interval of 95 %, for each budget that two seeds or more went to; over those seeds."""
    columns = [[value[i] for value in values if len(value) > i] for i in range(max(map(len, values)))]
    found = [seeds_interval(column) for column in columns if len(column) > 1]
    return [[float(f"{number:.5g}") for number in (one.mean, one.low, one.high)] for one in found]


@dataclass(frozen=True)
class Case:
    """One comparison: a table, what is climbed, and under which limit or against which cost.

    columns   of several the mean rank
    key       the column of a CSV file that names the architecture; the first one where None
    minimize  less of the columns is better
    """

    file: Path
    columns: Sequence[str]
    cost: str | None = None
    limit: str | None = None
    front: bool = False
    key: str | None = None
    minimize: bool = False

    @property
    def name(self) -> str:
        """How rows and files call it."""
        what = "+".join(self.columns) if len(self.columns) < 3 else f"mean rank of {len(self.columns)}"
        more = f", {self.limit}" if self.limit else ", front" * self.front
        return f"{self.file.name.partition('.')[0]}: {what}{more}"

    @property
    def path(self) -> Path:
        """The file of its runs."""
        return PIECES / f"{re.sub(r'[^a-z0-9]+', '-', self.name.lower())}.jsonl"


def cases(folder: Path) -> list[Case]:
    """What the stored table compares, of the files that the folder has."""
    macro, micro = folder / "nas_bench_macro_cifar10.json.gz", folder / "tnb101_micro_val.csv.gz"
    rules: tuple[dict[str, Any], ...] = ({}, {"limit": "macs <= 40M"}, {"front": True})
    found = [Case(macro, ["test_acc"], "flops", **rule) for rule in rules]
    found += [Case(micro, columns) for columns in (*([task] for task in TASKS), TASKS)]
    return [case for case in found if case.file.exists()]


def arguments() -> argparse.Namespace:
    """What to run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "table", type=Path, help="a file of results (perf/nas_tables.py), or a folder: all cases of the stored table"
    )
    parser.add_argument("--columns", nargs="+", help="what is climbed; of several the mean rank")
    parser.add_argument("--key", help="the column of a CSV file that names the architecture")
    parser.add_argument("--cost", help="the column that is the table's MACs")
    parser.add_argument("--limit", help='constraints, such as "macs <= 40M"')
    parser.add_argument("--front", action="store_true", help="two objectives: the column and the cost")
    parser.add_argument("--minimize", action="store_true", help="less of the columns is better")
    parser.add_argument("--samplers", nargs="+", choices=NAMES, default=None, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--part", default="0/1", help="K/N: of the seeds those that leave K when divided by N")
    parser.add_argument("--evaluations", type=int, choices=BUDGETS, default=BUDGETS[-1], help="of each search")
    options = parser.parse_args()
    if not options.table.is_dir() and not options.columns:
        parser.error("--columns says what of the table is climbed")
    return options


def run(case: Case, names: Sequence[str] | None, seeds: Sequence[int], most: int) -> None:
    """Runs what is not there yet of a case."""
    bench = load(case.file, case.columns, key=case.key, cost=case.cost, sign=-1 if case.minimize else 1)
    done = {(p["case"], p["sampler"], p["seed"]): p["evaluations"] for p in pieces()}
    keep = allowed(bench, case.limit)
    case.path.parent.mkdir(parents=True, exist_ok=True)
    work = [(name, seed) for seed in seeds for name in names or (SEVERAL if case.front else NAMES)]
    for name, seed in track(work, case.name):
        few, short = SLOW.get(name, (len(seeds), most))
        evaluations = min(most, short)
        if seed not in seeds[:few] or done.get((case.name, name, seed), 0) >= evaluations:
            continue
        budgets = [budget for budget in BUDGETS if budget <= evaluations]
        found, seconds = visits(bench, name, seed, case.limit, case.front, evaluations)
        told = missing(bench, found, budgets) if case.front else regrets(bench, seed, found, keep, budgets)
        piece = {"case": case.name, "sampler": name, "seed": seed, "evaluations": evaluations}
        with case.path.open("a") as file:
            file.write(json.dumps({**piece, "seconds": seconds, **told}) + "\n")


def main() -> None:
    """Runs what is not there yet, then sums up all that is."""
    options = arguments()
    own = (options.cost, options.limit, options.front, options.key, options.minimize)
    chosen = cases(options.table) if options.table.is_dir() else [Case(options.table, options.columns, *own)]
    part, parts = map(int, options.part.split("/"))
    with quiet_optuna():
        for case in chosen:
            run(case, options.samplers, range(part, options.seeds, parts), options.evaluations)
    write_json(RESULTS, manifest({"budgets": BUDGETS, "default": DEFAULT}, **summary()))


if __name__ == "__main__":
    sys.exit(main())
