"""Networks for inference: the same function in fewer passes over memory.

`fuse(net)` turns a MetaNet in eval mode into a network without BatchNorm, LayerScale or stochastic depth: they are
folded into the weights beside them, exactly. On a CPU each convolution and each linear layer is one call of oneDNN that
also applies the GELU or adds the residual behind it, with weights laid out in advance; the early, large maps are
computed for a few images at a time, because memory blocks of 32 MB and more are mapped and unmapped at every use.

One file a kind of block: each has the function that fuses it, listed in `metanet.inference.network.RULES`. A block
without a rule runs as it is.
"""

from metanet.inference.network import Fused, fuse

__all__ = ["Fused", "fuse"]
