"""The network of a rung: of all that are within tolerance of a target, the one nearest to the rule's shape."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from metanet.cost import price
from metanet.errors import MetanetError
from metanet.search_spaces.choices import Indices
from metanet.search_spaces.constraints import Constraint
from metanet.search_spaces.family.neighbourhood import UNIT, Bounds, around, distance_of, distances
from metanet.search_spaces.family.rule import Coefficients, Path, coefficients
from metanet.search_spaces.family.targets import Target
from metanet.search_spaces.feasible.enumeration import Distance, feasible_rows
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec

TOLERANCE = 0.01
REACH = (1.25, 1.6, 2.5)  # how far from the shape networks are looked for, as factors, the nearest first
LIMITS = tuple(0.01 * 2 ** (k / 2) for k in range(30))  # squared distances, tried in turn


@dataclass(frozen=True)
class Rung:
    """A network of a family.

    costs          its totals, counted as those of the target
    deviation      the largest relative deviation from the target
    distance       from the shape: the root of the sum of squares that the rule tells of
    coefficients   the shape that the rule asks for
    """

    spec: ArchSpec
    target: Target
    costs: dict[str, int]
    deviation: float
    distance: float
    coefficients: Coefficients


@dataclass(frozen=True)
class Chosen:
    """A network of a family that an evaluator chose among those near a target.

    costs      its totals, counted as those of the target
    deviation  the largest relative deviation from the target
    metrics    what the evaluator returned for it, by name
    """

    spec: ArchSpec
    target: Target
    costs: dict[str, int]
    deviation: float
    metrics: Mapping[str, float]


def climb(path: Path, targets: Iterable[Target], *, tolerance: float = TOLERANCE) -> Iterator[Rung]:
    """The networks for targets, from the small anchor on; each is bounded by the one before and by the large anchor.

    From one anchor targets may also descend, each below the one before. Raises MetanetError, as `rung`, where a target
    cannot be met.
    """
    before, last = path.small, price(path.small).params
    for target in targets:
        down = path.large is None and target.body(path.small.head_width)["params"] < last
        found = rung(path, target, (None, before) if down else (before, path.large), tolerance=tolerance)
        yield found
        before, last = found.spec, price(found.spec).params


def rung(path: Path, target: Target, bounds: Bounds = (None, None), *, tolerance: float = TOLERANCE) -> Rung:
    """The network for a target by the rule (`metanet.search_spaces.family.rule`).

    bounds      networks that every stage is to be at least and at most as deep and as wide as
    tolerance   how far from the target its totals may be, as a share

    Raises MetanetError, naming the nearest attainable totals and what is in the way, where there is none.
    """
    if not 0 < tolerance < 1:
        raise MetanetError(f"the tolerance must be above 0 and below 1, got {tolerance}")
    found = coefficients(path, target)
    rules = near(target, tolerance, path.small.head_width)
    for reach in REACH:
        space = around(path, found, reach, bounds)
        try:
            row, squared = _nearest(space, rules, path, found, target)
        except MetanetError:
            if reach == REACH[-1]:
                raise
        else:
            return _measured(space.specs(row[None])[0], target, found, squared)
    raise AssertionError  # the last reach returns or raises


def near(target: Target, share: float, head_width: int) -> tuple[Constraint, ...]:
    """The constraints that totals differ from a target's by at most a share of them."""
    wide = {"params": target.params * share, "macs": (target.macs or 0.0) * share}
    body = target.body(head_width)
    return tuple(Constraint(m, math.ceil(v - wide[m]), math.floor(v + wide[m])) for m, v in body.items())


def chosen(spec: ArchSpec, target: Target, metrics: Mapping[str, float]) -> Chosen:
    """A network that was chosen by its score, beside the target that it was chosen for."""
    return Chosen(spec, target, *_totals(spec, target), metrics)


def _nearest(
    space: Space, rules: tuple[Constraint, ...], path: Path, found: Coefficients, target: Target
) -> tuple[Indices, float]:
    """The row of the nearest network and its squared distance; raises MetanetError where no network keeps the rules."""
    tables, body = distances(space, path, found), target.body(path.small.head_width)
    for limit in LIMITS:
        batches = list(feasible_rows(space, rules, Distance(*tables, int(limit / UNIT))))
        if batches:
            rows = np.concatenate(batches)
            costs, squared = space.table(rows, tuple(body)), distance_of(space, tables, rows)
            deviation = np.max([np.abs(costs[metric] / value - 1) for metric, value in body.items()], axis=0)
            best = np.lexsort((*reversed(rows.T), deviation, squared))[0]
            return rows[best], float(squared[best]) * UNIT
    raise MetanetError(
        f"no network with {' and '.join(map(str, rules))} has equal widths where the anchors have them: widen the "
        "tolerance"
    )


def _measured(spec: ArchSpec, target: Target, found: Coefficients, squared: float) -> Rung:
    return Rung(spec, target, *_totals(spec, target), math.sqrt(squared), found)


def _totals(spec: ArchSpec, target: Target) -> tuple[dict[str, int], float]:
    """A network's totals, counted as those of a target, and the largest relative deviation from them."""
    cost = price(spec, num_classes=target.num_classes)
    costs, wanted = {"params": cost.params, "macs": cost.macs}, {"params": target.params, "macs": target.macs}
    return costs, max(abs(costs[metric] / value - 1) for metric, value in wanted.items() if value is not None)
