"""`conv-only` and `attention-only`: the parts of `metanet` without attention and without convolution, for ablations.

Modules in front of stages follow: those that attend are left out of the first, the local one out of the second. The
depthwise convolution inside every transformer block, its position, stays.
"""

from dataclasses import replace

from metanet.search_spaces.spaces.paper import METANET
from metanet.spec import ATTENDING_DOWNS, CONV_OPS, HEAD_OPS

CONV_ONLY = replace(
    METANET.where(op=CONV_OPS, down=(None, "local")),
    name="conv-only",
    about="metanet without attention, for ablations",
)
ATTENTION_ONLY = replace(
    METANET.where(op=HEAD_OPS, down=(None, *ATTENDING_DOWNS)),
    name="attention-only",
    about="metanet without convolution blocks and token MLPs, for ablations",
)
