"""What the rows of a table of choices cost: sums over their choices, numbers of whole rows; and which keep a limit."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metanet.errors import MetanetError, unknown
from metanet.search_spaces.constraints import METRICS, Constraint
from metanet.searchers.additive import Additive, additive
from metanet.searchers.row import TableGene, check_costs

Rows = NDArray[np.int64]

LISTED = 2**18  # rows of a table that are listed and priced at once; larger tables are drawn from


@dataclass(frozen=True, eq=False)
class TableCosts:
    """The costs of a table.

    table    its name, for messages
    choices  whole numbers by metric and gene, one a choice
    rows     whole numbers by metric and row (the tuple of its values)
    """

    table: str
    genes: tuple[TableGene, ...]
    choices: Mapping[str, Mapping[str, Sequence[int]]]
    rows: Mapping[str, Mapping[tuple[Any, ...], int]]

    def __post_init__(self) -> None:
        for metric in (*self.choices, *self.rows):
            if metric not in METRICS:
                raise unknown(f"cost of the table {self.table!r}", metric, METRICS)
        for metric, parts in self.choices.items():
            self._check_choices(metric, parts)
        for metric, by_row in self.rows.items():
            self._check_rows(metric, by_row)

    def _check_choices(self, metric: str, parts: Mapping[str, Sequence[int]]) -> None:
        sizes = {gene.name: len(gene.choices) for gene in self.genes}
        for name, values in parts.items():
            if name not in sizes:
                raise unknown(f"gene in the {metric} of the table {self.table!r}", name, sizes)
            check_costs(metric, values)
            if len(values) != sizes[name]:
                raise MetanetError(
                    f"the {metric} of {name!r} must be one number a choice, got {len(values)} for {sizes[name]} choices"
                )

    def _check_rows(self, metric: str, by_row: Mapping[tuple[Any, ...], int]) -> None:
        if (size := math.prod(self.counts)) > LISTED:
            raise MetanetError(
                f"the {metric} of whole rows can be given for up to {LISTED:,} rows, the table {self.table!r} has "
                f"{size:,}: give costs by choice"
            )
        check_costs(metric, by_row.values())
        missing = next((key for key in self._keys() if key not in by_row), None)
        if missing is not None:
            raise MetanetError(f"the {metric} of rows must be given for every row, got none for {missing}")

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many choices each gene has."""
        return tuple(len(gene.choices) for gene in self.genes)

    def priced(self, rows: Rows) -> dict[str, Rows]:
        """(n,) each cost of rows (n, genes)."""
        found = {metric: np.zeros(len(rows), np.int64) for metric in (*self.choices, *self.rows)}
        for metric, parts in self.choices.items():
            for column, gene in enumerate(self.genes):
                if gene.name in parts:
                    found[metric] += np.array(parts[gene.name], np.int64)[rows[:, column]]
        for metric, values in self._listed.items():
            found[metric] += values[np.ravel_multi_index(tuple(rows.T), self.counts)]
        return found

    def keeps(self, rows: Rows, rules: Sequence[Constraint]) -> NDArray[np.bool_]:
        """(n,) which rows keep all rules. Raises MetanetError for a rule on what the table has no cost of."""
        costs = self.priced(rows) if rules else {}
        for rule in rules:
            if rule.metric not in costs:
                has = f"has {', '.join(costs)}" if costs else "has no costs"
                raise MetanetError(f"the table {self.table!r} has no {rule.metric} to constrain: it {has}")
        keep = np.ones(len(rows), bool)
        for rule in rules:
            keep &= (costs[rule.metric] >= rule.low) & (costs[rule.metric] <= rule.high)
        return keep

    def solved(self, rule: Constraint) -> Additive:
        """The rows that keep a rule on a sum over choices. Raises MetanetError where there are none."""
        parts = self.choices.get(rule.metric, {})
        costs = [np.array(parts.get(gene.name, np.zeros(len(gene.choices))), np.int64) for gene in self.genes]
        found = additive(costs, rule.low, rule.high)
        if found.empty:
            least, most = (sum(int(end(own)) for own in costs) for end in (np.min, np.max))
            raise MetanetError(f"no row of the table {self.table!r} keeps {rule}: they have {least:_} to {most:_}")
        return found

    @cached_property
    def _listed(self) -> dict[str, Rows]:
        """(size,) each cost of whole rows, in lexical order."""
        return {m: np.array([by_row[key] for key in self._keys()], np.int64) for m, by_row in self.rows.items()}

    def _keys(self) -> Iterator[tuple[Any, ...]]:
        return product(*(gene.choices for gene in self.genes))
