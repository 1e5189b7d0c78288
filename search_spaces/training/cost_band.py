"""Sampling in bands of cost (Tang et al. 2023, ElasticViT, complexity-aware sampling): all networks of a
step are of similar cost, so that their gradients conflict less.

The paper bounds how far the cost may move from one step to the next; here each step draws its band anew from the seed
and its number, so that a run can go on at any step without knowing the one before.
"""

from metanet.search_spaces.training.parts import Draw, Rule, uniform
from metanet.search_spaces.training.pools import banded

RULE = Rule(
    "draw",
    Draw(banded, uniform),
    "all networks of a step in one band of MACs",
    "Tang et al. 2023, ElasticViT, complexity-aware sampling",
)
