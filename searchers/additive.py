"""Rows of a table that keep a limit on a cost which is a sum over their choices, drawn without waiting for them.

How many rows end within a limit is a recursion over the genes, and a row is drawn gene by gene with the chances that it
gives. It counts costs in units of about a `UNITS`th of their range, rounded down, and so lets a few rows more through:
whoever draws drops them, and what is left is uniform over the rows that keep the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

UNITS = 2**12  # that a range of costs is cut into at most


@dataclass(frozen=True)
class Additive:
    """A limit on a sum of costs.

    units   of each gene the cost of its choices, (choices,), in units above the least
    chance  before each gene and after the last, by the units so far: that choices at random end within the limit
    """

    units: Sequence[Rows]
    chance: Sequence[NDArray[np.float64]]

    @property
    def empty(self) -> bool:
        """Whether no row keeps the limit."""
        return not self.chance[0][0] > 0

    @property
    def share(self) -> float:
        """Of all rows those that keep it, and the few that the units let through."""
        return float(self.chance[0][0])

    def draw(self, n: int, rng: np.random.Generator) -> Rows:
        """(n, genes) rows, uniform over those that keep the limit and the few that the units let through."""
        so_far, columns = np.zeros(n, np.int64), []
        for units, after in zip(self.units, self.chance[1:], strict=True):
            chances = after[so_far[:, None] + units].cumsum(axis=1)
            picked = (rng.random((n, 1)) * chances[:, -1:] >= chances).sum(axis=1)
            columns.append(picked)
            so_far = so_far + units[picked]
        return np.stack(columns, axis=1)


def additive(costs: Sequence[Rows], low: float, high: float) -> Additive:
    """The rows whose costs, of each gene (choices,), add up to at least `low` and at most `high`."""
    least = sum(int(own.min()) for own in costs)
    above = [own - own.min() for own in costs]
    unit = max(1, -(-sum(int(own.max()) for own in above) // UNITS))
    units = [own // unit for own in above]
    sums = np.arange(sum(int(own.max()) for own in units) + 1) * unit
    lost = len(costs) * (unit - 1)  # at most, by rounding down
    chance = [((sums + least <= high) & (sums + least + lost >= low)).astype(float)]
    for own in reversed(units):
        after = np.concatenate([chance[0], np.zeros(int(own.max()))])
        chance.insert(0, np.mean([after[step : step + len(sums)] for step in own.tolist()], axis=0))
    return Additive(units, chance)
