"""Search by a predictor: a Gaussian process learns from what was told and says where improvement is to be expected."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import optuna

from metanet.searchers.history import Genome
from metanet.searchers.predictor import (
    Code,
    Kernel,
    Posterior,
    code_of,
    expected_improvement,
    fitted,
    posterior,
    warped,
)
from metanet.searchers.samplers.native import NativeSampler, check_counts
from metanet.searchers.samplers.told import Floats, Rows, Told, as_rows, drawn, neighbours, told
from metanet.searchers.space import SearchSpace

# The kernel is fitted anew when so many results are there, and kept in between: fitting is most of the work.
SIZES = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
MOST = 1_000  # results that a prediction is made from; of more, the best
PARENTS = 6  # of the architectures told, whose neighbours are judged
CLIMBS = 4  # times that the neighbours of the most promising candidates are judged, too
CLIMBERS = 3  # whose neighbours these are
OFFERED = 64  # candidates that are proposed before a slot falls back on random ones
REMEMBERED = 1_000  # architectures whose neighbours are not looked up again
SHARE = 0.05  # of the sum in the mix of several objectives (Knowles, "ParEGO", 2006, equation 2)


@dataclass(frozen=True, kw_only=True)
class PredictorGuided(NativeSampler):
    """Proposes the candidate with the highest expected improvement under a Gaussian process (`searchers/predictor.py`).

    Candidates are random architectures, the neighbours of the best ones told, and, by a few steps of climbing, the
    neighbours of the best candidates. Those that are being evaluated count as if they had the values expected of
    them, so that parallel proposals differ; failed ones count as the worst ever told. Several objectives are mixed
    anew for each proposal, with random weights (Knowles, "ParEGO", 2006).

    first   how many random architectures come first
    pool    how many random candidates are judged for a proposal
    """

    first: int = 8
    pool: int = 200
    _near: dict[Genome, list[Genome]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _kernels: dict[bytes, Kernel] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_counts(self, "first", "pool")

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """Random architectures first, then the most promising ones."""
        history = told(space, study)
        if len(history.rows) < self.first:
            return self.draws(space, slot)
        rows = self._promising(space, history, slot)
        return chain((space.decode(row) for row in rows), self.draws(space, slot))

    def _promising(self, space: SearchSpace[Any], history: Told, slot: int) -> Rows:
        """(OFFERED, genes) new architectures, the most promising first."""
        code = code_of(space.genes)
        mixed = _mixed(history.values, np.random.default_rng([self.seed, slot]))
        process, best = self._learnt(code, history, mixed)
        known = {tuple(row) for rows in (history.rows, history.failed, history.running) for row in rows.tolist()}
        expected = process(code.bits(history.rows))[0]
        pool = dict.fromkeys(drawn(space, self.pool, self.constraints, [self.seed, slot]))
        for i in np.argsort(-expected, kind="stable")[:PARENTS]:
            pool |= dict.fromkeys(self._around(space, tuple(history.rows[i].tolist())))
        scores: dict[Genome, tuple[float, float]] = {}
        climbed: set[Genome] = set()
        for climb in range(CLIMBS + 1):
            new = [key for key in pool if key not in scores and key not in known]
            scores |= zip(new, _scores(process, code, as_rows(new, len(space.genes)), best), strict=True)
            order = sorted(scores, key=lambda key: scores[key], reverse=True)
            for key in [key for key in order[:CLIMBERS] if key not in climbed] if climb < CLIMBS else ():
                climbed.add(key)
                pool |= dict.fromkeys(self._around(space, key))
        return as_rows(order[:OFFERED], len(space.genes))

    def _learnt(self, code: Code, history: Told, mixed: Floats) -> tuple[Posterior, float]:
        """The process and the best of the values that it expects of what was told."""
        rows = np.concatenate([history.rows, history.failed])
        values = np.concatenate([mixed, np.full(len(history.failed), mixed.min())])
        if len(rows) > MOST:
            keep = np.sort(np.argsort(-values, kind="stable")[:MOST])
            rows, values = rows[keep], values[keep]
        size = max([size for size in SIZES if size <= len(history.rows)], default=len(history.rows))
        kernel = self._kernel(code, history.rows[:size], mixed[:size])
        bits, even = code.bits(rows), warped(values)
        process = posterior(kernel, bits, even)
        best = float(process(code.bits(history.rows))[0].max())
        if len(history.running):
            there = code.bits(history.running)
            believed = process(there)[0]
            process = posterior(kernel, np.concatenate([bits, there]), np.concatenate([even, believed]))
        return process, best

    def _around(self, space: SearchSpace[Any], key: Genome) -> list[Genome]:
        if len(self._near) > REMEMBERED:
            self._near.clear()
        found = self._near.get(key)
        if found is None:
            found = self._near[key] = neighbours(space, key, self.constraints)
        return found

    def _kernel(self, code: Code, rows: Rows, values: Floats) -> Kernel:
        key = rows.tobytes() + values.tobytes()
        kernel = self._kernels.get(key)
        if kernel is None:
            kernel = fitted(code.bits(rows), warped(values), code.worth)
            self._kernels.clear()
            self._kernels[key] = kernel
        return kernel


def _scores(process: Posterior, code: Code, rows: Rows, best: float) -> list[tuple[float, float]]:
    """Expected improvement of rows, and the expected value, which decides where no improvement is in sight."""
    mean, deviation = process(code.bits(rows))
    return list(zip(expected_improvement(mean, deviation, best).tolist(), mean.tolist(), strict=True))


def _mixed(values: Floats, rng: np.random.Generator) -> Floats:
    """(n,) one number of several objectives (n, objectives), more is better: the augmented Chebyshev function."""
    if values.shape[1] == 1:
        return values[:, 0]
    low, high = values.min(0), values.max(0)
    lack = (high - values) / np.where(high > low, high - low, 1.0)
    weighted = lack * rng.dirichlet(np.ones(values.shape[1]))
    return np.asarray(-weighted.max(1) - SHARE * weighted.sum(1))
