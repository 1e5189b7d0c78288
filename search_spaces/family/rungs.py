"""The network of a rung: of all that are within tolerance of a target, the one nearest to the rule's shape."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from metanet.cost import price
from metanet.errors import MetanetError
from metanet.search_spaces.constraints import Constraint
from metanet.search_spaces.family.neighbourhood import UNIT, Bounds, around, distance_of, distances
from metanet.search_spaces.family.rule import Coefficients, Path, coefficients
from metanet.search_spaces.family.targets import Target
from metanet.search_spaces.feasible.enumeration import Distance, feasible_rows
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec

TOLERANCE = 0.01
LIMITS = tuple(1e-4 * 2 ** (k / 3) for k in range(50))  # squared distances within which networks are looked for


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
    space: Space | None = None
    for limit in LIMITS:
        wider = around(path, found, 2 ** math.sqrt(limit), bounds)  # what is farther is beyond the limit
        space = space if space == wider else wider  # one that is the same has its tables already
        if nearest := _nearest(space, rules, path, found, target, limit):
            spec, squared = nearest
            return _measured(spec, target, found, squared)
    assert space is not None
    space.sampler(rules)  # says what is in the way, unless it is the widths that are to be equal
    raise MetanetError(
        f"no network with {' and '.join(map(str, rules))} has equal widths where the anchors have them: widen the "
        "tolerance"
    )


def near(target: Target, share: float, head_width: int) -> tuple[Constraint, ...]:
    """The constraints that totals differ from a target's by at most a share of them."""
    wide = {"params": target.params * share, "macs": (target.macs or 0.0) * share}
    body = target.body(head_width)
    return tuple(Constraint(m, math.ceil(v - wide[m]), math.floor(v + wide[m])) for m, v in body.items())


def chosen(spec: ArchSpec, target: Target, metrics: Mapping[str, float]) -> Chosen:
    """A network that was chosen by its score, beside the target that it was chosen for."""
    return Chosen(spec, target, *_totals(spec, target), metrics)


def _nearest(
    space: Space, rules: tuple[Constraint, ...], path: Path, found: Coefficients, target: Target, limit: float
) -> tuple[ArchSpec, float] | None:
    """The nearest network that keeps the rules, with its squared distance; None where none is within the limit."""
    tables, body = distances(space, path, found), target.body(path.small.head_width)
    batches = list(feasible_rows(space, rules, Distance(*tables, int(limit / UNIT))))
    if not batches:
        return None
    rows = np.concatenate(batches)
    costs, squared = space.table(rows, tuple(body)), distance_of(space, tables, rows)
    whole = {"params": target.params, "macs": target.macs or math.inf}  # with the classifier
    deviation = np.max([np.abs(costs[metric] - value) / whole[metric] for metric, value in body.items()], axis=0)
    best = np.lexsort((*reversed(rows.T), deviation, squared))[0]
    return space.specs(rows[best : best + 1])[0], float(squared[best]) * UNIT


def _measured(spec: ArchSpec, target: Target, found: Coefficients, squared: float) -> Rung:
    return Rung(spec, target, *_totals(spec, target), math.sqrt(squared), found)


def _totals(spec: ArchSpec, target: Target) -> tuple[dict[str, int], float]:
    """A network's totals, counted as those of a target, and the largest relative deviation from them."""
    cost = price(spec, num_classes=target.num_classes)
    costs, wanted = {"params": cost.params, "macs": cost.macs}, {"params": target.params, "macs": target.macs}
    return costs, max(abs(costs[metric] / value - 1) for metric, value in wanted.items() if value is not None)
