"""A plain table of choices as a search space: tabular benchmarks, hyperparameters, anything that is no network.

table = ChoiceTable("cells", {"op": ("none", "conv"), "width": (8, 16)}, {"macs": {"op": (0, 9), "width": (1, 2)}})
search(table, lambda row: score(row["op"], row["width"]), constraints="macs <= 10")
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.trial import Trial

from metanet.errors import MetanetError
from metanet.search_spaces.constraints import Constraint, parse_constraints
from metanet.searchers.additive import Additive
from metanet.searchers.row import TableGene, TableRow
from metanet.searchers.table_costs import LISTED, Rows, TableCosts

BATCH = 2**12  # rows of a rejected draw
DRAWS = 2**20  # rows drawn before a request counts as one that nothing keeps
MIXES = 64  # of two parents, until one is feasible
KEPT = 4  # sets of constraints whose feasible rows are remembered
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class ChoiceTable:
    """Every combination of the choices of some genes.

    choices    values by name of the gene: texts, whole or real numbers, booleans or None
    costs      whole numbers by metric and gene, one a choice: a row costs their sum; genes left out cost nothing
    row_costs  whole numbers by metric and row (the tuple of its values), for every row: added to those of its choices

    Metrics are those of the language of constraints: macs, params, activations, memory (bytes), latency (nanoseconds).
    Rows are drawn uniformly from the feasible ones: up to 2^18 rows are listed; of more, the limit that the fewest keep
    is solved, and it is drawn until rows keep the others, too.
    """

    name: str
    choices: Mapping[str, Sequence[Any]]
    costs: Mapping[str, Mapping[str, Sequence[int]]] | None = None
    row_costs: Mapping[str, Mapping[tuple[Any, ...], int]] | None = None
    _costs: TableCosts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, values in self.choices.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise MetanetError(f"the choices of {name!r} must be several values, as (8, 16), got {values!r}")
        if not self.genes:
            raise MetanetError(f"the table {self.name!r} has no genes: give names with their choices")
        object.__setattr__(self, "_costs", TableCosts(self.name, self.genes, self.costs or {}, self.row_costs or {}))

    @cached_property
    def genes(self) -> tuple[TableGene, ...]:
        """The rows of the table, in the order in which they were given."""
        return tuple(TableGene(name, tuple(values)) for name, values in self.choices.items())

    @property
    def counts(self) -> tuple[int, ...]:
        """How many choices each gene has."""
        return self._costs.counts

    @property
    def size(self) -> int:
        """How many rows there are."""
        return math.prod(self.counts)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of genes, choices and costs."""
        rows = {m: {_text(list(row)): cost for row, cost in by.items()} for m, by in (self.row_costs or {}).items()}
        values = [[[gene.name, gene.choices] for gene in self.genes], self.costs, rows]
        return hashlib.sha256(_text(values).encode()).hexdigest()

    def sample(self, n: int, constraints: str | None = None, *, seed: int | Sequence[int]) -> list[TableRow]:
        """`n` rows, uniform over the feasible ones, with replacement. Raises MetanetError where there are none."""
        return self._rows(self.draw(n, constraints, np.random.default_rng(seed)))

    def draw(self, n: int, constraints: str | None, rng: np.random.Generator) -> Rows:
        """(n, genes) what `sample` draws, as positions."""
        if self.size <= LISTED:
            rows = self.allowed(constraints)
            return rows[rng.integers(len(rows), size=n)]
        return self._drawn(n, constraints, rng)

    def allowed(self, constraints: str | None = None) -> Rows:
        """(n, genes) all feasible rows, in lexical order. Raises MetanetError where there are none, or too many."""
        return self._remembered("allowed", constraints, self._list)

    def neighbours(self, row: Sequence[int] | Rows, constraints: str | None = None) -> Rows:
        """(n, genes) the feasible rows that differ from a row in one gene."""
        changed = np.repeat(np.arange(len(self.counts)), [count - 1 for count in self.counts])
        steps = np.concatenate([np.arange(1, count) for count in self.counts])
        rows = np.repeat(np.asarray(row, np.int64)[None], len(changed), axis=0)
        at = np.arange(len(changed)), changed
        rows[at] = (rows[at] + steps) % np.array(self.counts)[changed]
        return np.asarray(rows[self._keeps(rows, constraints)])

    def mutate(self, spec: TableRow, rng: np.random.Generator, constraints: str | None = None) -> TableRow:
        """A feasible row with one gene changed, uniform among these; where there is none any other feasible row."""
        rows = self.neighbours(spec.indices, constraints)
        if not len(rows) and self.size <= LISTED:
            rows = self.allowed(constraints)
        elif not len(rows):
            rows = self._drawn(MIXES, constraints, rng)
        rows = rows[(rows != np.array(spec.indices)).any(1)]
        if not len(rows):
            raise MetanetError(f"the table {self.name!r} holds a single row here: there is nothing to mutate into")
        return self._rows(rows[rng.integers(len(rows), size=1)])[0]

    def crossover(self, a: TableRow, b: TableRow, rng: np.random.Generator, constraints: str | None = None) -> TableRow:
        """Each gene of either parent, with equal chances, drawn until the row is feasible; else `a`."""
        picks = rng.integers(0, 2, size=(MIXES, len(self.counts))).astype(bool)
        rows = np.where(picks, a.indices, b.indices)
        keep = np.flatnonzero(self._keeps(rows, constraints))
        return self._rows(rows[keep[:1]])[0] if len(keep) else a

    def encode(self, spec: TableRow) -> Rows:
        """Position of the choice of each gene, (genes,)."""
        return np.array(spec.indices, np.int64)

    def decode(self, row: Sequence[int] | Rows, /) -> TableRow:
        """The row of these positions. Raises MetanetError where a gene has no such choice."""
        indices = np.asarray(row, np.int64)
        if indices.shape != (len(self.counts),) or ((indices < 0) | (indices >= self.counts)).any():
            raise MetanetError(
                f"a row of {self.name!r} is one position a gene, each below {self.counts}, got {indices.tolist()}"
            )
        return self._rows(indices[None])[0]

    def contains(self, spec: TableRow) -> bool:
        """Whether its positions and values are those of this table."""
        inside = len(spec.indices) == len(self.counts) and all(
            0 <= index < count for index, count in zip(spec.indices, self.counts, strict=True)
        )
        return inside and dict(self.decode(spec.indices).values) == dict(spec.values)

    def feasible(self, spec: TableRow, constraints: str | None) -> bool:
        """Whether a row keeps the constraints."""
        return bool(self._keeps(self.encode(spec)[None], constraints)[0])

    def price(self, spec: TableRow) -> dict[str, int]:
        """Each cost that the table has."""
        return {metric: int(value[0]) for metric, value in self.priced(self.encode(spec)[None]).items()}

    def priced(self, rows: Rows) -> dict[str, Rows]:
        """(n,) each cost of rows (n, genes)."""
        return self._costs.priced(rows)

    def distributions(self) -> dict[str, CategoricalDistribution]:
        """Every gene that has a choice, as Optuna knows it."""
        return {gene.name: CategoricalDistribution(gene.choices) for gene in self.genes if len(gene.choices) > 1}

    def suggest(self, trial: Trial) -> TableRow:
        """Asks an Optuna trial for every gene; the row may be infeasible."""
        picked = [
            gene.choices.index(trial.suggest_categorical(gene.name, gene.choices)) if len(gene.choices) > 1 else 0
            for gene in self.genes
        ]
        return self.decode(picked)

    def _rows(self, rows: Rows) -> list[TableRow]:
        return [
            TableRow(tuple(row), {gene.name: gene.choices[i] for gene, i in zip(self.genes, row, strict=True)})
            for row in rows.tolist()
        ]

    @cached_property
    def _listed(self) -> Rows:
        if self.size > LISTED:
            raise MetanetError(
                f"the table {self.name!r} has {self.size:,} rows, which is more than the {LISTED:,} that are listed: "
                "take `sample`"
            )
        return np.stack(np.unravel_index(np.arange(self.size), self.counts), axis=1).astype(np.int64)

    @property
    def _none(self) -> Rows:
        return np.zeros((0, len(self.counts)), np.int64)

    def _keeps(self, rows: Rows, constraints: str | None) -> NDArray[np.bool_]:
        """(n,) which rows keep the constraints."""
        return self._costs.keeps(rows, parse_constraints(constraints))

    def _drawn(self, n: int, constraints: str | None, rng: np.random.Generator) -> Rows:
        """(n, genes) rows of a large table: drawn by the rule that fewest keep, until so many keep the others, too."""
        rules, solved = parse_constraints(constraints), self._remembered("solved", constraints, self._solve)
        found: list[Rows] = []
        have = tried = 0
        while have < n:
            if solved is None:
                rows = np.stack([rng.integers(count, size=BATCH) for count in self.counts], axis=1)
            else:
                rows = solved.draw(BATCH, rng)
            found.append(rows[self._costs.keeps(rows, rules)])
            have, tried = have + len(found[-1]), tried + BATCH
            if not have and tried >= DRAWS:
                raise self._nothing(rules)
        return np.concatenate([self._none, *found])[:n]

    def _list(self, rules: Sequence[Constraint]) -> Rows:
        rows = self._listed[self._costs.keeps(self._listed, rules)]
        if not len(rows):
            raise self._nothing(rules)
        return rows

    def _solve(self, rules: Sequence[Constraint]) -> Additive | None:
        """The rows that keep the rule that fewest keep; None without rules."""
        self._costs.keeps(self._none, rules)  # says where it has no such cost
        return min(map(self._costs.solved, rules), key=lambda one: one.share, default=None)

    def _remembered(self, what: str, constraints: str | None, find: Callable[[Sequence[Constraint]], Found]) -> Found:
        """What `find` makes of constraints: solving them takes longer than drawing, and each draw asks."""
        known: dict[str | None, Found] = self.__dict__.setdefault(f"_{what}", {})
        if constraints not in known:
            found = find(parse_constraints(constraints))
            if len(known) >= KEPT:
                known.pop(next(iter(known)), None)
            known[constraints] = found
        return known[constraints]

    def _nothing(self, rules: Sequence[Constraint]) -> MetanetError:
        """Says what could be attained: the nearest value of a rule that nothing keeps, else that rules collide."""
        asked = ", ".join(map(str, rules))
        for rule in rules if self.size <= LISTED else ():
            values = self.priced(self._listed)[rule.metric]
            away = np.maximum(np.maximum(rule.low - values, values - rule.high), 0)
            if away.min() > 0:
                near = f"the nearest has {int(values[away.argmin()]):_}"
                return MetanetError(f"no row of the table {self.name!r} keeps {rule}: {near}")
        how = "" if self.size <= LISTED else f" of {DRAWS:,} that were drawn"
        return MetanetError(f"no row of the table {self.name!r}{how} keeps {asked} at once: loosen one of them")


def _text(value: Any) -> str:
    return json.dumps(value, default=_plain, sort_keys=True)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else list(value)  # of arrays and of their numbers
