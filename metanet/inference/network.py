"""The fused network: the same function as a MetaNet in eval mode."""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from metanet.blocks import FusedMBConv, MBConv, Transformer
from metanet.blocks.downsampling import AttendingDown, LocalDown
from metanet.cost import stage_costs
from metanet.errors import MetanetError
from metanet.inference.attention import transformer
from metanet.inference.convolution import fused_mbconv, mbconv
from metanet.inference.downsampling import Local, attending
from metanet.inference.fold import affine, after, weights
from metanet.inference.layers import Conv, Pointwise, recording
from metanet.model import ConvNorm, MetaNet
from metanet.spec import ArchSpec

RULES: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    MBConv: mbconv,
    FusedMBConv: fused_mbconv,
    Transformer: transformer,
    LocalDown: Local,
    AttendingDown: attending,
}

# Bytes that a step of the early stages may read and write together. glibc fetches blocks from 32 MiB on from the system
# at each call, page by page (mallopt(3), M_MMAP_THRESHOLD); much smaller chunks lose to the calls' own cost.
CHUNK = 24 * 2**20

COMPILED = ("_early", "_late", "forward_head")  # the methods that `Fused.compile` exchanges


def fuse(net: MetaNet, *, dtype: torch.dtype | None = None) -> "Fused":
    """The same function for inference, in fewer passes over memory: 2 to 4 times as fast on a CPU (docs/speed.md).

    net     a network in eval mode; it stays as it is
    dtype   of the new weights: that of the old ones by default; torch.bfloat16 is faster still where the processor has
            instructions for it. Weights are folded in float64 and rounded once.

    The result is a backbone (forward_features, forward_head, forward_intermediates, feature_info) on the network's
    device. It cannot be trained. Equal to the network but for rounding; weights that are changed later do not follow.

    Raises MetanetError for other networks, in training mode, and on the meta device.
    """
    if not isinstance(net, MetaNet):
        raise MetanetError(f"only a MetaNet can be fused, got {type(net).__name__}: give it the network itself")
    if net.training:
        raise MetanetError(
            "a network in training mode cannot be fused, because batch statistics do not fold: call eval()"
        )
    if net.stem.conv.weight.is_meta:
        raise MetanetError("a network on the meta device has no weights to fuse: build it on a real device")
    return Fused(net, net.stem.conv.weight.dtype if dtype is None else dtype)


class Fused(nn.Module):
    """What `fuse` returns: takes and gives what the network takes and gives that it was made of.

    Images may be of any float type. Large batches pass the early stages a few images at a time.
    """

    def __init__(self, net: MetaNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.spec, self.feature_info = net.spec, net.feature_info
        self.num_classes, self.in_chans = net.num_classes, net.in_chans
        self.num_features, self.head_hidden_size = net.num_features, net.head_hidden_size
        self.default_cfg = self.pretrained_cfg = net.default_cfg
        self.stem = conv_norm(net.stem).to(dtype)
        self.stages = nn.Sequential(*(_stage(stage, dtype) for stage in net.stages))
        self.head = conv_norm(net.head).to(dtype)
        self.classifier = copy.deepcopy(net.classifier).to(dtype)
        self.requires_grad_(False).eval()

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, num_features, h', w'), the map of the last stage."""
        x = x.to(self.stem.weight.dtype)
        early, images = 0, len(x)
        if not recording():
            early, images = chunks(self.spec, (x.shape[2], x.shape[3]), len(x), x.element_size())
        parts = [self._early(part, early) for part in torch.split(x, max(1, images))]
        return self._late(parts[0] if len(parts) == 1 else torch.cat(parts), early)

    def _early(self, x: Tensor, stages: int) -> Tensor:
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        return self.stages[:stages](x)  # type: ignore[no-any-return]

    def _late(self, x: Tensor, stages: int) -> Tensor:
        return self.stages[stages:](x)  # type: ignore[no-any-return]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map -> (b, num_classes) logits, or the pooled (b, head_width) vector before the classifier."""
        x = self.head(x).mean((2, 3))
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, num_classes), or (b, head_width) without a classifier."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(self, x: Tensor, *args: Any, **options: Any) -> Any:
        """As `MetaNet.forward_intermediates`."""
        x = x.to(self.stem.weight.dtype).contiguous(memory_format=torch.channels_last)
        return MetaNet.forward_intermediates(cast(MetaNet, self), x, *args, **options)

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        return stage(x)  # type: ignore[no-any-return]

    def compile(self, *args: Any, freezing: bool = True, **options: Any) -> None:
        """Compiles the network in place; all other arguments are those of torch.compile.

        The early stages still take a few images at a time: the loop over them stays outside of the compiled parts,
        where torch.compile(fused) would take all images at once.

        freezing   torch's compiler makes the weights constants of its program and lays them out for oneDNN in advance,
                   if gradients are disabled at the first call; they must not be changed after that

        Copies and pickles are not compiled.
        """
        for name in COMPILED:
            made = torch.compile(getattr(type(self), name).__get__(self), *args, **options)
            self.__dict__[name] = _frozen(made) if freezing else made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in COMPILED}

    def train(self, mode: bool = True) -> "Fused":
        """Only eval mode exists."""
        if mode:
            raise MetanetError("a fused network cannot be trained: train the network that it was made of, then fuse it")
        return super().train(False)


def _frozen(compiled: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A compiled function that is frozen when it is compiled, which is at a call: torch takes this from its
    configuration alone, not from the options of torch.compile."""

    def call(*inputs: Any) -> Tensor:
        from torch._inductor import config

        with config.patch(freezing=True):
            return compiled(*inputs)

    return call


def conv_norm(part: ConvNorm) -> Conv | Pointwise:
    """Stem and head."""
    layer, stride = after(weights(part.conv), affine(part.norm)), part.conv.stride[0]
    return Pointwise(layer, gelu=True) if layer.weight.shape[-1] == 1 else Conv(layer, stride=stride, gelu=True)


def _stage(stage: nn.Module, dtype: torch.dtype) -> nn.Sequential:
    made = nn.Sequential()
    for name, block in stage.named_children():
        rule: Callable[[Any], nn.Module] = RULES.get(type(block), copy.deepcopy)
        made.add_module(name, rule(block).to(dtype))
    return made


def chunks(spec: ArchSpec, size: tuple[int, int], images: int, itemsize: int) -> tuple[int, int]:
    """How many of the first stages take how many images at a time: (0, all of them) where everything is small.

    size       height and width of the images
    itemsize   bytes a number
    """
    peaks = _peaks(spec, size)
    early = 0
    while early < len(peaks) and peaks[early] * images * itemsize > CHUNK:
        early += 1
    if early == 0:
        return 0, images
    most = max(1, CHUNK // (max(peaks[:early]) * itemsize))
    return early, -(-images // -(-images // most))  # equal parts


@lru_cache(maxsize=64)
def _peaks(spec: ArchSpec, size: tuple[int, int]) -> list[int]:
    """The numbers that one image keeps alive in each stage, the stem counted to the first."""
    stem, *stages, _ = (cost.peak for cost in stage_costs(spec, size).values())
    return [max(stem, stages[0]), *stages[1:]]
