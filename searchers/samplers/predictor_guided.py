"""Search by a predictor: a Gaussian process learns from what was told and says where improvement is to be expected."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import optuna

from metanet.errors import MetanetError
from metanet.searchers.history import Genome
from metanet.searchers.predictor import (
    Kernel,
    Posterior,
    code_of,
    expected_improvement,
    fitted,
    posterior,
    warped,
)
from metanet.searchers.samplers.beside import Known, Proxies, Scored
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


@dataclass(frozen=True)
class Reading:
    """How a process sees architectures.

    points   (n, bits + scores) of rows (n, genes)
    worth    (bits,) of each bit
    scored   whether there are scores
    """

    points: Callable[[Rows], Floats]
    worth: Floats
    scored: bool = False


@dataclass(frozen=True)
class Learnt:
    """A process that has seen the results; best: of the values that it expects of what was told."""

    reading: Reading
    process: Posterior
    best: float

    def __call__(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,) of the values of rows (n, genes)."""
        return self.process(self.reading.points(rows))

    def judged(self, rows: Rows) -> list[tuple[float, float]]:
        """Expected improvement, and the expected value, which decides where no improvement is in sight."""
        mean, deviation = self(rows)
        return list(zip(expected_improvement(mean, deviation, self.best).tolist(), mean.tolist(), strict=True))

    def ordered(self, keys: list[Genome]) -> list[Genome]:
        """The most promising first."""
        if not keys:
            return []
        judged = dict(zip(keys, self.judged(np.array(keys, np.int64)), strict=True))
        return sorted(keys, key=lambda key: judged[key], reverse=True)


