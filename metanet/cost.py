"""The exact price of an architecture, without building it."""

from typing import Any

from metanet.blocks import BLOCKS, DOWN_MODULES, Cost, Tally
from metanet.errors import MetanetError
from metanet.spec import ArchSpec, reduces

__all__ = ["Cost", "describe", "price", "stage_costs"]


def stage_costs(spec: ArchSpec, size: tuple[int, int], num_classes: int = 0) -> dict[str, Cost]:
    """The cost of each part (stem, stage 0, stage 1, …, head), in the order of the forward pass.

    size: height and width of the input in pixels.
    """
    parts: dict[str, Cost] = {}
    tally = Tally(*size)
    tally.conv(3, spec.stem_width, 3, stride=2)
    tally.norm(spec.stem_width)
    tally.nonlinearity(spec.stem_width)
    parts["stem"] = tally.cost
    width = spec.stem_width
    for i, stage in enumerate(spec.stages):
        total, (w_first, stride) = Cost(), stage.first(width)
        if stage.down:
            tally = Tally(tally.height, tally.width)
            DOWN_MODULES[stage.down].cost(tally, width, stage)
            total += tally.cost
        tally = Tally(tally.height, tally.width)
        BLOCKS[stage.op].cost(tally, w_first, stage, stride=stride)
        total += tally.cost
        tally = Tally(tally.height, tally.width)
        BLOCKS[stage.op].cost(tally, stage.width, stage)  # each later block costs the same
        parts[f"stage {i}"] = total + tally.cost * (stage.depth - 1)
        width = stage.width
    tally = Tally(tally.height, tally.width)
    tally.conv(width, spec.head_width, 1)
    tally.norm(spec.head_width)
    tally.nonlinearity(spec.head_width)
    if num_classes:
        tally.linear(spec.head_width, num_classes, tokens=1)
    parts["head"] = tally.cost
    return parts


def price(spec: ArchSpec, *, resolution: int | tuple[int, int] | None = None, num_classes: int = 0) -> Cost:
    """The cost of a spec at a resolution (pixels a side, or height and width; the spec's own by default).

    Equals torch's FlopCounterMode // 2 on the meta device and the number of parameters, to the integer.
    Raises MetanetError for sizes below one pixel.
    """
    size = spec.resolution if resolution is None else resolution
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1 or num_classes < 0:
        raise MetanetError(
            f"a cost needs a size of at least 1 pixel and 0 classes or more, got {resolution=} and {num_classes=}"
        )
    return sum(stage_costs(spec, (height, width), num_classes).values(), Cost())


def describe(spec: ArchSpec, *, resolution: int | None = None, num_classes: int = 0) -> list[dict[str, Any]]:
    """One row a part of the network (stem, stages, head): name, the fields of its StageSpec that have an effect (op,
    depth, width, stride, expansion …), input and map (height and width of what it takes and of what it leaves), macs,
    params, activations, peak. What `metanet show` prints and reports draw."""
    side = spec.resolution if resolution is None else resolution
    priced = stage_costs(spec, (side, side), num_classes)
    parts: list[dict[str, Any]] = [{"op": "stem", "depth": 1, "width": spec.stem_width, "stride": 2}]
    for w_in, stage in zip((spec.stem_width, *(s.width for s in spec.stages)), spec.stages, strict=False):
        parts.append(stage.to_dict())
        if stage.mixes_tokens and stage.depth == 1 and reduces(w_in, stage):
            del parts[-1]["expansion"]  # the reduced block has no MLP
    parts += [{"op": "head", "depth": 1, "width": spec.head_width, "stride": 1}]
    rows = []
    for part, (name, cost) in zip(parts, priced.items(), strict=True):
        left = 1 if name == "head" else -(-side // part["stride"])  # the head pools
        maps = {"input": (side, side), "map": (left, left)}
        costs = {key: getattr(cost, key) for key in ("macs", "params", "activations", "peak")}
        rows.append({"name": name, **part, **maps, **costs})
        side = left
    return rows
