"""Families: networks on a ladder of totals, by compound scaling that is solved to the totals exactly."""

from metanet.search_spaces.family.family import Family, as_zoo, family_between, family_from, target_from, target_of
from metanet.search_spaces.family.members import metanet_family, zoo_file
from metanet.search_spaces.family.rule import between, coefficients, onward
from metanet.search_spaces.family.rungs import Chosen, Rung, chosen, climb, near, rung
from metanet.search_spaces.family.targets import Target, log_linear

__all__ = [
    "Chosen",
    "Family",
    "Rung",
    "Target",
    "as_zoo",
    "between",
    "chosen",
    "climb",
    "coefficients",
    "family_between",
    "family_from",
    "log_linear",
    "metanet_family",
    "near",
    "onward",
    "rung",
    "target_from",
    "target_of",
    "zoo_file",
]
