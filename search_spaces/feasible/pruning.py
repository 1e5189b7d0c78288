"""Options that no feasible path takes, found exactly: the cheapest and the dearest path through each option.

What is left makes the windows of costs narrower, the bins of `chains` and `planes` finer, and shows many impossible
requests to be impossible before anything is drawn.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.int64]
Mask = NDArray[np.bool_]

FAR = 2**60  # no cost; sums of a few stay within 64 bits


def through(costs: Sequence[Costs], allowed: Sequence[Mask], sign: int) -> list[Costs]:
    """For each layer (before, behind, options): the least (sign 1) or the greatest (-1) cost of a path through each
    option, over paths of allowed options; sign * FAR or beyond where there is none."""
    pick: Callable[..., Any] = np.min if sign > 0 else np.max
    own = [np.where(ok, cost, sign * FAR) for cost, ok in zip(costs, allowed, strict=True)]
    best = [pick(layer, axis=2) for layer in own]  # between each two states
    ahead, behind = [np.zeros(best[0].shape[0], dtype=np.int64)], [np.zeros(best[-1].shape[1], dtype=np.int64)]
    for layer in best:
        ahead.append(_capped(pick(ahead[-1][:, None] + layer, axis=0)))
    for layer in reversed(best):
        behind.insert(0, _capped(pick(layer + behind[0][None, :], axis=1)))
    return [
        before[:, None, None] + layer + after[None, :, None]
        for before, layer, after in zip(ahead[:-1], own, behind[1:], strict=True)
    ]


def _capped(values: Any) -> Costs:
    return np.asarray(np.clip(values, -FAR, FAR))


def pruned(costs: Sequence[Costs], allowed: Sequence[Mask], low: float, high: float) -> list[Mask]:
    """The allowed options without those that no path with a cost in [low, high] takes."""
    least, most = through(costs, allowed, 1), through(costs, allowed, -1)
    return [
        ok & (few <= min(high, FAR - 1)) & (many >= max(low, 1 - FAR))
        for ok, few, many in zip(allowed, least, most, strict=True)
    ]


def reach(costs: Sequence[Costs], allowed: Sequence[Mask]) -> tuple[int, int] | None:
    """The least and the greatest cost of a path of allowed options; None where there is no path."""
    low = int(min(layer.min() for layer in through(costs, allowed, 1)[:1]))
    high = int(max(layer.max() for layer in through(costs, allowed, -1)[:1]))
    return (low, high) if low < FAR // 2 and high > -FAR // 2 else None
