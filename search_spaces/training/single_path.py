"""Single-path training (Guo et al. 2019, SPOS, section 3; Chen et al. 2021, AutoFormer, section 3.3): one random
network in each step, trained on the labels."""

from collections.abc import Callable

from metanet.search_spaces.training.parts import Groups, Key, Networks, Rule
from metanet.search_spaces.training.pools import Pool


def single_path(pool: Pool, key: Key, draw: Callable[[int], Groups], samples: int) -> Networks:
    """One random network, whatever `samples` is."""
    return Networks((), draw(1))


RULE = Rule(
    "networks",
    single_path,
    "one random network in each step",
    "Chen et al. 2021, AutoFormer, section 3.3; Guo et al. 2019, SPOS",
)
