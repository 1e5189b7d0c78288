"""How fast a space of the paper's scale draws, prices and refuses, on one thread, beside what else there is for it.

Drawing is measured from 20,000 draws on, which the sampler's lazy tables come before. Rejection has the same table and
the same rules. What other libraries do (`perf/others.py`) is measured beside our own costs of the same networks.
Writes perf/results/space.json; three minutes on two cores. Command: `python perf/space.py`.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import others
import torch
from turns import in_turns

import metanet
from metanet import MetanetError
from metanet.runs import manifest, write_json
from metanet.search_spaces import Space, load_space, parse_constraints
from metanet.search_spaces.choices import Indices
from metanet.search_spaces.feasible.sampler import FeasibleSampler

RESULTS = Path(__file__).parent / "results"
SEED, DRAWS, BLOCK = 0, 200_000, 16_384
PATIENCE = 6.0  # seconds of rejection
PAIR = ("macs", "params")


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def near(name: str, width: float, metrics: tuple[str, ...] = PAIR) -> str:
    """The rules that costs are within a share of a member's."""
    cost = metanet.cost(name)
    ends = ((metric, getattr(cost, metric)) for metric in metrics)
    return ", ".join(f"{m} in [{-int(-v * (1 - width) // 1)}, {int(v * (1 + width))}]" for m, v in ends)


def cases() -> dict[str, tuple[str, float | None, float | None]]:
    """What is drawn: rules, most seconds of set-up, least draws a second; the caps were found by `space.count`."""
    one, two = (0.5, 200_000.0), (3.0, 50_000.0)
    return {
        "MACs of 10 % of the space": ("macs <= 24.25G", *one),
        "MACs of 1 in 1,000": ("macs <= 3.995G", *one),
        "MACs of 1 in 1,000,000": ("macs <= 988.7M", *one),
        "MACs of MN-B4 ± 1 %": (near("MN-B4", 0.01, ("macs",)), *one),
        "MACs and parameters of MN-B4 ± 1 %": (near("MN-B4", 0.01), *two),
        "MACs and parameters of MN-B15 ± 1 %": (near("MN-B15", 0.01), *two),
        "MACs and parameters of MN-B4 ± 0.3 %": (near("MN-B4", 0.003), 3.0, 20_000.0),
    }


def rejection(space: Space, rules: str) -> dict[str, Any]:
    """Uniform draws that the table checks until PATIENCE is over: accepted a second, and the share accepted."""
    parsed, free, rng = parse_constraints(rules), space.sampler(), np.random.default_rng(SEED)
    metrics, accepted, tried, start = tuple(rule.metric for rule in parsed), 0, 0, time.perf_counter()
    while (took := time.perf_counter() - start) < PATIENCE:
        costs = space.table(free.draw(BLOCK, rng), metrics)
        accepted += int(np.logical_and.reduce([inside(costs[rule.metric], rule) for rule in parsed]).sum())
        tried += BLOCK
    return {"accepted": accepted, "tried": tried, "seconds": took, "rate": accepted / took}


def inside(values: Indices, rule: Any) -> Any:
    """(n,) which costs satisfy a rule."""
    return (values >= rule.low) & (values <= rule.high)


def drawing(space: Space, name: str, rules: str, most: float | None, least: float | None) -> dict[str, Any]:
    """One row: set-up with the tables made, accepted draws a second, how many are outside, and rejection."""
    parsed = parse_constraints(rules)
    made: list[FeasibleSampler] = []
    setup = float(np.median([seconds(lambda: made.append(FeasibleSampler(space, parsed))) for _ in range(3)]))
    rng = np.random.default_rng(SEED)
    made[-1].draw(20_000, rng)
    rows: list[Indices] = []
    took = seconds(lambda: rows.append(made[-1].draw(DRAWS, rng)))
    costs = space.table(rows[0], PAIR)
    outside = sum(int((~inside(costs[rule.metric], rule)).sum()) for rule in parsed)
    few = space.specs(rows[0][:200])
    outside += sum(not space.contains(spec) or not space.feasible(spec, rules) for spec in few)
    count = space.count(rules)
    return {
        "what": name,
        "rules": rules,
        "share": count.estimate / space.size,
        "setup": setup,
        "rate": DRAWS / took,
        "outside": outside,
        "distinct": len(np.unique(rows[0], axis=0)),
        "draws": DRAWS,
        "targets": {"setup": most, "rate": least},
        "rejection": rejection(space, rules),
    }


