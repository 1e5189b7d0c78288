"""The network that an ArchSpec describes. Shapes: b images, c channels, h x w pixels or positions."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from metanet.blocks import BLOCKS, DOWN_MODULES
from metanet.blocks.initial import Init, initialise
from metanet.blocks.layers import Linear, conv
from metanet.errors import MetanetError
from metanet.features import Backbone, FeatureInfo, chosen_taps, default_cfg, taps
from metanet.spec import ArchSpec

__all__ = ["Backbone", "ConvNorm", "FeatureInfo", "FeatureNet", "MetaNet", "taps"]


class ConvNorm(nn.Module):
    """Convolution without bias, BatchNorm, GELU: the stem and the head."""

    def __init__(self, w_in: int, w_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = conv(w_in, w_out, kernel, stride=stride)
        self.norm = nn.BatchNorm2d(w_out)

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride)), in channels_last."""
        return F.gelu(self.norm(self.conv(x.contiguous(memory_format=torch.channels_last))))


class MetaNet(nn.Module):
    """A network of the unified space; with num_classes=0 its output is the pooled (b, head_width) vector.

    Takes images of any size of at least 32 x 32 pixels for a total stride of 32, odd and oblong ones too. Images are
    brought to torch.channels_last at the door, and all maps stay in it.

    spec         the architecture
    num_classes  width of the classifier, 0 for none
    init         initial values (released ones by default)
    drop_path    stochastic depth of the last block, growing linearly from 0 at the first
    drop_rate    dropout before the classifier
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
        seed: int | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__()
        for name, rate in (("drop_path", drop_path), ("drop_rate", drop_rate)):
            if not 0 <= rate < 1:
                raise MetanetError(f"`{name}` must be in [0, 1), got {rate!r}")
        self.drop_rate, self.checkpointing = drop_rate, False
        self.spec, self.init = spec, Init() if init is None else init
        self.feature_info = taps(spec)
        self.num_features, self.head_hidden_size = spec.stages[-1].width, spec.head_width
        target = torch.device(device) if device is not None else torch.get_default_device()
        with torch.device("meta"):  # each weight is written once, by `initialise`
            self.stem = ConvNorm(3, spec.stem_width, 3, stride=2)
            self.stages = nn.ModuleList(_stages(spec, drop_path))
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
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """(b, 3, h, w) -> (last map, list of the tapped maps), or the list alone; the arguments are timm's.

        indices     which taps of `feature_info`: all (None), the last n, or a list
        norm        taken for timm's sake: no norm follows the last stage
        stop_early  whether stages after the last tap are left out; the last map is then that of the last tap
        output_fmt  only "NCHW"
        """
        if output_fmt != "NCHW":
            raise MetanetError(f"`output_fmt` must be 'NCHW', the only form of these maps, got {output_fmt!r}")
        modules = [self.feature_info[i]["module"] for i in chosen_taps(len(self.feature_info), indices)]
        last = max((int(name.split(".")[1]) for name in modules), default=0)
        end = last + 1 if stop_early else len(self.stages)
        x, maps = self.stem(x), {}
        for i, stage in enumerate(list(self.stages)[:end]):
            maps[f"stages.{i}"] = x = self._run(stage, x)
        tapped = [maps[name] for name in modules]
        return tapped if intermediates_only else (x, tapped)

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, num_features, h', w'), the map of the last stage."""
        x = self.stem(x)
        for stage in self.stages:
            x = self._run(stage, x)
        return x

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        if not (self.checkpointing and torch.is_grad_enabled()):
            return stage(x)  # type: ignore[no-any-return]
        for block in stage.children():
            x = recomputed(block, x)
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

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether training keeps only each block's input and computes its inside again for the gradient: less memory,
        about a third more time, equal gradients and BatchNorm statistics."""
        self.checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's rule that groups parameters by depth for layer-wise learning rates: by block, or by stage (coarse)."""
        inner = [(r"^stages\.(\d+)\.down", (-1,)), (r"^stages\.(\d+)\.(\d+)", None)]
        stages = [(r"^stages\.(\d+)", None)] if coarse else inner
        return {"stem": r"^stem", "blocks": [*stages, (r"^head", (99999,))]}

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters of more than one dimension that are no weights: temperatures, position tables and
        token biases."""
        endings = ("temperature", "relative_position", "expand_bias", "project_bias")
        return {name for name, _ in self.named_parameters() if name.endswith(endings)}

    @property
    def default_cfg(self) -> dict[str, Any]:
        """timm's description of how the network is fed."""
        return default_cfg(self.spec, self.num_classes)

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """The same under timm's newer name."""
        return self.default_cfg

    def save(self, path: str | os.PathLike[str], provenance: Mapping[str, str] | None = None) -> Path:
        """Writes weights, spec, number of classes and provenance to one .safetensors file: `metanet.create(path)` reads
        it."""
        from metanet.weights import save

        return save(self, path, provenance)


class FeatureNet(nn.Module):
    """A MetaNet cut to its taps: (b, 3, h, w) -> list of maps, as timm's `features_only=True`."""

    def __init__(self, net: MetaNet, indices: int | Sequence[int] | None = None) -> None:
        super().__init__()
        wanted = chosen_taps(len(net.feature_info), indices)
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
    """The stages: blocks "0", "1", … and, where there is one, the downsampling module in front, "down". The
    stochastic-depth rate grows linearly over all blocks."""
    total = sum(stage.depth for stage in spec.stages)
    rates = iter(drop_path * i / max(1, total - 1) for i in range(total))
    width = spec.stem_width
    for stage in spec.stages:
        parts = nn.Sequential()
        if stage.down:
            parts.add_module("down", DOWN_MODULES[stage.down](width, stage))
        w_in, stride = stage.first(width)
        for i in range(stage.depth):
            parts.add_module(str(i), BLOCKS[stage.op](w_in, stage, stride=stride, drop=next(rates), index=i))
            w_in, stride = stage.width, 1
        yield parts
        width = stage.width


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """A block whose inside is computed again for the gradient; BatchNorm statistics are updated only once."""
    if torch.compiler.is_compiling():  # the compiler takes no contexts; it recomputes without side effects
        return checkpoint(block, x, use_reentrant=False)  # type: ignore[no-any-return]

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(block)

    return checkpoint(block, x, use_reentrant=False, context_fn=contexts)  # type: ignore[no-any-return]


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Leaves a block's buffers as they were, however often it runs inside."""
    kept = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.data.copy_(value)  # by `data`: autograd holds these buffers, though it never reads them in training
