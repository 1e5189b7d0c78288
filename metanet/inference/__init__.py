"""Networks for inference alone: the same function as a MetaNet in eval mode, in fewer passes over memory."""

from metanet.inference.network import Fused, fuse

__all__ = ["Fused", "fuse"]
