"""The network that an ArchSpec describes. Shapes: b images, c channels, h x w pixels or positions."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks import BLOCKS
from metanet.blocks.initial import Init, initialise
from metanet.blocks.layers import Linear, conv
from metanet.errors import MetanetError
from metanet.spec import ArchSpec


class Backbone(Protocol):
    """What probes, heads and trainers need of a network; timm's networks satisfy it as they are."""

    @property
    def feature_info(self) -> Any:
        """Channels, reduction (total stride) and module name of each tap, as timm lists them."""

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> the last map."""

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map -> class logits, or the pooled feature vector before the classifier."""


class FeatureInfo(list[dict[str, Any]]):
    """The taps of a network: timm's accessors over a list of {num_chs, reduction, module}.

    A list, because timm's feature wrappers take nothing else.
    """

    def channels(self) -> list[int]:
        """Channels of each tap."""
        return [tap["num_chs"] for tap in self]

    def reduction(self) -> list[int]:
        """Total stride of each tap."""
        return [tap["reduction"] for tap in self]

    def module_name(self) -> list[str]:
        """Name of the module whose output each tap is."""
        return [tap["module"] for tap in self]


def taps(spec: ArchSpec) -> FeatureInfo:
    """The last stage at each total stride of 4 or more: strides 4, 8, 16, 32 for the released networks."""
    found: dict[int, dict[str, Any]] = {}
    reduction = 2
    for i, stage in enumerate(spec.stages):
        reduction *= stage.stride
        found[reduction] = {"num_chs": stage.width, "reduction": reduction, "module": f"stages.{i}"}
    return FeatureInfo([tap for stride, tap in found.items() if stride >= 4])


class ConvNorm(nn.Module):
    """Convolution without bias, BatchNorm, GELU: the stem and the head."""

    def __init__(self, w_in: int, w_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = conv(w_in, w_out, kernel, stride=stride)
        self.norm = nn.BatchNorm2d(w_out)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        return F.gelu(self.norm(self.conv(x)))


class MetaNet(nn.Module):
    """A network of the unified space; with num_classes=0 its output is the pooled (b, head_width) vector.

    Takes images of any size of at least 32 x 32 pixels for a total stride of 32, odd and oblong ones too.

    spec         the architecture
    num_classes  width of the classifier, 0 for none
    init         initial values (released ones by default)
    drop_path    stochastic depth of the last block, growing linearly from 0 at the first
    drop_rate    share of the pooled features that training zeroes before the classifier
    in_chans     channels of the images
    seed         of the initial values; None draws from torch's global generator
    device       where to build; "meta" builds at once, without memory
    """

    def __init__(
        self,
        spec: ArchSpec,
        num_classes: int = 0,
        *,
        init: Init | None = None,
        drop_path: float = 0.0,
        drop_rate: float = 0.0,
        in_chans: int = 3,
        seed: int | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__()
        for name, rate in (("drop_path", drop_path), ("drop_rate", drop_rate)):
            if not 0 <= rate < 1:
                raise MetanetError(f"`{name}` must be in [0, 1), got {rate!r}")
        if in_chans < 1:
            raise MetanetError(f"`in_chans` must be at least 1, got {in_chans!r}")
        self.spec, self.init = spec, Init() if init is None else init
        self.drop_rate, self.in_chans = drop_rate, in_chans
        self.feature_info = taps(spec)
        self.num_features, self.head_hidden_size = spec.stages[-1].width, spec.head_width
        target = torch.device(device) if device is not None else torch.get_default_device()
        with torch.device("meta"):  # each weight is written once, by `initialise`
            self.stem = ConvNorm(in_chans, spec.stem_width, 3, stride=2)
            self.stages = nn.Sequential(*_stages(spec, drop_path))  # timm's feature wrappers open this type alone
            self.head = ConvNorm(self.num_features, spec.head_width, 1)
        self.num_classes = 0
        self.classifier: nn.Module = nn.Identity()
        self._materialise(self, target, seed)
        if num_classes:
            self.reset_classifier(num_classes, seed=seed)

    def _materialise(self, module: nn.Module, device: torch.device, seed: int | None) -> None:
        if device.type == "meta":
            return
        module.to_empty(device=device)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
        generator = None if seed is None else torch.Generator(device).manual_seed(seed)
        initialise(dict(module.named_parameters()), self.init, generator)

    def forward_intermediates(
        self, x: Tensor, indices: Sequence[int] | None = None, intermediates_only: bool = False
    ) -> Any:
        """(b, 3, h, w) -> (last map, list of the tapped maps), or the list alone.

        indices: which taps of `feature_info`; all by default.
        """
        wanted = range(len(self.feature_info)) if indices is None else indices
        modules = [self.feature_info[i]["module"] for i in wanted]
        x, maps = self.stem(x), {}
        for i, stage in enumerate(self.stages):
            maps[f"stages.{i}"] = x = stage(x)
        tapped = [maps[name] for name in modules]
        return tapped if intermediates_only else (x, tapped)

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, num_features, h', w'), the map of the last stage."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map -> (b, num_classes) logits, or the pooled (b, head_width) vector before the classifier."""
        x = F.dropout(self.head(x).mean((2, 3)), self.drop_rate, self.training)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, num_classes), or (b, head_width) without a classifier."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The classifier: a linear layer, or an identity where num_classes is 0."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None, *, seed: int | None = None) -> None:
        """A fresh classifier for `num_classes` classes, on the device of the head; 0 removes it.

        global_pool: taken for timm's sake; only average pooling ("avg" or None) exists here.
        """
        if num_classes < 0 or global_pool not in (None, "avg"):
            raise MetanetError(
                f"a classifier needs 0 classes or more and average pooling, got {num_classes=}, {global_pool=}"
            )
        self.num_classes = num_classes
        if num_classes == 0:
            self.classifier = nn.Identity()
            return
        self.classifier = Linear(self.head_hidden_size, num_classes, device="meta")
        self._materialise(self.classifier, self.head.conv.weight.device, seed)


class FeatureNet(nn.Module):
    """A MetaNet cut to its taps: (b, 3, h, w) -> list of maps, as timm's `features_only=True`."""

    def __init__(self, net: MetaNet, indices: Sequence[int] | None = None) -> None:
        super().__init__()
        wanted = range(len(net.feature_info)) if indices is None else indices
        self.feature_info = FeatureInfo([net.feature_info[i] for i in wanted])
        last = max(int(name.split(".")[1]) for name in self.feature_info.module_name())
        self.spec, self.stem, self.stages = net.spec, net.stem, net.stages[: last + 1]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(b, 3, h, w) -> the tapped maps, from the finest to the coarsest."""
        wanted, maps, x = set(self.feature_info.module_name()), [], self.stem(x)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if f"stages.{i}" in wanted:
                maps.append(x)
        return maps


def _stages(spec: ArchSpec, drop_path: float) -> Iterator[nn.Sequential]:
    """The stages with their blocks; the stochastic-depth rate grows linearly over all blocks."""
    total = sum(stage.depth for stage in spec.stages)
    rates = iter(drop_path * i / max(1, total - 1) for i in range(total))
    width = spec.stem_width
    for stage in spec.stages:
        block = BLOCKS[stage.op]
        first = block(width, stage, stride=stage.stride, drop=next(rates))
        yield nn.Sequential(first, *(block(stage.width, stage, drop=next(rates)) for _ in range(stage.depth - 1)))
        width = stage.width
