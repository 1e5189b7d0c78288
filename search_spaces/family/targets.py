"""The ladder: totals of parameters and MACs that the members of a family are to have."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from metanet.errors import MetanetError


@dataclass(frozen=True)
class Target:
    """What a network is to cost, with a classifier of `num_classes` (0: none); MACs of None are free."""

    params: float
    macs: float | None = None
    num_classes: int = 0

    def __str__(self) -> str:
        """As "46,519,385 parameters and 4,178,543,219 MACs"."""
        macs = "" if self.macs is None else f" and {self.macs:,.0f} MACs"
        return f"{self.params:,.0f} parameters{macs}"

    def body(self, head_width: int) -> dict[str, float]:
        """The totals without the classifier, by metric."""
        found = {"params": self.params - (head_width + 1) * self.num_classes}
        if self.macs is not None:
            found["macs"] = self.macs - head_width * self.num_classes
        return found


def log_linear(points: Sequence[tuple[int, Target]]) -> dict[int, Target]:
    """A target for each whole position from the first point to the last: between two points the logarithms of
    parameters and MACs are linear in the position; at a point, its own.

    points   (position, target), by ascending positions

    >>> {i: round(t.params) for i, t in log_linear([(1, Target(100.0)), (3, Target(400.0))]).items()}
    {1: 100, 2: 200, 3: 400}
    """
    positions = [position for position, _ in points]
    if len(points) < 2 or any(a >= b for a, b in pairwise(positions)):
        raise MetanetError(f"a ladder needs at least two points at ascending positions, got positions {positions}")
    found = dict(points)
    for (low, a), (high, b) in pairwise(points):
        for position in range(low + 1, high):
            t = (position - low) / (high - low)
            macs = None if a.macs is None or b.macs is None else _between(a.macs, b.macs, t)
            found[position] = Target(_between(a.params, b.params, t), macs, a.num_classes)
    return dict(sorted(found.items()))


def _between(a: float, b: float, t: float) -> float:
    return math.exp((1 - t) * math.log(a) + t * math.log(b))
