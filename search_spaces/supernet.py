"""One set of shared weights for all architectures of a space.

There are no dynamic layers: a sub-network is its ordinary MetaNet, built on the meta device and run with slices of
the shared weights through `torch.func.functional_call`. Each op of a stage has its own branch of weights, and each
block position its own; the shortcut is shared by all ops. BatchNorm statistics belong to a sub-network: training uses
those of the batch, evaluation takes the ones that `calibrate` measured.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.func import functional_call

from metanet.blocks import BLOCKS, DOWN_MODULES
from metanet.blocks.cuts import leading
from metanet.blocks.initial import Init, initialise
from metanet.errors import MetanetError
from metanet.model import ConvNorm, MetaNet
from metanet.search_spaces.choices import StageOptions
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec, StageSpec

Stats = dict[str, Tensor]


class Supernet(nn.Module):
    """Shared weights for a space; `supernet(x, spec, stats)` is the function of `supernet.extract(spec, stats)`.

    num_classes   width of the classifier, 0 for pooled feature vectors as output
    init          initial values; branches start near silence (LayerScale 0.1, zero gamma), so that all ops of a stage
                  start from the same features
    seed          of the initial values
    """

    def __init__(self, space: Space, num_classes: int = 0, *, init: Init | None = None, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        self.init = Init(layer_scale=0.1) if init is None else init
        shapes = shared_shapes(space)
        self.shared = nn.ParameterDict({_key(name): nn.Parameter(torch.empty(shape)) for name, shape in shapes.items()})
        generator = torch.Generator().manual_seed(seed)
        initialise({name: self.shared[_key(name)] for name in shapes}, self.init, generator)
        self.num_classes = 0
        self.reset_classifier(num_classes, seed=seed)

    def reset_classifier(self, num_classes: int, *, seed: int = 0) -> None:
        """A fresh shared classifier for `num_classes` classes; 0 removes it."""
        self.num_classes = num_classes
        for name in ("classifier.weight", "classifier.bias"):
            if _key(name) in self.shared:
                del self.shared[_key(name)]
        if num_classes:
            device = self.shared[_key("stem.conv.weight")].device
            layer = nn.Linear(max(self.space.head_width), num_classes)
            params = {f"classifier.{name}": value for name, value in layer.named_parameters()}
            initialise(params, self.init, torch.Generator().manual_seed(seed))
            self.shared.update({_key(name): nn.Parameter(value.detach().to(device)) for name, value in params.items()})

    def weights(self, spec: ArchSpec) -> dict[str, Tensor]:
        """The slices of the shared weights that make up a sub-network, by its parameters' names.

        Raises MetanetError where the architecture is outside the space.
        """
        self.space.encode(spec)
        return self._slices(spec, self._skeleton(spec))

    def forward(self, x: Tensor, spec: ArchSpec, stats: Mapping[str, Tensor] | None = None) -> Tensor:
        """(b, 3, h, w) -> (b, num_classes), or (b, head_width) without a classifier.

        stats: BatchNorm statistics from `calibrate`; with them the sub-network is evaluated, without them it runs in
            training mode, on the batch's own. Raises MetanetError without them where the supernet is in eval mode.
        """
        if stats is None and not self.training:
            raise _no_statistics()
        self.space.encode(spec)
        skeleton = self._skeleton(spec).train(stats is None)
        values = self._slices(spec, skeleton) | dict(stats or {})
        return functional_call(skeleton, values, (x,))  # type: ignore[no-any-return]

    def extract(self, spec: ArchSpec, stats: Mapping[str, Tensor] | None = None) -> MetaNet:
        """A sub-network with its own copy of the weights. Without statistics it must be trained before it is used in
        eval mode, and says so."""
        self.space.encode(spec)
        net = MetaNet(spec, self.num_classes, init=self.init, device="meta")
        weights = self._slices(spec, net)
        net.to_empty(device=weights["stem.conv.weight"].device)
        with torch.no_grad():
            for name, value in net.named_parameters():
                value.copy_(weights[name])
            for part in net.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.reset_running_stats()
            for name, buffer in net.named_buffers():
                if stats is not None and name in stats:
                    buffer.copy_(stats[name])
        if stats is None:
            net.stem.register_forward_pre_hook(_demand_statistics)
            return net.train()
        return net.eval()

    @torch.no_grad()
    def calibrate(self, spec: ArchSpec, batches: Iterable[Tensor]) -> Stats:
        """The BatchNorm statistics of a sub-network, averaged over batches (b, 3, h, w) of images.

        Raises MetanetError where there is no batch.
        """
        net = self.extract(spec).train()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # a plain average over the batches
        for x in batches:
            net(x)
        if not int(net.stem.norm.num_batches_tracked or 0):
            raise MetanetError("calibration needs at least one batch of images, got none")
        return {name: value for name, value in net.named_buffers() if "running" in name}

    def _skeleton(self, spec: ArchSpec) -> MetaNet:
        net = MetaNet(spec, self.num_classes, device="meta")
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.track_running_stats = False  # in training, no buffers are written
        return net

    def _slices(self, spec: ArchSpec, skeleton: MetaNet) -> dict[str, Tensor]:
        slices = {}
        for name, value in skeleton.named_parameters():
            shared, cut = name, leading
            if name.startswith("stages."):
                _, i, part, inner = name.split(".", 3)
                stage = spec.stages[int(i)]
                kind = str(stage.down) if part == "down" else stage.op
                shared = shared_name(int(i), part, kind, inner)
                parts: Mapping[str, Any] = DOWN_MODULES if part == "down" else BLOCKS
                cut = parts[kind].CUTS.get(inner, leading)
            slices[name] = cut(self.shared[_key(shared)], value.shape).contiguous()
        return slices


def shared_name(stage: int, part: str, kind: str, inner: str) -> str:
    """Name of the shared weights of a parameter: a branch for each op or downsampling module of a stage, a set for each
    position ("0", "1", …) and one for "down".

    The shortcut is one for all kinds: it gives them a common basis, so that what follows meets features that differ by
    a residual branch, not by an arbitrary rotation.
    """
    return f"stages.{stage}.{part}.{inner if inner.startswith('shortcut.') else f'{kind}.{inner}'}"


def shared_shapes(space: Space) -> dict[str, Size]:
    """The shape of each shared weight: the largest extent in each dimension that any architecture asks for."""
    shapes: dict[str, Size] = {}

    def cover(module: nn.Module, name_of: Callable[[str], str]) -> None:
        for name, value in module.named_parameters():
            known = shapes.get(name_of(name), value.shape)
            shapes[name_of(name)] = Size(max(a, b) for a, b in zip(known, value.shape, strict=True))

    with torch.device("meta"):
        for stem, head in product(space.stem_width, space.head_width):
            cover(ConvNorm(3, stem, 3, 2), "stem.{}".format)
            for last in space.options[-1].choices["width"]:
                cover(ConvNorm(last, head, 1), "head.{}".format)
        for i, options in enumerate(space.options):
            deepest = max(options.choices["depth"])
            for stage, w_in in _extents(options):
                if stage.down:
                    cover(DOWN_MODULES[stage.down](w_in, stage), partial(shared_name, i, "down", stage.down))
                w_first, stride = stage.first(w_in)
                cover(BLOCKS[stage.op](w_first, stage, stride=stride), partial(shared_name, i, "0", stage.op))
                for j in range(1, deepest):
                    cover(BLOCKS[stage.op](stage.width, stage), partial(shared_name, i, str(j), stage.op))
    return shapes


def _extents(options: StageOptions) -> Iterator[tuple[StageSpec, int]]:
    """Stages that together hold every part in every width, with the width before: some parts exist only where widths
    differ or where they are equal; heads are most where they are smallest."""
    choices = options.choices
    fixed = {"kernel": max(choices["kernel"]), "se": max(choices["se"])}
    varied = ("op", "width", "expansion", "head_dim", "down")
    for values in product(*(choices[gene] for gene in varied)):
        picked = {**fixed, **dict(zip(varied, values, strict=True))}
        for w_in in options.before:
            with suppress(MetanetError):  # a head size that does not divide the width
                ArchSpec((stage := options.spec(picked),), stem_width=w_in)
                yield stage, w_in


def _key(name: str) -> str:
    return name.replace(".", "/")  # a ParameterDict's keys hold no dots


def _no_statistics() -> MetanetError:
    return MetanetError(
        "a sub-network of a supernet has no BatchNorm statistics of its own: in eval mode pass "
        "stats=supernet.calibrate(spec, batches), or train the extracted network first"
    )


def _demand_statistics(stem: nn.Module, _: Any) -> None:
    """Before the forward pass of an extracted network: no evaluation before BatchNorm has seen a batch."""
    if not stem.training and int(stem.norm.num_batches_tracked) == 0:  # type: ignore[union-attr,arg-type]
        raise _no_statistics()
