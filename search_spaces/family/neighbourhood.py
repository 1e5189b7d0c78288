"""The space of networks around a shape, and how far each of them is from it."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from metanet.search_spaces.choices import Indices, Mask, StageChoices, StageOptions
from metanet.search_spaces.family.rule import Coefficients, Path
from metanet.search_spaces.space import Space
from metanet.spec import HEAD_OPS, ArchSpec, StageSpec

STEP = 8  # widths are multiples of it
UNIT = 1e-8  # of the squared distance, which is counted in whole numbers
REFUSED = 2**40  # a squared distance in UNIT that no limit reaches
SIZES = ("depth", "width")
Bounds: TypeAlias = tuple[ArchSpec | None, ArchSpec | None]


def kind(stage: StageSpec) -> dict[str, object]:
    """What a stage is but for its depth and width."""
    return {name: value for name, value in stage.to_dict().items() if name not in SIZES}


def kinds(path: Path, stage: int, before: ArchSpec | None = None) -> tuple[StageSpec, ...]:
    """The anchors' stages that differ in kind, the small one's first; only the large one's where the rung before has
    it."""
    small = path.small.stages[stage]
    if path.large is None or kind(path.large.stages[stage]) == kind(small):
        return (small,)
    large = path.large.stages[stage]
    return (large,) if before is not None and kind(before.stages[stage]) == kind(large) else (small, large)


def around(path: Path, found: Coefficients, reach: float, bounds: Bounds = (None, None)) -> Space:
    """The networks around a shape: depths and widths within the reach, a factor, and within the bounds, which are
    networks that every stage is to be at least and at most as deep and as wide as.

    A stage has the operator of either anchor, until the rung before has that of the large one.
    """
    stages = [kinds(path, i, bounds[0]) for i in range(len(path.small.stages))]
    widths = [
        sorted({w for step in steps for w in _values(width, reach, step, _widths(bounds, i))})
        for i, (width, steps) in enumerate(zip(found.shape.widths, _steps(stages), strict=True))
    ]
    made = []
    for i, (own, depth) in enumerate(zip(stages, found.shape.depths, strict=True)):
        depths = _values(depth, reach, 1, _depths(bounds, i))
        made.append(tuple(_choices(one, own, depths, widths[i + 1]) for one in own))
    small = path.small
    return Space("the family's neighbourhood", tuple(made), tuple(widths[0]), (small.head_width,), (small.resolution,))


def distances(space: Space, path: Path, found: Coefficients) -> tuple[Indices, list[Indices]]:
    """Squared distances from the shape in UNIT: of stem widths (n,), of each stage (widths before, widths, options)."""
    shape, stages = found.shape, []
    for i, options in enumerate(space.options):
        wide = _square(options.choices["width"], shape.widths[i + 1])
        deep = _square(options.choices["depth"], shape.depths[i])[options.genes["depth"]]
        own = deep + _strange(path, found.progress[i + 1], i, options)
        both = np.broadcast_to(wide[None, :, None] + own, options.valid.shape).copy()
        if _tied(path, i):
            both[_unequal(options)] = REFUSED
        stages.append(both)
    return _square(space.stem_width, shape.widths[0]), stages


def distance_of(space: Space, tables: tuple[Indices, list[Indices]], rows: Indices) -> Indices:
    """(n,) the squared distance of each row, in UNIT."""
    before = rows[:, space.column["stem_width"]]
    total: Indices = tables[0][before]
    for i, (table, option) in enumerate(zip(tables[1], space.option_ids(rows), strict=True)):
        width = rows[:, space.column[f"stage{i}.width"]]
        total = total + table[before, width, option]
        before = width
    return total


def _widths(bounds: Bounds, at: int) -> list[int | None]:
    return [None if one is None else (one.stem_width, *(s.width for s in one.stages))[at] for one in bounds]


def _depths(bounds: Bounds, at: int) -> list[int | None]:
    return [None if one is None else one.stages[at].depth for one in bounds]


def _values(ideal: float, reach: float, step: int, bounds: Sequence[int | None]) -> tuple[int, ...]:
    """Multiples of a step within the reach of an ideal and within the bounds; where there is none, one next to them."""
    low, high = bounds
    first, last = max(1, math.ceil(ideal / reach / step)), math.floor(ideal * reach / step)
    first = first if low is None else max(first, -(-low // step))
    last = last if high is None else min(last, high // step)
    if last < first:  # a bound or the step leaves nothing within the reach
        first = last = last if high is not None and last >= 1 else first
    return tuple(range(first * step, last * step + 1, step))


def _steps(stages: Sequence[tuple[StageSpec, ...]]) -> list[set[int]]:
    """What the widths of the stem and of each stage are multiples of, one of these: heads divide what attention reads
    and writes."""
    own = [{STEP}, *({math.lcm(STEP, one.head_dim or 1) for one in kinds} for kinds in stages)]
    read = [{one.head_dim or 1 if one.op in HEAD_OPS and not one.down else 1 for one in kinds} for kinds in stages]
    return [{math.lcm(a, b) for a in here for b in after} for here, after in zip(own, [*read, {1}], strict=True)]


def _choices(
    stage: StageSpec, kinds: tuple[StageSpec, ...], depths: Sequence[int], widths: Sequence[int]
) -> StageChoices:
    """A stage whose depth and width alone are choices; window and grid are those of any kind that has one."""
    constants = {name: next((v for one in kinds if (v := getattr(one, name))), 7) for name in ("window", "grid")}
    return StageChoices(
        tuple(depths),
        tuple(widths),
        (stage.expansion,),
        (stage.op,),
        kernel=(stage.kernel or 3,),
        se=(True if stage.se is None else stage.se,),
        head_dim=(stage.head_dim or STEP,),
        down=(stage.down,),
        stride=stage.stride,
        **constants,
    )


def _square(values: Iterable[int], ideal: float) -> Indices:
    return np.rint(np.log2(np.array(list(values)) / ideal) ** 2 / UNIT).astype(np.int64)


def _strange(path: Path, progress: float, stage: int, options: StageOptions) -> Indices:
    """(options,) the square, in UNIT, of how far a progress is from the anchor whose operator an option has."""
    if len(kinds(path, stage)) == 1:
        return np.zeros(len(options.codes), dtype=np.int64)
    small = options.made_by(options.alternatives[0]) & (len(options.alternatives) == 2)
    return np.rint(np.where(small, progress, 1 - progress) ** 2 / UNIT).astype(np.int64)


def _tied(path: Path, stage: int) -> bool:
    """Whether every anchor has equal widths before and in a stage that keeps its stride."""
    anchors = [path.small] + ([path.large] if path.large else [])
    pairs = [list(pairwise((one.stem_width, *(s.width for s in one.stages))))[stage] for one in anchors]
    return path.small.stages[stage].stride == 1 and all(a == b for a, b in pairs)


def _unequal(options: StageOptions) -> Mask:
    before, width = np.array(options.before), np.array(options.choices["width"])
    return np.asarray(before[:, None] != width[None, :])
