"""Searches of a benchmark table, and what they are worth: regret, excess, missing hypervolume; `perf/samplers.py` says
how each is counted."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import optuna
from nas_tables import Bench
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from peers import PymooNSGA2

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
