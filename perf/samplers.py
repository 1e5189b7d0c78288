"""Samplers on benchmark tables: how far what they recommend is from the best, after so many evaluations.

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
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import optuna
from nas_tables import Bench, load
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from peers import PymooNSGA2

from metanet.runs import manifest, track, write_json
from metanet.searchers.history import GENES
from metanet.searchers.result import non_dominated
from metanet.searchers.samplers import (
    AgingEvolution,
    Exhausted,
    LocalSearch,
    NativeSampler,
    ParetoEvolution,
    PolicyGradient,
    PredictorGuided,
    RandomFeasible,
    RepeatFree,
)
from metanet.searchers.stores import quiet_optuna
from metanet.stats import seeds_interval

ROOT = Path(__file__).parents[1]
RESULTS, PIECES = ROOT / "perf" / "results" / "samplers.json", ROOT / "runs" / "samplers"
BUDGETS = (25, 50, 100, 200)
DEFAULT = "predictor"  # that the others are compared with

Visit = tuple[int, float]  # which row, and what was seen


PEERS: dict[str, Callable[..., BaseSampler]] = {
    "TPE": lambda seed: TPESampler(seed=seed),
    "NSGA-II": lambda seed: NSGAIISampler(seed=seed, population_size=20),
    "GP": lambda seed: GPSampler(seed=seed),
    "TPE, repeat-free": lambda seed: RepeatFree(sampler=TPESampler(seed=seed)),
    "NSGA-II, repeat-free": lambda seed: RepeatFree(sampler=NSGAIISampler(seed=seed, population_size=20)),
    "GP, repeat-free": lambda seed: RepeatFree(sampler=GPSampler(seed=seed)),
    # As published: a first population that is all random, and one random start.
    "regularised evolution": lambda seed: AgingEvolution(population=50, tournament=10, first=50),
    "plain local search": lambda seed: LocalSearch(first=1),
}
SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "random": lambda seed: RandomFeasible(),
    "evolution": lambda seed: AgingEvolution(),
    "local": lambda seed: LocalSearch(),
    "pareto": lambda seed: ParetoEvolution(),
    "policy": lambda seed: PolicyGradient(),
    "predictor": lambda seed: PredictorGuided(),
    **PEERS,
}
PYMOO = "pymoo NSGA-II"  # made for its table
NAMES = (*SAMPLERS, PYMOO)
SEVERAL = ("random", "pareto", "predictor", *(name for name in PEERS if name[:2] in ("TP", "NS", "GP")), PYMOO)


def visits(
    bench: Bench, name: str, seed: int, limit: str | None, front: bool, evaluations: int
) -> tuple[list[Visit], float]:
    """What a search evaluates, in order, and the seconds of its proposals."""
    table = bench.table
    sampler = PymooNSGA2(table, limit, seed) if name == PYMOO else SAMPLERS[name](seed)
    if isinstance(sampler, NativeSampler):
        sampler = sampler.bound(table, limit, seed)
    study = optuna.create_study(directions=["maximize", "minimize"][: 1 + front], sampler=sampler)
    found: list[Visit] = []
    times: dict[int, int] = {}
    seconds = 0.0
    while len(found) < evaluations:
        begin = time.process_time()
        trial = study.ask()
        try:
            row = table.suggest(trial)
        except Exhausted:
            break
        seconds += time.process_time() - begin
        place = bench.place(row.indices)
        trial.set_user_attr(GENES, row.indices)
        if limit is not None:
            trial.set_constraint("limit", 0.0 if table.feasible(row, limit) else 1.0)
        seen = bench.query(place, seed, times.get(place, 0))
        times[place] = times.get(place, 0) + 1
        found.append((place, seen))
        study.tell(trial, [seen, table.price(row)["macs"]] if front else seen)
    return found, seconds


def allowed(bench: Bench, limit: str | None) -> np.ndarray:
    """(rows,) which rows keep the limit."""
    keep = np.zeros(bench.table.size, bool)
    keep[[bench.place(row) for row in bench.table.allowed(limit).tolist()]] = True
    return keep


def means(found: list[Visit], keep: np.ndarray) -> dict[int, float]:
    """What was seen of each feasible row, on average, in the order of first sight."""
    seen: dict[int, list[float]] = {}
    for place, value in found:
        if keep[place]:
            seen.setdefault(place, []).append(value)
    return {place: float(np.mean(values)) for place, values in seen.items()}


def regrets(
    bench: Bench, seed: int, found: list[Visit], keep: np.ndarray, budgets: Sequence[int]
) -> dict[str, list[float]]:
    """Regret and excess at each budget; the worst where nothing feasible was evaluated."""
    truth = bench.truth
    best = int(np.flatnonzero(keep)[truth[keep].argmax()])
    result: dict[str, list[float]] = {"regret": [], "excess": []}
    for budget in budgets:
        seen = means(found[:budget], keep)
        chosen = max(seen, key=lambda place: seen[place]) if seen else int(np.flatnonzero(keep)[truth[keep].argmin()])
        regret = float(truth[best] - truth[chosen])
        with_best = {**seen, best: seen.get(best, bench.query(best, seed, 0))}
        told = float(truth[best] - truth[max(with_best, key=lambda place: with_best[place])])
        result["regret"].append(regret)
        result["excess"].append(regret - told)
    return result


def missing(bench: Bench, found: list[Visit], budgets: Sequence[int]) -> dict[str, list[float]]:
    """The share of the true front's hypervolume that the seen front lacks, at each budget."""
    macs = bench.table.priced(bench.table.allowed())["macs"].astype(float)
    corner = np.array([bench.truth.min(), macs.max()])
    whole = _volume(np.column_stack([bench.truth, macs]), corner)
    lacks = []
    for budget in budgets:
        seen = means(found[:budget], np.ones(len(macs), bool))
        points = np.array([[-value, macs[place]] for place, value in seen.items()])
        places = np.array(list(seen))[non_dominated(points)]
        lacks.append(1 - _volume(np.column_stack([bench.truth[places], macs[places]]), corner) / whole)
    return {"missing": lacks}


