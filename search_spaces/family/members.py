"""MN-B4 to MN-B15: the ladder through the three public points, and the file of the zoo that holds its rungs.

MN-B4 and MN-B15 are the released networks. Of MN-B7 two totals are public, its shape is not; ours is generated, as are
the others. The totals are those of OpenGVLab's model zoo (model.md), of networks with a classifier of 1,000 classes at
224 pixels.
"""

from metanet.factory import find
from metanet.search_spaces.family.family import Family, as_zoo
from metanet.search_spaces.family.rule import between
from metanet.search_spaces.family.targets import Target, log_linear

CLASSES = 1000
POINTS = {4: (31.7e6, 3.17e9), 7: (100.2e6, 7.26e9), 15: (1003.7e6, 137.7e9)}  # parameters, MACs


def metanet_ladder() -> dict[str, Target]:
    """What each member is to cost."""
    points = [(i, Target(params, macs, CLASSES)) for i, (params, macs) in POINTS.items()]
    return {f"MN-B{i}": target for i, target in log_linear(points).items()}


def metanet_family() -> Family:
    """The family of INTERN, its ends released, its rungs by the rule (`metanet.search_spaces.family.rule`)."""
    anchors = {name: find(name).spec for name in ("MN-B4", "MN-B15")}
    rest = {name: target for name, target in metanet_ladder().items() if name not in anchors}
    return Family(between(*anchors.values()), anchors, rest)


def zoo_file() -> str:
    """The text of `metanet/zoo/family.json`, from scratch."""
    family = metanet_family()
    return as_zoo(dict(family.rungs()), f"metanet family build, between {' and '.join(family.anchors)}")
