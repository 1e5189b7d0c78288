"""The spaces by name."""

import os

from metanet.errors import MetanetError, unknown
from metanet.search_spaces import files
from metanet.search_spaces.space import Space
from metanet.search_spaces.spaces.ablations import ATTENTION_ONLY, CONV_ONLY
from metanet.search_spaces.spaces.paper import METANET
from metanet.search_spaces.spaces.tiny import METANET_TINY
from metanet.search_spaces.spaces.uninet import UNINET, UNINET_SCALED

SPACES: dict[str, Space] = {
    space.name: space for space in (METANET, METANET_TINY, UNINET, UNINET_SCALED, CONV_ONLY, ATTENTION_ONLY)
}


def load_space(name: str | os.PathLike[str]) -> Space:
    """The space of that name, or of a YAML or JSON file (`metanet.search_spaces.files`).

    Raises MetanetError that names the nearest where there is none, or the line of a file that is wrong.
    """
    name = os.fspath(name)
    if name.endswith((".yaml", ".yml", ".json")):
        return files.load(name)
    if name not in SPACES:
        if os.path.isfile(name):
            raise MetanetError(f"a space is read from a file whose name ends in .yaml, .yml or .json, got {name!r}")
        raise unknown("space", name, SPACES)
    return SPACES[name]
