"""What a step draws its networks from, and bands of cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from metanet.errors import MetanetError
from metanet.search_spaces.choices import Indices
from metanet.search_spaces.constraints import Constraint
from metanet.search_spaces.feasible.sampler import FeasibleSampler
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec

Rules = tuple[Constraint, ...]


@dataclass(frozen=True, eq=False)
class Pool:
    """Architectures of a space that keep rules, with what draws from them; made once, drawn from in many steps."""

    space: Space
    rules: Rules
    sampler: FeasibleSampler

    def draw(self, n: int, key: Sequence[int]) -> list[ArchSpec]:
        """n architectures, uniform, with replacement; the same for the same key."""
        return self.space.specs(self.rows(n, key))

    def rows(self, n: int, key: Sequence[int]) -> Indices:
        """As `draw`, encoded: (n, genes)."""
        return self.sampler.draw(n, np.random.default_rng(key))

    def macs(self, rows: Indices) -> Indices:
        """(n,) MACs of encoded architectures, each at its own resolution."""
        return self.space.table(rows, ("macs",))["macs"]


@dataclass(frozen=True)
class Bands:
    """Bands of equal width in log MACs between the cheapest and the dearest architecture that keep rules.

    edges   in MACs, one more than there are bands
    """

    edges: tuple[float, ...]

    def of(self, macs: float) -> int:
        """The band of a cost; what is outside of all belongs to the nearest."""
        return int(np.searchsorted(self.edges[1:-1], macs, side="right"))

    def windows(self) -> list[Constraint]:
        """Each band as a rule; their ends are open outwards, so that together they are the whole."""
        inner = [-np.inf, *np.ceil(self.edges[1:-1]), np.inf]
        return [Constraint("macs", low, high - 1) for low, high in pairwise(inner) if low <= high - 1]


def cost_bands(space: Space, rules: Rules, count: int) -> Bands:
    """`count` bands over the feasible part of a space. Raises MetanetError where nothing is feasible."""
    if rules:
        low, high = (find("macs", rules).costs["macs"] for find in (space.cheapest, space.dearest))
    else:
        low, high = space.table.extremes("macs")
    return Bands(tuple(np.geomspace(low, high, count + 1).tolist()))


def whole(space: Space, rules: Rules, bands: int) -> list[Pool]:
    """One pool of all that is feasible."""
    return [Pool(space, rules, space.sampler(rules))]


def banded(space: Space, rules: Rules, bands: int) -> list[Pool]:
    """A pool for each band; bands in which no architecture lies are left out."""
    pools = []
    for window in cost_bands(space, rules, bands).windows():
        try:
            pools.append(Pool(space, (*rules, window), FeasibleSampler(space, (*rules, window))))
        except MetanetError:  # spaces of few architectures have gaps between their costs
            continue
    return pools
