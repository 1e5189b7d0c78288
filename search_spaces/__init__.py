"""Search spaces, their costs and constraints, and the supernet that shares weights among their architectures."""

from metanet.search_spaces.choices import StageChoices
from metanet.search_spaces.constraints import Constraint, parse_constraints
from metanet.search_spaces.latency.build import build_latency
from metanet.search_spaces.latency.table import LatencyTable
from metanet.search_spaces.latency.timing import Setting as LatencySetting
from metanet.search_spaces.space import Gene, Space
from metanet.search_spaces.spaces import SPACES, load_space
from metanet.search_spaces.supernet import Supernet
from metanet.search_spaces.training import RULES, TrainingConfig, train_supernet, training_report
from metanet.search_spaces.union import Union

__all__ = [
    "RULES",
    "SPACES",
    "Constraint",
    "Gene",
    "LatencySetting",
    "LatencyTable",
    "Space",
    "StageChoices",
    "Supernet",
    "TrainingConfig",
    "Union",
    "build_latency",
    "load_space",
    "parse_constraints",
    "train_supernet",
    "training_report",
]
