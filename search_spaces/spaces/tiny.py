"""`metanet-tiny`: the unified stage genes at a scale where two CPU cores search in minutes (28 to 64 pixels)."""

from metanet.search_spaces.choices import StageChoices
from metanet.search_spaces.space import Space

OPS = ("mbconv", "fused_mbconv", "self_attention", "channel_attention")
E = (1, 2, 3)

METANET_TINY = Space(
    name="metanet-tiny",
    about="the same genes at a scale where two CPU cores search in minutes (28 to 64 pixels)",
    stages=(
        StageChoices((1, 2), (16, 24), E, OPS, head_dim=(8,)),
        StageChoices((1, 2, 3), (24, 32, 40), E, OPS, head_dim=(8,), stride=2),
        StageChoices((1, 2, 3), (40, 48, 64), E, OPS, head_dim=(8,), stride=2),
        StageChoices((1, 2, 3), (64, 80, 96), E, OPS, head_dim=(8,)),
    ),
    stem_width=(16,),
    head_width=(192,),
    resolution=(28, 32, 40, 48, 64),
)
