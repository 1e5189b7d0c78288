"""The operators of the unified space: each block class has `forward` and a static `cost` in the same order of steps.

All take the same arguments: `Block(w_in, stage, stride=1, drop=0.0, index=0)`, index being the position in the stage,
and `Block.cost(tally, w_in, stage, stride=1)`. `CUTS` names the weights that are not cut from shared ones by their
leading channels. DOWN_MODULES stand in front of a stage: `Down(w_in, stage)`, `Down.cost(tally, w_in, stage)`.
"""

from metanet.blocks.downsampling import DOWN_MODULES
from metanet.blocks.fused_mbconv import FusedMBConv
from metanet.blocks.mbconv import MBConv
from metanet.blocks.tally import Cost, Tally
from metanet.blocks.transformer import Transformer

BLOCKS: dict[str, type[MBConv] | type[FusedMBConv] | type[Transformer]] = {
    "mbconv": MBConv,
    "fused_mbconv": FusedMBConv,
    "self_attention": Transformer,
    "channel_attention": Transformer,
    "window_attention": Transformer,
    "token_mlp": Transformer,
}

__all__ = ["BLOCKS", "DOWN_MODULES", "Cost", "FusedMBConv", "MBConv", "Tally", "Transformer"]
