"""The downsampling modules, fused: they keep their own forward; their layers are exchanged for fused ones."""

import copy
from typing import Any

from torch import Tensor, nn

from metanet.blocks.downsampling import AttendingDown, GlobalQuery, LocalDown, LocalQuery
from metanet.inference.fold import affine, after, before, weights
from metanet.inference.layers import Conv, Linear, Normalise, Pointwise, Pooled, constant


class Local(nn.Module):
    """L: a depthwise convolution that has taken over its BatchNorm, a 1x1 convolution that adds the shortcut."""

    def __init__(self, down: LocalDown) -> None:
        super().__init__()
        depthwise = after(weights(down.depthwise), affine(down.norm_depthwise))
        self.depthwise = Conv(depthwise, stride=down.depthwise.stride[0], groups=down.depthwise.groups)
        self.project, self.shortcut = Pointwise(weights(down.project)), Pooled(down.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, width, ceil(h / stride), ceil(w / stride))."""
        return self.project(self.depthwise(x), self.shortcut(x))  # type: ignore[no-any-return]


def attending(down: AttendingDown) -> AttendingDown:
    """LG and G: the queries' BatchNorm goes into their convolution, the keys' LayerNorm into `kv`."""
    fused: Any = copy.deepcopy(down)
    depthwise = after(weights(down.query.depthwise), affine(down.norm_query_in))
    if isinstance(down.query, LocalQuery):
        layer = down.query.depthwise
        fused.query.depthwise = Conv(depthwise, stride=layer.stride[0], groups=layer.groups)
    else:
        assert isinstance(down.query, GlobalQuery)
        fused.query.depthwise.weight = constant(depthwise.weight)
        fused.query.depthwise.bias = constant(depthwise.bias)
    fused.norm_query_in = nn.Identity()
    fused.project_query = Pointwise(weights(down.project_query))
    fused.norm_key, fused.kv = Normalise(down.norm_key), Linear(before(affine(down.norm_key), weights(down.kv)))
    fused.proj, fused.shortcut = Linear(weights(down.proj)), Pooled(down.shortcut)
    return fused  # type: ignore[no-any-return]
