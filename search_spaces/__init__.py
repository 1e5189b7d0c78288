"""Search spaces, their costs and constraints, and the supernet that shares weights among their architectures."""

from metanet.search_spaces.catalogue import SPACES, load_space
from metanet.search_spaces.constraints import Constraint, parse_constraints
from metanet.search_spaces.space import Gene, Space, StageChoices

__all__ = ["SPACES", "Constraint", "Gene", "Space", "StageChoices", "load_space", "parse_constraints"]
