"""The fused network."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from metanet.blocks import FusedMBConv, MBConv, Transformer
from metanet.blocks.downsampling import AttendingDown, LocalDown
from metanet.cost import stage_costs
from metanet.errors import MetanetError
from metanet.inference.attention import FusedDown, local_down, transformer
from metanet.inference.convolution import fused_mbconv, mbconv
from metanet.inference.fold import affine, after, weights
from metanet.inference.layers import Conv
from metanet.model import ConvNorm, MetaNet

# A block without a rule of its own runs as it is.
RULES: dict[type, Callable[[Any], nn.Module]] = {
    MBConv: mbconv,
    FusedMBConv: fused_mbconv,
    Transformer: transformer,
    LocalDown: local_down,
    AttendingDown: FusedDown,
}
# Maps above glibc's limit of 32 MB are mapped anew at every step, and each page faults: stages that need more than this
# run on a few images at a time.
CHUNK = 24 * 2**20  # bytes


class Fused(nn.Module):
    """A MetaNet for inference: BatchNorms and scales folded into the weights, one layout, early maps in chunks.

    Its outputs equal the network's in eval mode up to rounding. It cannot be trained.
    """

    def __init__(self, net: MetaNet) -> None:
        super().__init__()
        self.spec, self.num_classes, self.feature_info = net.spec, net.num_classes, net.feature_info
        self.num_features, self.head_hidden_size = net.num_features, net.head_hidden_size
        self.stem = _conv_norm(net.stem)
        self.stages = nn.ModuleList(nn.Sequential(*map(_fused, stage.children())) for stage in net.stages)
        self.head = _conv_norm(net.head)
        self.classifier = copy.deepcopy(net.classifier).requires_grad_(False)
        self.eval()

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, num_features, h', w'), the map of the last stage."""
        x = x.contiguous(memory_format=torch.channels_last)
        early, size = self._early(x)
        if size < len(x):
            x = torch.cat([self._begin(part, early) for part in x.split(size)])  # type: ignore[no-untyped-call]
        else:
            x = self._begin(x, early)
        for stage in self.stages[early:]:
            x = stage(x)
        return x

    def _begin(self, x: Tensor, early: int) -> Tensor:
        x = self.stem(x)
        for stage in self.stages[:early]:
            x = stage(x)
        return x

    def _early(self, x: Tensor) -> tuple[int, int]:
        """How many stages run in chunks, and the images in a chunk."""
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            return 0, len(x)
        size = int(x.shape[2]), int(x.shape[3])
        peaks = [cost.peak * x.element_size() for name, cost in stage_costs(self.spec, size).items() if "stage" in name]
        early = 0
        while early < len(peaks) and peaks[early] * len(x) > CHUNK:
            early += 1
        return early, max(1, CHUNK // max(peaks[:early], default=1))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map -> (b, num_classes) logits, or the pooled (b, head_width) vector before the classifier."""
        x = self.head(x).mean((2, 3))
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, num_classes), or (b, head_width) without a classifier."""
        return self.forward_head(self.forward_features(x))


def fuse(net: MetaNet, dtype: torch.dtype | None = None) -> Fused:
    """An inference network with the function of `net` in eval mode; `net` is left as it is.

    dtype   of the folded weights, float32 by default; images must come in the same

    BatchNorms go into the convolutions beside them wherever that is exact, LayerScales and the scales of LayerNorms
    into the linear layers, which become 1x1 convolutions. Raises MetanetError for anything but a MetaNet in eval mode.
    """
    if not isinstance(net, MetaNet):
        raise MetanetError(f"fuse takes a MetaNet, got {type(net).__name__}: metanet.create(…) makes one")
    if net.training:
        raise MetanetError("fuse takes a network in eval mode, whose BatchNorm statistics are settled: call net.eval()")
    if any(p.is_meta for p in net.parameters()):
        raise MetanetError("fuse needs weights, and this network is on the meta device: create it on another")
    with torch.no_grad():
        fused = Fused(net)
    return fused if dtype is None else fused.to(dtype)


def _conv_norm(part: ConvNorm) -> Conv:
    return Conv(after(weights(part.conv), affine(part.norm)), stride=part.conv.stride[0], gelu=True)


def _fused(block: nn.Module) -> nn.Module:
    rule = RULES.get(type(block))
    return copy.deepcopy(block).requires_grad_(False) if rule is None else rule(block)
