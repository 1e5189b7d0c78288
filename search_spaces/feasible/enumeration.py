"""Every architecture that satisfies constraints, once and in a fixed order, without looking at most of the others.

A path through the stages is left as soon as no end of it can keep a rule on a sum (MACs, parameters, activations): the
least and the greatest cost from each width to the end are known. Peak memory is checked on whole architectures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metanet.search_spaces.choices import Indices
from metanet.search_spaces.constraints import Constraint, Constraints
from metanet.search_spaces.costs import SUMMED

if TYPE_CHECKING:
    from metanet.search_spaces.feasible.sampler import FeasibleSampler
    from metanet.search_spaces.space import Space

NEVER = 2**60  # no cost: of what cannot be built
Costs = NDArray[np.int64]


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

    def paths(self, stage: int, before: int, spent: Costs) -> Iterator[Indices]:
        """(paths, stages from here, 2) width and option of each stage, for each way on; several at once at the end."""
        total = spent[:, None, None] + self.tables[stage][:, before]
        ok = self.space.options[stage].valid[before].copy()
        ok &= (total + self.least[stage + 1][:, :, None] <= self.high[:, None, None]).all(0)
        ok &= (total + self.most[stage + 1][:, :, None] >= self.low[:, None, None]).all(0)
        steps = np.argwhere(ok)
        if stage + 1 == len(self.tables):
            yield steps[:, None]
            return
        for width, option in steps.tolist():
            for rest in self.paths(stage + 1, width, total[:, width, option]):
                here = np.broadcast_to(np.array([width, option]), (len(rest), 1, 2))
                yield np.concatenate([here, rest], axis=1)


def feasible_rows(space: "Space", constraints: Constraints = None) -> Iterator[Indices]:
    """Batches (n, genes) of canonical rows of choice indices, n at least 1: together all that satisfy the constraints.

    Raises MetanetError, at the first batch, where nothing does.
    """
    sampler = space.sampler(constraints)
    sums = [rule for rule in sampler.rules if rule.metric in SUMMED]
    others = tuple(rule for rule in sampler.rules if rule.metric not in SUMMED)
    for resolution, head in product(range(len(space.resolution)), range(len(space.head_width))):
        walk = _walk(space, sums, resolution, head)
        for stem in range(len(space.stem_width)):
            spent = np.array([space.table.stem(rule.metric)[resolution, stem] for rule in sums], dtype=np.int64)
            for paths in walk.paths(0, stem, spent):
                rows = _rows(sampler, resolution, stem, head, paths)
                rows = rows[sampler.satisfies(rows, others)]
                if len(rows):
                    yield rows


def _walk(space: "Space", rules: list[Constraint], resolution: int, head: int) -> _Walk:
    count = len(rules)
    tables = [np.zeros((count, *options.valid.shape), dtype=np.int64) for options in space.options]
    ends = np.zeros((count, len(space.options[-1].choices["width"])), dtype=np.int64)
    for k, rule in enumerate(rules):
        ends[k] = space.table.head(rule.metric)[resolution, :, head]
        for table, costs in zip(tables, space.table.stages(rule.metric), strict=True):
            table[k] = costs[resolution]
    least, most = [ends], [ends]
    for table, options in zip(reversed(tables), reversed(space.options), strict=True):
        ways = table + least[0][:, None, :, None], table + most[0][:, None, :, None]
        least.insert(0, np.where(options.valid, ways[0], NEVER).min((2, 3)))
        most.insert(0, np.where(options.valid, ways[1], -NEVER).max((2, 3)))
    low, high = (np.array([getattr(rule, end) for rule in rules]) for end in ("low", "high"))
    return _Walk(space, tables, least, most, low, high)


def _rows(sampler: "FeasibleSampler", resolution: int, stem: int, head: int, paths: Indices) -> Indices:
    """Paths (n, stages, 2) of widths and options as rows of choice indices."""
    ends = np.full(len(paths), stem), np.full(len(paths), head)
    widths, options = ([*paths[:, :, k].T] for k in (0, 1))
    return sampler.rows(resolution, ([ends[0], *widths, ends[1]], [ends[0], *options, ends[1]]))
