"""What probes cost: images through the backbone for a setting of the benchmark, and time of logistic regression.

Forwards are counted, not timed: those of GV-B's and ELEVATER's protocols beside one for each image, for {10, 20, 100} %
x 3 seeds of a task. Solvers fit the same synthetic ReLU features along the same ascending values of C, one thread, at
each C in turns: ours from the last C, to a gap of 1e-4 and to 1e-5; scikit-learn in float32 with tol 1e-6 from the last
C ("warm") and from zero ("cold"); torch's L-BFGS with strong Wolfe steps from zero, as feature benchmarks run it. Time
is the process's own. The objective of each is evaluated alike, in float64, and a gap is its distance to the least one
that any solver found there. Each C is stored when it is done, and a killed run goes on behind the last one.
Writes perf/results/probes.json. Command: `python perf/probes.py` (the small problem takes a minute, the large one half
an hour by estimate; `--problem small` or `large` for one of them; runs/perf-probes holds what is done).
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from metanet.bench.probes.eigen import Eigen, decompose
from metanet.bench.probes.softmax import path
from metanet.data import ArrayImages, percent_subset
from metanet.runs import manifest, open_run, write_json

RESULTS = Path(__file__).parent / "results" / "probes.json"
WORK = Path("runs/perf-probes")
COSTS = np.logspace(-6, 5, 45)
PATIENCE = 4
PERCENTS, SEEDS = (10, 20, 100), (0, 1, 2)
GVB = 10_000 * 64  # iterations x batch
ELEVATER = 90 * 10 + 50  # epochs: trials x 10, then the last one; its tests are not counted
TASKS = {"Flowers-102": (102, 2040, 6149), "DTD": (47, 3760, 1880), "CIFAR-10": (10, 50_000, 10_000)}
WAYS = ("metanet", "metanet, tol 1e-5", "scikit-learn, warm", "scikit-learn, cold", "torch L-BFGS, cold")

Array = npt.NDArray[np.floating]
Solution = tuple[Array, Array]  # weights (d, k), bias (k,), for the features as they are


@dataclass(frozen=True)
class Problem:
    """Features of a random one-layer network with ReLU and uneven channels, of points around class centres.

    n, d, k  images, features, classes; `held` more images measure accuracy; spread of the centres over that of points
    """

    n: int
    d: int
    k: int
    held: int
    spread: float
    latent: int = 64
    seed: int = 0

    def data(self) -> tuple[Array, npt.NDArray[np.int64]]:
        """Features (n + held, d) and labels."""
        rng = np.random.default_rng(self.seed)
        labels = rng.integers(0, self.k, self.n + self.held)
        centres = self.spread * rng.normal(size=(self.k, self.latent))
        points = centres[labels] + rng.normal(size=(len(labels), self.latent))
        mixed = points @ rng.normal(size=(self.latent, self.d)) / np.sqrt(self.latent)
        mixed += 0.3 * rng.normal(size=mixed.shape) - 0.2
        return (np.maximum(mixed, 0) * np.exp(0.7 * rng.normal(size=self.d))).astype(np.float32), labels


PROBLEMS = {
    "small": Problem(2000, 512, 20, 500, 0.35),
    "large": Problem(10_000, 2048, 100, 2500, 0.5),
}


def forwards() -> list[dict[str, Any]]:
    """Images through the backbone for all percentages and seeds of a task."""
    rows = []
    for name, (classes, train, test) in TASKS.items():
        labels = np.arange(train) % classes
        images = ArrayImages(name, np.zeros((train, 1, 1), np.uint8), labels, tuple(map(str, range(classes))))
        draws = [percent_subset(images.labels, np.arange(train), p, seed=s) for p in PERCENTS for s in SEEDS]
        gvb = len(draws) * (GVB + 2 * test)  # it tests after half of the iterations and at the end
        theirs = ELEVATER * sum(map(len, draws))
        ours = len(np.unique(np.concatenate(draws))) + test
        rows.append({"task": name, "train": train, "test": test, "gvb": gvb, "elevater": theirs, "ours": ours})
    return rows


def objective(x: Array, labels: npt.NDArray[np.int64], found: Solution, c: float) -> float:
    """C * sum of losses + ||weights||^2 / 2, in float64."""
    weights, bias = (part.astype(np.float64) for part in found)
    scores = x.astype(np.float64) @ weights + bias
    top = scores.max(axis=1)
    losses = np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top - scores[np.arange(len(x)), labels]
    return c * float(losses.sum()) + float((weights**2).sum()) / 2


class Ours:
    """Our path; the decomposition is part of the first C."""

    def __init__(self, x: Array, labels: npt.NDArray[np.int64], k: int, tolerance: float) -> None:
        self.x, self.labels, self.k, self.tolerance = x, labels, k, tolerance

    def __call__(self, c: float, last: Solution | None) -> Solution:
        eigen, rotated = self.axes
        start = None if last is None else (eigen.vectors.T @ last[0], last[1] + eigen.mean @ last[0])
        (found,) = path(rotated, self.labels, self.k, [c], start=start, tolerance=self.tolerance)
        weights = eigen.vectors @ found.weights
        return weights, found.bias - eigen.mean @ weights

    @cached_property
    def axes(self) -> tuple[Eigen, Array]:
        """The decomposition and the rotated features in float32."""
        eigen = decompose(self.x)
        return eigen, eigen.rotated.astype(np.float32)


def scikit_learn(x: Array, labels: npt.NDArray[np.int64], c: float, last: Solution | None) -> Solution:
    """In float32, from the last solution where there is one."""
    model = LogisticRegression(C=c, tol=1e-6, max_iter=10_000, warm_start=last is not None)
    if last is not None:
        model.coef_, model.intercept_ = last[0].T.astype(np.float32), last[1].astype(np.float32)
        model.classes_ = np.unique(labels)
    model.fit(x, labels)
    return model.coef_.T, model.intercept_


def torch_lbfgs(x: Array, labels: npt.NDArray[np.int64], k: int, c: float) -> Solution:
    """torch.optim.LBFGS on the mean loss, from zero."""
    features, target = torch.from_numpy(x), torch.from_numpy(labels)
    weights, bias = torch.zeros(x.shape[1], k, requires_grad=True), torch.zeros(k, requires_grad=True)
    way = torch.optim.LBFGS(
        [weights, bias], max_iter=1000, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        way.zero_grad()
        loss = torch.nn.functional.cross_entropy(features @ weights + bias, target)
        loss = loss + weights.square().sum() / (2 * c * len(features))
        loss.backward()
        return loss

    way.step(closure)
    return weights.detach().numpy(), bias.detach().numpy()


def ways(x: Array, labels: npt.NDArray[np.int64], k: int) -> dict[str, Callable[[float, Solution | None], Solution]]:
    """What solves the problem for a C, given its own last solution; the names are WAYS."""
    return {
        "metanet": Ours(x, labels, k, 1e-4),
        "metanet, tol 1e-5": Ours(x, labels, k, 1e-5),
        "scikit-learn, warm": lambda c, last: scikit_learn(x, labels, c, last),
        "scikit-learn, cold": lambda c, last: scikit_learn(x, labels, c, None),
        "torch L-BFGS, cold": lambda c, last: torch_lbfgs(x, labels, k, c),
    }


def solve(name: str, problem: Problem) -> dict[str, Any]:
    """Every way at each C until the accuracy on held-out images has not grown for some of them."""
    x, labels = problem.data()
    x, held, labels, truth = x[: problem.n], x[problem.n :], labels[: problem.n], labels[problem.n :]
    for work in ways(x[:200, :20], labels[:200] % 2, 2).values():
        work(1.0, None)  # what libraries load when they are first called
    works = ways(x, labels, problem.k)
    folder = open_run(WORK)
    state, stored = folder / f"{name}.npz", folder / f"{name}.json"
    done: list[dict[str, Any]] = json.loads(stored.read_text()) if stored.exists() and state.exists() else []
    last: dict[str, Solution] = {}
    if done:
        with np.load(state) as kept:
            last = {way: (kept[f"{way}.weights"], kept[f"{way}.bias"]) for way in works}
        for way in ("metanet", "metanet, tol 1e-5"):
            works[way](1e-6, None)  # decomposes again, outside of what is measured
    for c in COSTS[len(done) :].tolist():
        best = [max(part["accuracy"] for part in row["ways"].values()) for row in done]
        if best and len(best) - 1 - int(np.argmax(best)) >= PATIENCE:
            break
        row: dict[str, Any] = {"c": c, "load": os.getloadavg()[0], "when": time.strftime("%Y-%m-%d %H:%M"), "ways": {}}
        for way, work in works.items():
            clock, own = time.perf_counter(), time.process_time()
            found = work(c, last.get(way))
            took = {"cpu": time.process_time() - own, "clock": time.perf_counter() - clock}
            last[way] = found
            accuracy = float(((held @ found[0] + found[1]).argmax(axis=1) == truth).mean())
            row["ways"][way] = {**took, "objective": objective(x, labels, found, c), "accuracy": accuracy}
        done.append(row)
        parts = {f"{w}.{n}": a for w, s in last.items() for n, a in zip(("weights", "bias"), s, strict=True)}
        np.savez(state, **parts)
        write_json(stored, done)
        print(f"{name}, C = {c:.2g}: " + ", ".join(f"{w} {p['cpu']:.2f} s" for w, p in row["ways"].items()), flush=True)
    return {"problem": asdict(problem), "rows": done, "ways": [_total(way, done) for way in WAYS]}


def _total(way: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over all C: processor seconds, the largest gap, and the best accuracy."""
    gaps = [row["ways"][way]["objective"] / min(p["objective"] for p in row["ways"].values()) - 1 for row in rows]
    own = [row["ways"][way] for row in rows]
    return {
        "way": way,
        "cpu": sum(part["cpu"] for part in own),
        "gap": max(gaps),
        "accuracy": max(part["accuracy"] for part in own),
        "costs": len(rows),
    }


def main() -> None:
    """Counts, measures what is not stored yet, stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="default: all")
    names = parser.parse_args().problem or list(PROBLEMS)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # scikit-learn says where its line search ends
    solvers = json.loads(RESULTS.read_text())["solvers"] if RESULTS.exists() else {}
    for name in names:
        solvers[name] = solve(name, PROBLEMS[name])
        options = {"percents": PERCENTS, "seeds": SEEDS, "costs": COSTS}
        write_json(RESULTS, manifest(options, forwards=forwards(), solvers=solvers))


if __name__ == "__main__":
    main()
