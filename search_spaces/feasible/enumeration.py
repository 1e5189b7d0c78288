"""Every architecture that satisfies constraints, once and in a fixed order, without looking at most of the others.

A path through the stages is left as soon as no end of it can keep a rule on a sum (MACs, parameters, activations): the
least and the greatest cost from each width to the end are known. Peak memory is checked on whole architectures. A
distance that is a sum over the stages, too, finds the architectures that are near to something in the same way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metanet.search_spaces.choices import Indices
from metanet.search_spaces.constraints import Constraint, Constraints, parse_constraints
from metanet.search_spaces.costs import SUMMED
from metanet.search_spaces.encoding import path_rows

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

NEVER = 2**60  # no cost: of what cannot be built
PIECE = 2**18  # ways on that are looked at together
Costs = NDArray[np.int64]


@dataclass(frozen=True)
class Distance:
    """A sum over the parts of an architecture that may be at most `most`.

    stem     (stem widths,)
    stages   for each stage (widths before, widths, options)
    """

    stem: Costs
    stages: Sequence[Costs]
    most: int


@dataclass(frozen=True)
class _Walk:
    """The paths of one resolution and one head.

    tables    for each stage (rules, widths before, widths, options), its costs
    least     for each stage and the end (rules, widths before), of all that follows; `most` likewise
    low, high (rules,), what the whole may cost
    """

    space: "Space"
    tables: list[Costs]
    least: list[Costs]
    most: list[Costs]
    low: Costs
    high: Costs

    def paths(self, stage: int, before: Indices, spent: Costs, so_far: Indices) -> Iterator[Indices]:
        """(paths, stages, 2) width and option of each stage, for every way on from some beginnings, in their order.

        before   (n,) the width that each beginning has reached
        spent    (rules, n) what it has cost
        so_far   (n, stages up to here, 2)
        """
        valid, table = self.space.options[stage].valid, self.tables[stage]
        pieces = max(1, valid[0].size * len(before) // PIECE)
        for part in np.array_split(np.arange(len(before)), min(pieces, len(before))):
            total = spent[:, part, None, None] + table[:, before[part]]
            ok = valid[before[part]]
            ok &= (total + self.least[stage + 1][:, None, :, None] <= self.high[:, None, None, None]).all(0)
            ok &= (total + self.most[stage + 1][:, None, :, None] >= self.low[:, None, None, None]).all(0)
            at, width, option = np.nonzero(ok)
            if not len(at):
                continue
            step = np.stack([width, option], axis=-1)[:, None]
            found = np.concatenate([so_far[part[at]], step], axis=1)
            if stage + 1 == len(self.tables):
                yield found
            else:
                yield from self.paths(stage + 1, width, total[:, at, width, option], found)


def feasible_rows(
    space: "Space", constraints: Constraints = None, distance: Distance | None = None
) -> Iterator[Indices]:
    """Batches (n, genes) of canonical rows of choice indices, n at least 1: together all that satisfy the constraints,
    and that are near enough where a distance is given.

    Raises MetanetError, at the first batch, where nothing satisfies the constraints; with a distance there is no batch.
    """
    rules = parse_constraints(constraints) if distance else space.sampler(constraints).rules
    sums = [rule for rule in rules if rule.metric in SUMMED]
    others = tuple(rule for rule in rules if rule.metric not in SUMMED)
    for resolution, head in product(range(len(space.resolution)), range(len(space.head_width))):
        walk = _walk(space, sums, resolution, head, distance)
        for stem in range(len(space.stem_width)):
            own = [space.table.stem(rule.metric)[resolution, stem] for rule in sums]
            own += [distance.stem[stem]] if distance else []
            spent = np.array(own, dtype=np.int64).reshape(-1, 1)
            for paths in walk.paths(0, np.array([stem]), spent, np.zeros((1, 0, 2), dtype=np.int64)):
                rows = _rows(space, resolution, stem, head, paths)
                rows = rows[space.table.satisfies(rows, others)]
                if len(rows):
                    yield rows


def _walk(space: "Space", rules: list[Constraint], resolution: int, head: int, distance: Distance | None) -> _Walk:
    count = len(rules) + bool(distance)
    tables = [np.zeros((count, *options.valid.shape), dtype=np.int64) for options in space.options]
    ends = np.zeros((count, len(space.options[-1].choices["width"])), dtype=np.int64)
    for k, rule in enumerate(rules):
        ends[k] = space.table.head(rule.metric)[resolution, :, head]
        for table, costs in zip(tables, space.table.stages(rule.metric), strict=True):
            table[k] = costs[resolution]
    if distance:
        for table, far in zip(tables, distance.stages, strict=True):
            table[-1] = far
    least, most = [ends], [ends]
    for table, options in zip(reversed(tables), reversed(space.options), strict=True):
        ways = table + least[0][:, None, :, None], table + most[0][:, None, :, None]
        least.insert(0, np.where(options.valid, ways[0], NEVER).min((2, 3)))
        most.insert(0, np.where(options.valid, ways[1], -NEVER).max((2, 3)))
    low, high = ([getattr(rule, end) for rule in rules] for end in ("low", "high"))
    if distance:
        low, high = [*low, -np.inf], [*high, distance.most]
    return _Walk(space, tables, least, most, np.array(low), np.array(high))


def _rows(space: "Space", resolution: int, stem: int, head: int, paths: Indices) -> Indices:
    """Paths (n, stages, 2) of widths and options as rows of choice indices."""
    ends = np.full(len(paths), stem), np.full(len(paths), head)
    widths, options = ([*paths[:, :, k].T] for k in (0, 1))
    return path_rows(space, resolution, ([ends[0], *widths, ends[1]], [ends[0], *options, ends[1]]))