def cold(rules: str) -> dict[str, float]:
    """Seconds of everything before the first draw, in a space of which nothing is known yet."""
    space = replace(load_space("metanet"))
    tables = seconds(lambda: [space.table.stages(metric) for metric in PAIR])
    return {"tables": tables, "setup": seconds(lambda: space.sampler(rules))}


def pricing(space: Space) -> list[dict[str, Any]]:
    """Architectures priced a second, MACs and parameters: by option indices, by genes, by `metanet.cost`, in turns."""
    rows = space.sampler().draw(100_000, np.random.default_rng(SEED))
    specs, at, table = space.specs(rows[:200]), space.column, space.table
    names = ("resolution", "stem_width", *(f"stage{i}.width" for i in range(len(space.options))), "head_width")
    resolution, *widths, head = (np.ascontiguousarray(rows[:, at[name]]) for name in names)
    options = space.option_ids(rows)

    def by_options(count: int) -> Callable[[], dict[str, Indices]]:
        few = [width[:count] for width in widths]
        picked = [option[:count] for option in options]
        return lambda: table.of_options(resolution[:count], few, picked, head[:count], PAIR)

    by_genes, both = table(rows, PAIR), by_options(100_000)()
    assert all(np.array_equal(by_genes[metric], both[metric]) for metric in PAIR)
    assert [(cost.macs, cost.params) for cost in map(metanet.cost, specs)] == list(
        zip(*(by_genes[metric][: len(specs)].tolist() for metric in PAIR), strict=True)
    )
    works: dict[str, tuple[int, float | None, Callable[[], object]]] = {
        "option indices, 16,384 at a time": (BLOCK, 5e6, by_options(BLOCK)),
        "option indices, 100,000 at a time": (100_000, 5e6, by_options(100_000)),
        "genes, 16,384 at a time": (BLOCK, 1e6, lambda: table(rows[:BLOCK], PAIR)),
        "genes, 100,000 at a time": (100_000, 1e6, lambda: table(rows, PAIR)),
        "`metanet.cost` of each": (len(specs), None, lambda: [metanet.cost(spec) for spec in specs]),
    }
    turns = in_turns({name: work for name, (_, _, work) in works.items()}, rounds=5, most=20.0)
    return [
        {"what": name, "rate": count / turns.median(name), "target": target, "still": turns.still, "same": "exact"}
        for name, (count, target, _) in works.items()
    ]


def objects(space: Space) -> dict[str, Any]:
    """`ArchSpec` objects a second from `space.sample`, the sampler being made."""
    rules = near("MN-B4", 0.01, ("macs",))
    space.sample(1, rules, seed=SEED)
    took = float(np.median([seconds(lambda s=seed: space.sample(20_000, rules, seed=s)) for seed in range(3)]))  # type: ignore[misc]
    return {"what": "`ArchSpec` objects: `space.sample(20_000, …)`", "rate": 20_000 / took, "target": 20_000.0}


def refusals(space: Space) -> list[dict[str, Any]]:
    """Seconds until an impossible request is refused."""

    def refused(rules: str) -> None:
        try:
            FeasibleSampler(space, parse_constraints(rules))
        except MetanetError:
            return
        raise AssertionError(f"{rules} was not refused")

    wanted = (("macs <= 1k", 1.0), ("macs <= 300M, params >= 500M", 5.0))
    return [{"rules": r, "seconds": seconds(lambda r=r: refused(r)), "target": t} for r, t in wanted]  # type: ignore[misc]


def main() -> None:
    """Measures and stores."""
    torch.set_num_threads(1)
    start, first = time.perf_counter(), cold(near("MN-B4", 0.01, ("macs",)))
    space = load_space("metanet")
    space.table(space.sampler().draw(10, np.random.default_rng(SEED)), PAIR)
    draws = [drawing(space, name, *case) for name, case in cases().items()]
    costs, specs, refused = pricing(space), objects(space), refusals(space)
    few = space.sample(4, near("MN-B4", 0.1, ("macs",)), seed=SEED)
    costs += [others.by_fvcore(few), others.by_torch(few)]
    other = {"nni": others.by_nni(SEED), "optuna": others.by_optuna(space, draws[0]["rules"], SEED)}
    options = {"space": space.name, "size": float(space.size), "threads": 1, "seed": SEED, "patience": PATIENCE}
    about = {"cold": first, "draws": draws, "specs": specs, "costs": costs, "refusals": refused, "others": other}
    took = {"seconds": round(time.perf_counter() - start, 1)}
    write_json(RESULTS / "space.json", manifest(options, **about, **took))


if __name__ == "__main__":
    main()
