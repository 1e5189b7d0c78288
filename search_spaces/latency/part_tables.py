"""Sums over the parts of every architecture of a space, as tables: the form of its other costs (`costs`)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metanet.search_spaces.choices import OPTION_GENES, Indices, Mask, StageOptions
from metanet.search_spaces.latency import parts
from metanet.search_spaces.latency.parts import Part

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

Table = NDArray[np.int64]
Value = Callable[[Part], int]


@dataclass(frozen=True)
class PartTables:
    """Values of the ends, and sums over the parts of each stage; 0 where no architecture of the space passes.

    stem     (resolutions, stem widths)
    stages   for each stage (resolutions, widths before, widths, options)
    head     (resolutions, last widths, head widths)
    """

    stem: Table
    stages: list[Table]
    head: Table


def part_tables(space: "Space", value: Value) -> PartTables:
    """The tables of a value of parts: nanoseconds, say. It is asked once for each distinct part that the space has."""
    known: dict[Part, int] = {}

    def of(part: Part) -> int:
        if part not in known:
            known[part] = value(part)
        return known[part]

    masks = _passed(space)
    sides = np.array(space.resolution, dtype=np.int64)
    stem = np.array([[of(parts.stem(w, r)) for w in space.stem_width] for r in space.resolution], dtype=np.int64)
    sides, stages = -(-sides // 2), []
    for options, mask in zip(space.options, masks, strict=True):
        stages.append(np.stack([_stage(options, mask, side, of) for side in sides.tolist()]))
        sides = -(-sides // options.constants["stride"])
    widths = space.options[-1].choices["width"]
    head = np.zeros((len(sides), len(widths), len(space.head_width)), dtype=np.int64)
    for j in np.flatnonzero(masks[-1].any(axis=(0, 2))):
        head[:, j] = [[of(parts.head(widths[j], w, side)) for w in space.head_width] for side in sides.tolist()]
    return PartTables(stem, stages, head)


def parts_in(space: "Space") -> list[Part]:
    """The distinct parts of all architectures of a space."""
    found: list[Part] = []

    def collect(part: Part) -> int:
        found.append(part)
        return 0

    part_tables(space, collect)
    return found


def _passed(space: "Space") -> list[Mask]:
    """For each stage (widths before, widths, options): what architectures pass, from the stem through to the head."""
    ahead = np.ones(len(space.stem_width), dtype=bool)
    masks = []
    for options in space.options:
        masks.append(options.valid & ahead[:, None, None])
        ahead = np.asarray(masks[-1].any(axis=(0, 2)))
    behind = ahead
    for i in reversed(range(len(masks))):
        masks[i] = masks[i] & behind[None, :, None]
        behind = np.asarray(masks[i].any(axis=(1, 2)))
    return masks


def _stage(options: StageOptions, mask: Mask, side: int, of: Value) -> Table:
    """(widths before, widths, options) on maps of side x side positions before the stage."""
    table = np.zeros(mask.shape, dtype=np.int64)
    depth = np.array(options.choices["depth"])[options.genes["depth"]]
    for own in _alike(options):
        genes = {gene: options.choices[gene][options.genes[gene][own[0]]] for gene in OPTION_GENES}
        for i, j in np.argwhere(mask[:, :, own].any(axis=2)).tolist():
            kept = own[mask[i, j, own]]
            stage = options.spec({**genes, "width": options.choices["width"][j], "depth": int(depth[kept].max())})
            values = [of(part) for part in parts.stage_parts(stage, options.before[i], side)]
            sums = np.cumsum(values)[1 if stage.down else 0 :]  # of the blocks up to each and what stands in front
            table[i, j, kept] = sums[depth[kept] - 1]
    return table


def _alike(options: StageOptions) -> list[Indices]:
    """The options, those together that differ in depth alone and therefore share their blocks."""
    genes = np.stack([options.genes[gene] for gene in OPTION_GENES if gene != "depth"])
    _, group = np.unique(genes, axis=1, return_inverse=True)
    return [np.flatnonzero(group.reshape(-1) == k) for k in range(group.max() + 1)]
