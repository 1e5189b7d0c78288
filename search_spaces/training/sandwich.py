"""The sandwich rule (Yu et al. 2020, BigNAS, section 3.1): the largest and the smallest network in each step, and some
random ones between them."""

from collections.abc import Callable

import numpy as np

from metanet.search_spaces.space import Space
from metanet.search_spaces.training.parts import Groups, Key, Networks, Rule
from metanet.search_spaces.training.pools import Pool
from metanet.spec import ArchSpec

ENDS = 32  # draws of which the dearest and the cheapest stand for the ends of a constrained space


def sandwich(pool: Pool, key: Key, draw: Callable[[int], Groups], samples: int) -> Networks:
    """The largest, the smallest, and `samples` random networks.

    Ops and downsampling modules have no size, so the ends of the space take random ones: each branch is trained at both
    ends. Under constraints, the ends are the dearest and the cheapest of ENDS feasible draws: no time goes into
    networks that nobody may find.
    """
    if pool.rules:
        rows = pool.rows(ENDS, [*key, 2])
        macs = pool.macs(rows)
        ends = pool.space.specs(rows[[macs.argmax(), macs.argmin()]])
    else:
        rng = np.random.default_rng(key)
        ends = [_end(pool.space, rng, largest=largest) for largest in (True, False)]
    return Networks(tuple(ends), draw(samples))


def _end(space: Space, rng: np.random.Generator, *, largest: bool) -> ArchSpec:
    return space.decode([_chosen(gene.choices, rng, largest) for gene in space.genes])


def _chosen(choices: tuple[object, ...], rng: np.random.Generator, largest: bool) -> int:
    if any(isinstance(choice, str) for choice in choices):
        return int(rng.integers(len(choices)))
    return choices.index(max(choices) if largest else min(choices))  # type: ignore[type-var]  # numbers and booleans


RULE = Rule(
    "networks",
    sandwich,
    "the largest, the smallest and some random networks in each step",
    "Yu et al. 2020, BigNAS, section 3.1",
)
