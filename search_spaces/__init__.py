"""Search spaces, their costs and constraints, and the supernet that shares weights among their architectures."""

from metanet.search_spaces.choices import StageChoices
from metanet.search_spaces.constraints import Constraint, parse_constraints
from metanet.search_spaces.latency.build import build_latency
from metanet.search_spaces.latency.table import LatencyTable
from metanet.search_spaces.latency.timing import Setting as LatencySetting
from metanet.search_spaces.sandwich import SandwichConfig, train_supernet
from metanet.search_spaces.space import Gene, Space
from metanet.search_spaces.spaces import SPACES, load_space
from metanet.search_spaces.supernet import Supernet
from metanet.search_spaces.union import Union

__all__ = [
    "SPACES",
    "Constraint",
    "Gene",
    "LatencySetting",
    "LatencyTable",
    "SandwichConfig",
    "Space",
    "StageChoices",
    "Supernet",
    "Union",
    "build_latency",
    "load_space",
    "parse_constraints",
    "train_supernet",
]
