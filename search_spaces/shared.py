"""Which weights the architectures of a space share, and what each parameter of a sub-network takes from them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Size, Tensor, nn

from metanet.blocks import BLOCKS, DOWN_MODULES
from metanet.blocks.cuts import Cut, Take, leading
from metanet.errors import MetanetError
from metanet.model import ConvNorm, MetaNet
from metanet.search_spaces.choices import StageOptions
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec, StageSpec


@dataclass(frozen=True)
class Slice:
    """What one parameter of a network takes from the shared weights.

    path   of the parameter in the network
    owner  its module's table of parameters, and its name there
    empty  what stands there without weights
    key    of the shared weights
    take   cuts them
    """

    path: str
    owner: dict[str, Any]
    name: str
    empty: Any
    key: str
    take: Take

    def of(self, weights: Mapping[str, Any]) -> Tensor:
        """The slice of the present weights.

        Kernels of 2-d convolutions stay views: a convolution brings them into its own layout anyway. All others are
        contiguous, since matrix products may round otherwise where rows lie apart.
        """
        value = self.take(weights[self.key])
        return value if value.ndim == self.empty.ndim == 4 else value.reshape(self.empty.shape).contiguous()


def slices(net: MetaNet, weights: Mapping[str, Any]) -> Iterator[Slice]:
    """The slices of all parameters of a network, which may be on the meta device."""
    for path, part in net.named_modules():
        owner: dict[str, Any] = part._parameters  # what torch.func.functional_call swaps, too
        for name, value in owner.items():
            if value is not None:
                shared, cut = _source(f"{path}.{name}", net.spec)
                key = key_of(shared)
                yield Slice(f"{path}.{name}", owner, name, value, key, cut(weights[key].shape, value.shape))


def _source(path: str, spec: ArchSpec) -> tuple[str, Cut]:
    """The name of the shared weights of a network's parameter, and how they are cut."""
    if not path.startswith("stages."):
        return path, leading
    _, i, part, inner = path.split(".", 3)
    stage = spec.stages[int(i)]
    kind = str(stage.down) if part == "down" else stage.op
    kinds: Mapping[str, Any] = DOWN_MODULES if part == "down" else BLOCKS
    return shared_name(int(i), part, kind, inner), kinds[kind].CUTS.get(inner, leading)


def shared_name(stage: int, part: str, kind: str, inner: str) -> str:
    """Name of the shared weights of a parameter: a branch for each op or downsampling module of a stage, a set for each
    position ("0", "1", …) and one for "down".

    The shortcut is one for all kinds: it gives them a common basis, so that what follows meets features that differ by
    a residual branch, not by an arbitrary rotation.
    """
    return f"stages.{stage}.{part}.{inner if inner.startswith('shortcut.') else f'{kind}.{inner}'}"


def key_of(name: str) -> str:
    """The key of shared weights in a ParameterDict, whose keys hold no dots."""
    return name.replace(".", "/")


def shared_shapes(space: Space) -> dict[str, Size]:
    """The shape of each shared weight: the largest extent in each dimension that any architecture asks for."""
    shapes: dict[str, Size] = {}

    def cover(module: nn.Module, *names_of: Callable[[str], str]) -> None:
        extents = [(name, value.shape) for name, value in module.named_parameters()]
        for name_of in names_of:
            for name, shape in extents:
                shared = name_of(name)
                shapes[shared] = Size(map(max, shapes.get(shared, shape), shape))

    with torch.device("meta"):
        for stem, head in product(space.stem_width, space.head_width):
            cover(ConvNorm(3, stem, 3, 2), "stem.{}".format)
            for last in space.options[-1].choices["width"]:
                cover(ConvNorm(last, head, 1), "head.{}".format)
        for i, options in enumerate(space.options):
            others = [str(j) for j in range(1, max(options.choices["depth"]))]
            parts = (part for stage, w_in in _extents(options) for part in _parts(stage, w_in))
            for part, kind, w_in, stage, stride in dict.fromkeys(parts):
                down = part == "down"
                module = DOWN_MODULES[kind](w_in, stage) if down else BLOCKS[kind](w_in, stage, stride=stride)
                cover(module, *(partial(shared_name, i, j, kind) for j in (others if part == "other" else [part])))
    return shapes


def _parts(stage: StageSpec, w_in: int) -> Iterator[tuple[str, str, int, StageSpec, int]]:
    """The module in front ("down"), the first block ("0") and what all the others are ("other"): (part, kind, width
    before, all that it knows of the stage, stride). Many stages have the same parts."""
    if stage.down:
        alone = StageSpec("mbconv", 1, stage.width, 1, stage.stride, head_dim=stage.head_dim, down=stage.down)
        yield "down", stage.down, w_in, alone, stage.stride
    block = replace(stage, down=None)
    yield "0", stage.op, stage.first(w_in)[0], block, stage.first(w_in)[1]
    yield "other", stage.op, stage.width, block, 1


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