def _volume(points: np.ndarray, corner: np.ndarray) -> float:
    """Area that points (value, cost) dominate, down to a worst value and up to a highest cost."""
    area, top = 0.0, corner[0]
    for value, cost in sorted(points.tolist(), key=lambda point: (point[1], -point[0])):
        if value > top:
            area += (value - top) * (corner[1] - cost)
            top = value
    return float(area)


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


def arguments() -> argparse.Namespace:
    """What to run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path, help="a file of results, see perf/nas_tables.py")
    parser.add_argument("--columns", nargs="+", required=True, help="what is climbed; of several the mean rank")
    parser.add_argument("--key", help="the column of a CSV file that names the architecture")
    parser.add_argument("--cost", help="the column that is the table's MACs")
    parser.add_argument("--limit", help='constraints, such as "macs <= 40M"')
    parser.add_argument("--front", action="store_true", help="two objectives: the column and the cost")
    parser.add_argument("--minimize", action="store_true", help="less of the columns is better")
    parser.add_argument("--samplers", nargs="+", choices=NAMES, default=None, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--evaluations", type=int, choices=BUDGETS, default=BUDGETS[-1], help="of each search")
    return parser.parse_args()


def main() -> None:
    """Runs what is not there yet, then sums up all that is."""
    options = arguments()
    bench = load(options.table, options.columns, key=options.key, cost=options.cost, sign=-1 if options.minimize else 1)
    what = "+".join(options.columns) if len(options.columns) < 3 else f"mean rank of {len(options.columns)}"
    case = ": ".join([bench.table.name, what + (f", {options.limit}" if options.limit else ", front" * options.front)])
    path = PIECES / f"{re.sub(r'[^a-z0-9]+', '-', case.lower())}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {(p["case"], p["sampler"], p["seed"]) for p in pieces() if p["evaluations"] >= options.evaluations}
    budgets = [budget for budget in BUDGETS if budget <= options.evaluations]
    names = options.samplers or list(SEVERAL if options.front else NAMES)
    work = [(name, seed) for seed in range(options.seeds) for name in names if (case, name, seed) not in done]
    keep = allowed(bench, options.limit)
    with quiet_optuna():
        for name, seed in track(work, case):
            found, seconds = visits(bench, name, seed, options.limit, options.front, options.evaluations)
            told = missing(bench, found, budgets) if options.front else regrets(bench, seed, found, keep, budgets)
            piece = {"case": case, "sampler": name, "seed": seed, "evaluations": options.evaluations}
            with path.open("a") as file:
                file.write(json.dumps({**piece, "seconds": seconds, **told}) + "\n")
    write_json(RESULTS, manifest({"budgets": BUDGETS, "default": DEFAULT}, **summary()))


if __name__ == "__main__":
    sys.exit(main())
