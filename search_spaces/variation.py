"""Changing architectures: mutation, crossover and repair, feasible by construction.

All neighbours are enumerated as rows and priced at once, so that what is chosen is chosen among the feasible ones. Now
and then a mutation is a fresh draw: every feasible architecture keeps a positive probability.
"""

from typing import TYPE_CHECKING

import numpy as np

from metanet.errors import MetanetError
from metanet.search_spaces.choices import OPTION_GENES, Indices, Mask

if TYPE_CHECKING:
    from metanet.search_spaces.feasible.sampler import FeasibleSampler
    from metanet.search_spaces.space import Space

JUMP = 0.02  # share of mutations that are fresh draws
MIXES = 64  # of a crossover: so many by gene, and so many by stage
WIDER = (2, 3, 4, 6)  # genes that change together where no single one can
TRIES = 512  # changes of several genes at a time
REPAIRS = 64  # steps of a repair before it falls back on fresh draws
DRAWS = 2_048  # of which a repair takes the nearest


def mutate(space: "Space", row: Indices, sampler: "FeasibleSampler", rng: np.random.Generator) -> Indices:
    """A feasible row that differs from `row` in one effective gene, in more only where one does not suffice.

    The gene is uniform among those that can change, then its value. Raises MetanetError where there is no other row.
    """
    if rng.random() >= JUMP:
        filled = _filled(space, row, rng)
        changed, rows = _neighbours(space, filled)
        ok = _new(space, rows, row, sampler)
        if ok.any():
            gene = rng.choice(np.unique(changed[ok]))
            return np.asarray(space.canonical(rows)[rng.choice(np.flatnonzero(ok & (changed == gene)))])
        for genes in WIDER:
            rows = _changed(space, filled, genes, rng)
            ok = _new(space, rows, row, sampler)
            if ok.any():
                return np.asarray(space.canonical(rows)[rng.choice(np.flatnonzero(ok))])
    for n in (1, 8, 64, 512):
        for drawn in sampler.draw(n, rng):
            if not np.array_equal(drawn, row):
                return np.asarray(drawn)
    raise MetanetError(f"space {space.name} holds a single architecture here: there is nothing to mutate into")


def crossover(space: "Space", a: Indices, b: Indices, sampler: "FeasibleSampler", rng: np.random.Generator) -> Indices:
    """A feasible mix of two rows, uniform among distinct mixes by gene and by stage; `a` where there is no other."""
    parents = np.stack([_filled(space, a, rng), _filled(space, b, rng)])
    by_gene = rng.integers(0, 2, size=(MIXES, len(a)))
    owner = np.array([gene.name.partition(".")[0] for gene in space.genes])
    _, group = np.unique(owner, return_inverse=True)
    by_stage = rng.integers(0, 2, size=(MIXES, group.max() + 1))[:, group]
    picks = np.concatenate([by_gene, by_stage])
    rows = np.unique(space.canonical(np.take_along_axis(parents, picks, axis=0)), axis=0)
    ok = space.valid(rows) & (rows != a).any(1) & (rows != b).any(1)
    ok[ok] = sampler.satisfies(rows[ok])
    return np.asarray(rows[rng.choice(np.flatnonzero(ok))]) if ok.any() else a


def repair(space: "Space", row: Indices, sampler: "FeasibleSampler") -> Indices:
    """The row itself where it is feasible; otherwise a feasible one near it, the same for equal rows.

    Changes the single gene that lowers the violation most, again and again; where that ends before it is feasible,
    takes of DRAWS uniform feasible rows the one with the fewest changed genes.
    """
    here = np.asarray(row, dtype=np.int64)
    for _ in range(REPAIRS):
        violation = _violation(space, here[None], sampler)[0]
        if violation == 0:
            return np.asarray(space.canonical(here[None])[0])
        _, rows = _neighbours(space, here)
        violations = _violation(space, rows, sampler)
        best = int(np.argmin(violations))
        if violations[best] >= violation:
            break
        here = rows[best]
    rows = sampler.draw(DRAWS, np.random.default_rng([int(i) for i in row]))
    return np.asarray(rows[np.argmin((rows != space.canonical(np.asarray(row)[None])).sum(1))])


def _violation(space: "Space", rows: Indices, sampler: "FeasibleSampler") -> np.ndarray:
    """(n,) how far rows are from keeping the rules, as a sum of logarithms; rows that cannot be built are farthest."""
    valid = space.valid(rows)
    total = np.where(valid, 0.0, 1e3 + space.faults(rows))
    if sampler.rules and valid.any():
        costs = space.table(rows[valid], tuple(dict.fromkeys(rule.metric for rule in sampler.rules)))
        for rule in sampler.rules:
            value = costs[rule.metric].astype(float)
            over, under = np.log(value / max(rule.high, 1.0)), np.log(max(rule.low, 1e-9) / value)
            total[valid] += np.maximum(0.0, over) + np.maximum(0.0, under)
    return total


def feasible_neighbours(space: "Space", row: Indices, sampler: "FeasibleSampler") -> Indices:
    """(n, genes) the canonical, feasible rows that differ from a canonical row in one gene."""
    rows = _neighbours(space, row)[1]
    return np.asarray(space.canonical(rows[_new(space, rows, row, sampler)]))


def _new(space: "Space", rows: Indices, row: Indices, sampler: "FeasibleSampler") -> Mask:
    """(n,) which rows are feasible and other architectures than `row`."""
    ok = space.valid(rows)
    ok[ok] = (space.canonical(rows[ok]) != row).any(1)
    ok[ok] = sampler.satisfies(rows[ok])
    return ok


def _neighbours(space: "Space", row: Indices) -> tuple[Indices, Indices]:
    """(n,) and (n, genes): which gene was changed, and the rows with it changed to each other choice."""
    counts = [len(gene.choices) for gene in space.genes]
    changed = np.repeat(np.arange(len(counts)), [count - 1 for count in counts])
    rows = np.repeat(row[None], len(changed), axis=0)
    values = np.concatenate([np.arange(1, count) for count in counts])
    rows[np.arange(len(changed)), changed] = (row[changed] + values) % np.array(counts)[changed]
    return changed, rows


def _changed(space: "Space", row: Indices, genes: int, rng: np.random.Generator) -> Indices:
    """(TRIES, genes) rows with some genes changed to other choices."""
    counts = np.array([len(gene.choices) for gene in space.genes])
    free = np.flatnonzero(counts > 1)
    rows = np.repeat(row[None], TRIES, axis=0)
    for _ in range(min(genes, len(free))):
        at = rng.choice(free, size=TRIES)
        rows[np.arange(TRIES), at] = (rows[np.arange(TRIES), at] + rng.integers(1, counts[at])) % counts[at]
    return rows


def _filled(space: "Space", row: Indices, rng: np.random.Generator) -> Indices:
    """The same architecture with its genes without effect drawn anew, so that a change of op does not always bring
    their first choice."""
    filled = np.array(row)
    for i, options in enumerate(space.options):
        for gene in OPTION_GENES:
            at = space.column[f"stage{i}.{gene}"]
            tried = np.repeat(filled[None], len(options.choices[gene]), axis=0)
            tried[:, at] = np.arange(len(tried))
            same = np.flatnonzero((space.canonical(tried) == row).all(1))
            filled[at] = rng.choice(same)
    return filled