@dataclass(frozen=True, kw_only=True)
class PredictorGuided(NativeSampler):
    """Proposes the candidate with the highest expected improvement under a Gaussian process (`searchers/predictor.py`).

    Candidates are random architectures, the neighbours of the best ones told, and, by a few steps of climbing, the
    neighbours of the best candidates. Those that are being evaluated count as if they had the values expected of
    them, so that parallel proposals differ; failed ones count as the worst ever told. Several objectives are mixed
    anew for each proposal, with random weights (Knowles, "ParEGO", 2006).

    With `proxies` the most promising candidates, as many random ones and the neighbours of the best of both are judged
    again, by a process that has learnt from these scores, too: they tell the bad from the good when few results are
    there. All architectures told are scored by them as well, each once.

    first      how many random architectures come first
    pool       how many random candidates are judged for a proposal
    proxies    cheap scores of an architecture by name, as `bench.proxies.proxy_evaluator` makes them; they should cost
               little beside an evaluation
    shortlist  how many candidates are judged with them
    """

    first: int = 8
    pool: int = 200
    proxies: Proxies | None = field(default=None, repr=False)
    shortlist: int = field(default=32, repr=False)
    _near: dict[Genome, list[Genome]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _kernels: dict[bool, tuple[bytes, Kernel]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _scores: Known = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_counts(self, "first", "pool", "shortlist")
        if self.proxies is not None and not callable(self.proxies):
            raise MetanetError(
                f"`proxies` must be a function of an architecture that returns scores by name, got {self.proxies!r}: "
                "`metanet.bench.proxies.proxy_evaluator` makes one"
            )

    def __str__(self) -> str:
        if self.proxies is None:
            return super().__str__()
        name = getattr(self.proxies, "fingerprint", getattr(self.proxies, "__qualname__", type(self.proxies).__name__))
        return f"{super().__str__()[:-1]}, proxies={name}, shortlist={self.shortlist})"

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """Random architectures first, then the most promising ones."""
        history = told(space, study)
        if len(history.rows) < self.first:
            return self.draws(space, slot)
        rows = self._promising(space, history, slot)
        return chain((space.decode(row) for row in rows), self.draws(space, slot))

    def _promising(self, space: SearchSpace[Any], history: Told, slot: int) -> list[Genome]:
        """OFFERED new architectures, or a shortlist more, the most promising first.

        On the shortlist of proxies are a quarter each of the most promising by genes and of random ones, then
        neighbours of the best of these.
        """
        mixed = _mixed(history.values, np.random.default_rng([self.seed, slot]))
        random = drawn(space, self.pool, self.constraints, [self.seed, slot])
        known = {tuple(row) for rows in (history.rows, history.failed, history.running) for row in rows.tolist()}
        code = code_of(space.genes)
        by_genes = self._learnt(Reading(code.bits, code.worth), history, mixed)
        order = self._climbed(space, history, by_genes, random, known)[:OFFERED]
        if self.proxies is None:
            return order
        by_both = self._learnt(self._beside(self.proxies, by_genes.reading, space, history), history, mixed)
        quarter = -(-self.shortlist // 4)
        few = [*order[:quarter], *[key for key in random if key not in known][:quarter]]
        few = by_both.ordered(list(dict.fromkeys(few)))
        near = dict.fromkeys(key for one in few[:CLIMBERS] for key in self._around(space, one))
        new = by_genes.ordered([key for key in near if key not in known and key not in few])
        return list(dict.fromkeys([*by_both.ordered([*few, *new[: max(0, self.shortlist - len(few))]]), *order]))

    def _climbed(
        self, space: SearchSpace[Any], history: Told, learnt: Learnt, random: list[Genome], known: set[Genome]
    ) -> list[Genome]:
        """New ones of random architectures, the neighbours of the best ones told, and those of the most promising of
        all these, the most promising first."""
        expected = learnt(history.rows)[0]
        pool = dict.fromkeys(random)
        for i in np.argsort(-expected, kind="stable")[:PARENTS]:
            pool |= dict.fromkeys(self._around(space, tuple(history.rows[i].tolist())))
        scores: dict[Genome, tuple[float, float]] = {}
        climbed: set[Genome] = set()
        for climb in range(CLIMBS + 1):
            new = [key for key in pool if key not in scores and key not in known]
            scores |= zip(new, learnt.judged(as_rows(new, len(space.genes))), strict=True)
            order = sorted(scores, key=lambda key: scores[key], reverse=True)
            for key in [key for key in order[:CLIMBERS] if key not in climbed] if climb < CLIMBS else ():
                climbed.add(key)
                pool |= dict.fromkeys(self._around(space, key))
        return order

    def _beside(self, proxies: Proxies, genes: Reading, space: SearchSpace[Any], history: Told) -> Reading:
        """Genes, and proxies standardised over what the kernel is fitted on."""
        scores = Scored(proxies, space, self._scores).standard(history.rows[: _fitted_on(history)])
        return Reading(lambda rows: np.hstack([genes.points(rows), scores(rows)]), genes.worth, scored=True)

    def _learnt(self, reading: Reading, history: Told, mixed: Floats) -> Learnt:
        rows = np.concatenate([history.rows, history.failed])
        values = np.concatenate([mixed, np.full(len(history.failed), mixed.min())])
        if len(rows) > MOST:
            keep = np.sort(np.argsort(-values, kind="stable")[:MOST])
            rows, values = rows[keep], values[keep]
        kernel = self._kernel(reading, history, mixed)
        points, even = reading.points(rows), warped(values)
        process = posterior(kernel, points, even)
        best = float(process(reading.points(history.rows))[0].max())
        if len(history.running):
            there = reading.points(history.running)
            believed = process(there)[0]
            process = posterior(kernel, np.concatenate([points, there]), np.concatenate([even, believed]))
        return Learnt(reading, process, best)

    def _around(self, space: SearchSpace[Any], key: Genome) -> list[Genome]:
        if len(self._near) > REMEMBERED:
            self._near.clear()
        found = self._near.get(key)
        if found is None:
            found = self._near[key] = neighbours(space, key, self.constraints)
        return found

    def _kernel(self, reading: Reading, history: Told, mixed: Floats) -> Kernel:
        """The kernel fitted on the oldest results; of each kind of reading the latest one is kept."""
        size = _fitted_on(history)
        rows, values = history.rows[:size], mixed[:size]
        key = rows.tobytes() + values.tobytes()
        if self._kernels.get(reading.scored, (b"",))[0] != key:
            self._kernels[reading.scored] = key, fitted(reading.points(rows), warped(values), reading.worth)
        return self._kernels[reading.scored][1]


def _fitted_on(history: Told) -> int:
    """How many of the results, the oldest ones, a kernel is fitted on."""
    return max([size for size in SIZES if size <= len(history.rows)], default=len(history.rows))


def _mixed(values: Floats, rng: np.random.Generator) -> Floats:
    """(n,) one number of several objectives (n, objectives), more is better: the augmented Chebyshev function."""
    if values.shape[1] == 1:
        return values[:, 0]
    low, high = values.min(0), values.max(0)
    lack = (high - values) / np.where(high > low, high - low, 1.0)
    weighted = lack * rng.dirichlet(np.ones(values.shape[1]))
    return np.asarray(-weighted.max(1) - SHARE * weighted.sum(1))
