"""Attentive sampling (Wang et al. 2021, AttentiveNAS, section 3): of some candidates near one cost, the best or the
worst by the step's own images is trained.

A cost is drawn first, by how often it occurs among all feasible networks; the candidates are those of a pool of random
networks that are nearest to it, so that they differ in shape more than in size. The paper has two estimators of a
candidate's accuracy; this is the one that needs no training of its own, the loss on the mini-batch.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from metanet.search_spaces.training.parts import Draw, Groups, Key, Rule
from metanet.search_spaces.training.pools import Pool, whole
from metanet.spec import ArchSpec

POOL = 64  # random networks for each candidate


def near(pool: Pool, key: Key, n: int, candidates: int) -> Groups:
    """n groups of candidates, the networks of each group as near in MACs to one drawn cost as a pool of random ones
    has them."""
    return tuple(_group(pool, [*key, i], candidates) for i in range(n))


def _group(pool: Pool, key: Key, candidates: int) -> tuple[ArchSpec, ...]:
    rows = pool.rows(POOL * candidates, key)
    target = pool.macs(rows[:1])
    rows = np.unique(rows, axis=0)  # a network is no candidate twice
    nearest = np.argsort(abs(pool.macs(rows) - target), kind="stable")[:candidates]
    return tuple(pool.space.specs(rows[nearest]))


def _first(losses: Sequence[float], pick: Callable[[Sequence[float]], float]) -> int:
    return losses.index(pick(losses))


PAPER = "Wang et al. 2021, AttentiveNAS, section 3"
BEST_UP = Rule(
    "draw", Draw(whole, near, partial(_first, pick=min)), "of candidates of one cost the one with the least loss", PAPER
)
WORST_UP = Rule(
    "draw", Draw(whole, near, partial(_first, pick=max)), "of candidates of one cost the one with the most loss", PAPER
)
