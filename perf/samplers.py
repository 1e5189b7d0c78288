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
see equal runs, so differences are paired. Every run is a row of perf/results/samplers/*.csv, and what is there is not
run again (after a change of a sampler delete its rows); perf/results/samplers.json sums up all of them,
docs/img/samplers.png draws them, and what was asked for is printed: mean ± half the 95 % interval, > where the default
is surely better, < where it is surely worse.
"""

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import pandas as pd
from nas_tables import load
from sampler_runs import add, stored, summary, tidy
from sampler_tables import plotted, told_of
from sampling import NAMES, SEVERAL, allowed, missing, regrets, visits

from metanet.errors import MetanetError
from metanet.runs import fingerprint, manifest, track, write_json
from metanet.searchers.stores import quiet_optuna

ROOT = Path(__file__).parents[1]
RESULTS, RUNS = ROOT / "perf" / "results" / "samplers.json", ROOT / "perf" / "results" / "samplers"
IMAGE = ROOT / "docs" / "img" / "samplers.png"
BUDGETS = (25, 50, 100, 200)
DEFAULT = "predictor"  # that the others are compared with
TASKS = ("class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
SLOW = {"GP": 20, "GP, repeat-free": 20}  # seeds at most: 0.1 to 1.5 s a proposal


@dataclass(frozen=True)
class Case:
    """One comparison: a table, what is climbed, and under which limit or against which cost.

    columns   of several the mean rank
    key       the column of a CSV file that names the architecture; the first one where None
    minimize  less of the columns is better
    unit      what a cost of 1 stands for
    """

    file: Path
    columns: Sequence[str]
    cost: str | None = None
    limit: str | None = None
    front: bool = False
    key: str | None = None
    minimize: bool = False
    unit: float = 1

    @property
    def name(self) -> str:
        """How rows and files call it."""
        what = "+".join(self.columns) if len(self.columns) < 3 else f"mean rank of {len(self.columns)}"
        more = f", {self.limit}" if self.limit else ", front" * self.front
        return f"{self.file.name.partition('.')[0]}: {what}{more}"

    @cached_property
    def settings(self) -> str:
        """A digest of the table and of all that is asked of it."""
        content = hashlib.sha256(self.file.read_bytes()).hexdigest()
        asked = {name: value for name, value in asdict(self).items() if (name, value) != ("unit", 1)}
        return fingerprint({**asked, "file": content})[:8]


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
    parser.add_argument("--unit", type=float, default=1, help="what a cost of 1 stands for, as 1e6 (default: 1)")
    parser.add_argument("--limit", help='constraints, such as "macs <= 40M"')
    parser.add_argument("--front", action="store_true", help="two objectives: the column and the cost")
    parser.add_argument("--minimize", action="store_true", help="less of the columns is better")
    parser.add_argument("--samplers", nargs="+", choices=NAMES, default=None, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--part", type=part, default=(0, 1), help="K/N: of the seeds those that leave K divided by N")
    parser.add_argument("--evaluations", type=int, choices=BUDGETS, default=BUDGETS[-1], help="of each search")
    options = parser.parse_args()
    if not options.table.is_dir() and not options.columns:
        parser.error("--columns says what of the table is climbed")
    if options.front and (options.limit or not options.cost):
        parser.error("--front needs --cost, and knows no --limit: it is the front of all rows")
    if options.limit and not options.cost:
        parser.error("--limit needs --cost: the column that it is on")
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: one seed has no interval")
    return options


def part(text: str) -> tuple[int, int]:
    """K and N of "K/N"."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not int(found[1]) < int(found[2]):
        raise argparse.ArgumentTypeError(f"a part is K/N with K below N, as 0/2, got {text!r}")
    return int(found[1]), int(found[2])


def run(case: Case, names: Sequence[str] | None, seeds: Sequence[int], most: int) -> None:
    """Runs what is not there yet of a case."""
    sign = -1 if case.minimize else 1
    bench = load(case.file, case.columns, key=case.key, cost=case.cost, unit=case.unit, sign=sign)
    before = [one for one in stored(RUNS) if one["case"] == case.name]
    if others := {one["settings"] for one in before} - {case.settings}:
        raise SystemExit(
            f"the runs stored as {case.name!r} are of another table, column, cost or direction ({', '.join(others)}, "
            f"not {case.settings}): move their file in {RUNS} away, or give the table another name"
        )
    done = {(one["sampler"], one["seed"]): one["evaluations"] for one in before}
    keep = allowed(bench, case.limit)
    able = [name for name in names or NAMES if not case.front or name in SEVERAL]
    work = [(name, seed) for seed in seeds for name in able]
    for name, seed in track(work, case.name):
        if seed >= SLOW.get(name, seed + 1) or done.get((name, seed), 0) >= most:
            continue
        budgets = [budget for budget in BUDGETS if budget <= most]
        found, seconds = visits(bench, name, seed, case.limit, case.front, most)
        told = missing(bench, found, budgets) if case.front else regrets(bench, seed, found, keep, budgets)
        piece = {
            "case": case.name,
            "settings": case.settings,
            "sampler": name,
            "seed": seed,
            "evaluations": most,
        }
        add(RUNS, {**piece, "seconds": seconds, **told})


def main() -> None:
    """Runs what is not there yet, then sums up all that is."""
    options = arguments()
    own = (options.cost, options.limit, options.front, options.key, options.minimize, options.unit)
    chosen = cases(options.table) if options.table.is_dir() else [Case(options.table, options.columns, *own)]
    if not chosen:
        raise SystemExit(f"{str(options.table)!r} holds none of the files of the stored table: name a table's file")
    first, parts = options.part
    try:
        with quiet_optuna():
            for case in chosen:
                run(case, options.samplers, range(first, options.seeds, parts), options.evaluations)
    except (MetanetError, OSError) as error:
        raise SystemExit(str(error)) from None
    tidy(RUNS)
    about = manifest({"budgets": BUDGETS, "default": DEFAULT}, **summary(RUNS, DEFAULT))
    write_json(RESULTS, about)
    plotted(about, IMAGE)
    print(pd.DataFrame(told_of(about, [case.name for case in chosen])).to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())
