"""The architecture nearest to wished costs, the ends of a cost under constraints, and which rule is in the way.

Small spaces are enumerated: what is found there is the nearest. In large ones it is a witness: the best of many draws
near the wish, improved by changes of single genes until none helps. Architectures there are so dense that the deviation
is far below a per mille; it is returned, and so is whether it is proven.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metanet.errors import MetanetError
from metanet.search_spaces.choices import Indices
from metanet.search_spaces.constraints import Constraint, window
from metanet.search_spaces.feasible.counting import ENUMERABLE, all_rows
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from metanet.search_spaces.feasible.sampler import FeasibleSampler
    from metanet.search_spaces.space import Space

Distance = Callable[[Mapping[str, NDArray[np.int64]]], NDArray[np.float64]]

WINDOWS = (0.003, 0.02, 0.1, 0.5)  # relative windows around the wish that are tried, the narrowest first
DRAWS, STARTS, STEPS = 8_192, 8, 100


@dataclass(frozen=True)
class Found:
    """An architecture near a wish.

    costs       its costs by metric
    deviation   the largest relative deviation from the wished costs
    proven      whether no other architecture is nearer
    """

    spec: ArchSpec
    costs: Mapping[str, int]
    deviation: float
    proven: bool


def nearest(space: "Space", wish: Mapping[str, float], rules: tuple[Constraint, ...] = ()) -> Found:
    """The feasible architecture with the least of the largest relative deviation from the wish; see `Space.nearest`."""
    if not wish:
        raise MetanetError("nearest needs at least one wished cost, such as macs=3e9")
    for metric, value in wish.items():
        Constraint(metric)  # refuses an unknown metric
        if not value > 0:
            raise MetanetError(f"a wished cost must be above 0, got {metric}={value}")

    def far(costs: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
        return np.asarray(np.max([np.abs(costs[metric] / value - 1) for metric, value in wish.items()], axis=0))

    if space.size <= ENUMERABLE:
        row = _best_of_all(space, rules, tuple(wish), far)
    else:
        row = _polished(space, _start(space, wish, rules), tuple(wish), far)
    spec = space.specs(row[None])[0]
    deviation = float(far(space.table(row[None], tuple(wish)))[0])
    return Found(spec, space.price(spec), deviation, space.size <= ENUMERABLE or deviation == 0.0)


def extreme(space: "Space", metric: str, rules: tuple[Constraint, ...], sign: int) -> Found:
    """The cheapest (sign 1) or dearest (-1) feasible architecture; proven where no rule is given, or by enumeration.

    The deviation is that from the end of the whole space, or from the end of the rule on this metric.
    """
    Constraint(metric)
    ends = window(rules, metric, *space.table.extremes(metric))
    return nearest(space, {metric: ends[0] if sign > 0 else ends[1]}, rules)


def _best_of_all(space: "Space", rules: tuple[Constraint, ...], metrics: tuple[str, ...], far: Distance) -> Indices:
    sampler = space.sampler(rules)
    best: tuple[float, Indices] | None = None
    for rows in all_rows(space):
        kept = rows[sampler.satisfies(rows)]
        if len(kept):
            distance = far(space.table(kept, metrics))
            at = int(distance.argmin())
            if best is None or distance[at] < best[0]:
                best = float(distance[at]), kept[at]
    assert best is not None  # the sampler has found one
    return best[1]


def _start(
    space: "Space", wish: Mapping[str, float], rules: tuple[Constraint, ...]
) -> "tuple[Indices, FeasibleSampler]":
    """Feasible rows in the narrowest window around the wish that holds any; the sampler of the rules."""
    sampler = space.sampler(rules)
    for share in WINDOWS:
        around = [Constraint(metric, value * (1 - share), value * (1 + share)) for metric, value in wish.items()]
        if (rows := drawn(space, (*rules, *around), DRAWS)) is not None:
            return rows, sampler
    return sampler.draw(DRAWS, np.random.default_rng(0)), sampler


def drawn(space: "Space", rules: tuple[Constraint, ...], n: int) -> Indices | None:
    """What `n` tries find under the rules; None for nothing."""
    from metanet.search_spaces.feasible.sampler import FeasibleSampler

    sampler = FeasibleSampler.unchecked(space, rules)
    if sampler is None:
        return None
    rows = sampler.attempt(n, np.random.default_rng(0))
    return rows if len(rows) else None


def _polished(
    space: "Space", start: "tuple[Indices, FeasibleSampler]", metrics: tuple[str, ...], far: Distance
) -> Indices:
    """The best of rows after changes of single genes, from the nearest few of them."""
    from metanet.search_spaces.variation import feasible_neighbours

    rows, sampler = start
    ranked = rows[np.argsort(far(space.table(rows, metrics)), kind="stable")[:STARTS]]
    ends = []
    for row in ranked:
        here, distance = row, far(space.table(row[None], metrics))[0]
        for _ in range(STEPS):
            near = feasible_neighbours(space, here, sampler)
            distances = far(space.table(near, metrics)) if len(near) else np.full(1, np.inf)
            if distances.min() >= distance:
                break
            here, distance = near[distances.argmin()], distances.min()
        ends.append((float(distance), here))
    return np.asarray(min(ends, key=lambda end: end[0])[1])


def in_the_way(space: "Space", rules: tuple[Constraint, ...]) -> list[str]:
    """For each rule that stands in the way of the others, how near to it the architectures get that satisfy those."""
    found = []
    for i, rule in enumerate(rules):
        others = rules[:i] + rules[i + 1 :]
        if not others or (rows := drawn(space, others, DRAWS // 2)) is None:
            continue

        def far(costs: Mapping[str, NDArray[np.int64]], rule: Constraint = rule) -> NDArray[np.float64]:
            value = costs[rule.metric].astype(float)
            return np.maximum(0.0, np.maximum(value - rule.high, rule.low - value))

        row = _polished(space, (rows, space.sampler(others)), (rule.metric,), far)
        value = int(space.table(row[None], (rule.metric,))[rule.metric][0])
        found.append(f"with {' and '.join(map(str, others))} the nearest {rule.metric} found is {value:,}")
    return found
