"""`metanet-tiny`: the unified stage genes at a scale where two CPU cores search in minutes (28 to 64 pixels)."""

from metanet.search_spaces.space import Space, StageChoices

OPS = ("mbconv", "fused_mbconv", "self_attention", "channel_attention")

METANET_TINY = Space(
    name="metanet-tiny",
    stages=(
        StageChoices(depth=(1, 2), width=(16, 24), expansion=(1, 2, 3), op=OPS),
        StageChoices(depth=(1, 2, 3), width=(24, 32, 40), expansion=(1, 2, 3), op=OPS, stride=2),
        StageChoices(depth=(1, 2, 3), width=(40, 48, 64), expansion=(1, 2, 3), op=OPS, stride=2),
        StageChoices(depth=(1, 2, 3), width=(64, 80, 96), expansion=(1, 2, 3), op=OPS),
    ),
    stem_width=(16,),
    head_width=(192,),
    resolution=(28, 32, 40, 48, 64),
    head_dim=8,
)
