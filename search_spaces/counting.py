"""Canonical rows and the exact number of distinct architectures."""

from typing import TYPE_CHECKING

import numpy as np

from metanet.spec import CONV_OPS, TOKEN_OPS, ArchSpec, StageSpec, reduces

if TYPE_CHECKING:
    from metanet.search_spaces.space import Indices, Space, StageChoices


def inert_genes(stage: StageSpec, w_in: int) -> frozenset[str]:
    """The genes of a stage that do not change the network: kernel and SE where it mixes tokens, and the expansion of a
    stage that is one reduced transformer block."""
    if not stage.mixes_tokens:
        return frozenset()
    single = stage.depth == 1 and reduces(w_in, stage)
    return frozenset({"kernel", "se", "expansion"} if single else {"kernel", "se"})


def inert_columns(space: "Space", spec: ArchSpec) -> list[int]:
    """The columns of the genes that do not change this architecture."""
    before = (spec.stem_width, *(stage.width for stage in spec.stages))
    inert = (inert_genes(stage, w_in) for stage, w_in in zip(spec.stages, before, strict=False))
    return [space.column[f"stage{i}.{gene}"] for i, genes in enumerate(inert) for gene in sorted(genes)]


def canonical(space: "Space", rows: "Indices") -> "Indices":
    """Rows (n, genes) with every gene without effect set to index 0; the vectorised form of `inert_genes`."""
    rows = np.array(rows, dtype=np.int64)
    before = np.asarray(space.stem_width)[rows[:, space.column["stem_width"]]]
    for i, stage in enumerate(space.stages):
        col = {gene: space.column[f"stage{i}.{gene}"] for gene in ("op", "depth", "width", "expansion", "kernel", "se")}
        mixes = np.isin(stage.op, TOKEN_OPS)[rows[:, col["op"]]]
        width = np.asarray(stage.width)[rows[:, col["width"]]]
        single = mixes & (np.asarray(stage.depth)[rows[:, col["depth"]]] == 1)
        single &= (before != width) | (stage.stride != 1)
        rows[mixes, col["kernel"]] = 0
        rows[mixes, col["se"]] = 0
        rows[single, col["expansion"]] = 0
        before = width
    return rows


def size(space: "Space") -> int:
    """The number of distinct architectures: a sum over the chain of widths, since only the width before a stage
    decides which of its genes have an effect."""
    ways = dict.fromkeys(space.stem_width, 1)
    for stage in space.stages:
        ways = {w: sum(n * _options(stage, before, w) for before, n in ways.items()) for w in stage.width}
    return sum(ways.values()) * len(space.resolution) * len(space.head_width)


def _options(stage: "StageChoices", w_in: int, width: int) -> int:
    """Distinct stages of one width after a given width."""
    convs = sum(op in CONV_OPS for op in stage.op)
    mixers = len(stage.op) - convs
    expansions, depths = len(stage.expansion), len(stage.depth)
    singles = 1 in stage.depth and (stage.stride != 1 or w_in != width)
    mixed = expansions * (depths - singles) + singles
    return convs * depths * expansions * len(stage.kernel) * len(stage.se) + mixers * mixed
