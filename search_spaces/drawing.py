"""Drawing and changing architectures under constraints: vectorised rejection with a bounded number of tries."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metanet.errors import MetanetError
from metanet.search_spaces.constraints import Constraint
from metanet.search_spaces.counting import inert_columns
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from metanet.search_spaces.space import Indices, Space

CHUNK = 16_384  # rows priced at once at most: the tables and the chunk stay in cache
MAX_DRAWS = 4_000_000
MAX_MUTATIONS = 2_000


def sample(space: "Space", n: int, rules: tuple[Constraint, ...], rng: np.random.Generator) -> list[ArchSpec]:
    """`n` feasible architectures. Raises MetanetError at once where a single rule is unsatisfiable, and after
    MAX_DRAWS draws where too few were found."""
    if n < 0:
        raise MetanetError(f"the number of architectures to draw must be 0 or more, got {n}")
    check_attainable(space, rules)
    found: list[NDArray[np.int64]] = []
    missing, drawn = n, 0
    while missing > 0:
        if drawn >= MAX_DRAWS:
            raise _too_rare(space, rules, n - missing, drawn, rng)
        rows = draw(space, min(CHUNK, max(64, 2 * missing, drawn)), rng)  # chunks grow while little is found
        drawn += len(rows)
        found.append(rows[feasible_rows(space, rows, rules)][:missing])
        missing -= len(found[-1])
    return [space.decode(row) for rows in found for row in rows]


def draw(space: "Space", n: int, rng: np.random.Generator) -> "Indices":
    """`n` canonical rows, each gene uniform over its choices before genes without effect are set to 0."""
    counts = [len(gene.choices) for gene in space.genes]
    return space.canonical(rng.integers(0, counts, size=(n, len(counts))))


def feasible_rows(space: "Space", rows: "Indices", rules: tuple[Constraint, ...]) -> NDArray[np.bool_]:
    """(n,) which rows satisfy every rule."""
    ok = np.ones(len(rows), dtype=bool)
    if rules:
        costs = space.table(rows)
        for rule in rules:
            ok &= (costs[rule.metric] >= rule.low) & (costs[rule.metric] <= rule.high)
    return ok


def check_attainable(space: "Space", rules: tuple[Constraint, ...]) -> None:
    """Raises MetanetError, naming the nearest attainable value, where a rule lies outside the space's extremes."""
    for rule in rules:
        low, high = space.table.extremes(rule.metric)
        if rule.high < low or rule.low > high:
            nearest = low if rule.high < low else high
            raise MetanetError(
                f"no architecture of {space.name} satisfies {rule}: the nearest attainable value is {nearest:,} "
                f"(the space reaches from {low:,} to {high:,})"
            )


def _too_rare(
    space: "Space", rules: tuple[Constraint, ...], found: int, drawn: int, rng: np.random.Generator
) -> MetanetError:
    costs = space.table(draw(space, CHUNK, rng))
    middle = ", ".join(f"{rule.metric} {np.median(costs[rule.metric]):,.0f}" for rule in rules)
    return MetanetError(
        f"only {found} of {drawn:,} drawn architectures of {space.name} satisfy {', '.join(map(str, rules))}: widen "
        f"the constraints (half of the space lies below {middle})"
    )


def mutate(space: "Space", spec: ArchSpec, rng: np.random.Generator, rules: tuple[Constraint, ...]) -> ArchSpec:
    """A feasible architecture that differs in one effective gene; in one more after each hundred infeasible tries."""
    parent = space.encode(spec)
    free = [i for i, gene in enumerate(space.genes) if len(gene.choices) > 1]
    if not free:
        raise MetanetError(f"space {space.name} holds a single architecture: there is nothing to mutate")
    for tries in range(MAX_MUTATIONS):
        child = _fill_inert(space, spec, rng)
        for i in rng.choice(free, size=min(len(free), 1 + tries // 100), replace=False):
            child[i] = (child[i] + rng.integers(1, len(space.genes[i].choices))) % len(space.genes[i].choices)
        row = space.canonical(child[None])
        if not np.array_equal(row[0], parent) and feasible_rows(space, row, rules)[0]:
            return space.decode(row[0])
    raise MetanetError(
        f"no feasible neighbour of {spec.id} in {MAX_MUTATIONS} tries under {', '.join(map(str, rules))}: widen them"
    )


def crossover(
    space: "Space", a: ArchSpec, b: ArchSpec, rng: np.random.Generator, rules: tuple[Constraint, ...]
) -> ArchSpec:
    """A feasible mix of two architectures' genes, or the first parent where a hundred mixes are infeasible."""
    rows = np.stack([_fill_inert(space, parent, rng) for parent in (a, b)])
    picks = rng.integers(0, 2, size=(100, rows.shape[1]))
    mixes = space.canonical(np.take_along_axis(rows, picks, axis=0))
    ok = np.flatnonzero(feasible_rows(space, mixes, rules))
    return space.decode(mixes[ok[0]]) if len(ok) else a


def _fill_inert(space: "Space", spec: ArchSpec, rng: np.random.Generator) -> "Indices":
    """The row of a spec with its genes without effect drawn anew, so that a change of op does not always bring their
    first choice."""
    row = space.encode(spec)
    for i in inert_columns(space, spec):
        row[i] = rng.integers(0, len(space.genes[i].choices))
    return row
