"""The spaces by name."""

from metanet.errors import unknown
from metanet.search_spaces.ablations import ATTENTION_ONLY, CONV_ONLY
from metanet.search_spaces.paper import METANET
from metanet.search_spaces.space import Space
from metanet.search_spaces.tiny import METANET_TINY
from metanet.search_spaces.uninet import UNINET, UNINET_SCALED

SPACES: dict[str, Space] = {
    space.name: space for space in (METANET, METANET_TINY, UNINET, UNINET_SCALED, CONV_ONLY, ATTENTION_ONLY)
}


def load_space(name: str) -> Space:
    """The space of that name. Raises MetanetError that names the nearest where there is none."""
    if name not in SPACES:
        raise unknown("space", name, SPACES)
    return SPACES[name]
