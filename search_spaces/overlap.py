"""How many architectures several spaces have in common: the chain of widths, over the stages that all of them have."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metanet.search_spaces.choices import OPTION_GENES, Indices, StageOptions

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

Ids = dict[tuple[Any, ...], int]


def common(spaces: Sequence["Space"]) -> int:
    """The exact number of architectures that are in every one of the spaces."""
    first, *others = spaces
    if any(len(space.stages) != len(first.stages) for space in others):
        return 0
    ends = 1
    for name in ("resolution", "head_width"):
        ends *= len(set.intersection(*(set(getattr(space, name)) for space in spaces)))
    ways = dict.fromkeys(set.intersection(*(set(space.stem_width) for space in spaces)), 1)
    for stages in zip(*(space.options for space in spaces), strict=True):
        ways = _onward(stages, ways)
    return ends * sum(ways.values())


def _onward(stages: Sequence[StageOptions], ways: dict[int, int]) -> dict[int, int]:
    """Width -> number of paths behind a stage, from those before it."""
    ids: Ids = {}
    named = [_named(stage, ids) for stage in stages]
    found: dict[int, int] = {}
    for width in set.intersection(*(set(stage.choices["width"]) for stage in stages)):
        for before, count in ways.items():
            kept = [_valid(stage, names, before, width) for stage, names in zip(stages, named, strict=True)]
            alike = kept[0]
            for other in kept[1:]:
                alike = np.intersect1d(alike, other)
            found[width] = found.get(width, 0) + count * len(alike)
    return found


def _valid(stage: StageOptions, names: tuple[Indices, Indices], before: int, width: int) -> Indices:
    """The distinct stages between two widths, as ids."""
    i, j = stage.before.index(before), stage.choices["width"].index(width)
    own = names[int(stage.reduces(before, width))]
    return np.unique(own[stage.valid[i, j]])


def _named(stage: StageOptions, ids: Ids) -> tuple[Indices, Indices]:
    """(options,) an id of what each option is, equal for equal stages of all spaces: where the first block keeps width
    and size, and where it does not, so that a single transformer block has no expansion."""
    plain: list[int] = []
    reduced: list[int] = []
    for k in range(len(stage.codes)):
        value = {gene: stage.choices[gene][stage.genes[gene][k]] for gene in OPTION_GENES} | stage.constants
        value |= {name: None for name, idle in stage.idle.items() if idle[k]}
        short = {**value, "expansion": None} if stage.single[k] else value
        for ids_of, what in ((plain, value), (reduced, short)):
            ids_of.append(ids.setdefault(tuple(what.items()), len(ids)))
    return np.array(plain), np.array(reduced)
