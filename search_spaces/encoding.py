"""Architectures as rows of choice indices, one column a gene, and back; all of many rows at once.

A row is canonical where every gene without effect has index 0. A stage's genes but its width are one option of it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metanet.errors import MetanetError
from metanet.search_spaces.choices import CONSTANTS, OPTION_GENES, STAGE_GENES, Indices
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

Paths = tuple[list[Indices], list[Indices]]
NETWORK_GENES = ("resolution", "stem_width", "head_width")


def option_ids(space: "Space", rows: Indices) -> list[NDArray[np.int32]]:
    """(n,) for each stage: the option of each row, canonical or not; -1 for genes that no alternative allows."""
    found = []
    for i, options in enumerate(space.options):
        at = space.column[f"stage{i}.op"]
        # the width stands between depth and expansion in a row, and is no part of an option
        columns = [rows[:, at + STAGE_GENES.index(gene)] for gene in OPTION_GENES]
        code = columns[0]
        for size, column in zip(options.shape[1:], columns[1:], strict=True):
            code = code * size + column
        option = options.option_of[code]
        if options.single.any():
            w_in, width = _widths(space, rows, i)
            option = np.where(options.reduced[w_in, width], options.shortened[option], option)
        found.append(option)
    return found


def _widths(space: "Space", rows: Indices, stage: int) -> tuple[Indices, Indices]:
    """(n,) indices of the width before a stage and of its own."""
    before = "stem_width" if stage == 0 else f"stage{stage - 1}.width"
    return rows[:, space.column[before]], rows[:, space.column[f"stage{stage}.width"]]


def canonical(space: "Space", rows: Indices) -> Indices:
    """Rows (n, genes) with every gene without effect set to index 0."""
    rows = np.array(rows, dtype=np.int64)
    for i, (options, option) in enumerate(zip(space.options, option_ids(space, rows), strict=True)):
        for gene in OPTION_GENES:
            rows[:, space.column[f"stage{i}.{gene}"]] = options.genes[gene][option]
    return rows


def path_rows(space: "Space", resolution: int, paths: Paths) -> Indices:
    """Paths through the stages as canonical rows of choice indices.

    paths: indices of the stem, of each stage's width, of the head; of each stage's option, anything at both ends
    """
    (stem, *widths, head), (_, *options, _) = paths
    columns = np.zeros((len(space.genes), len(stem)), dtype=np.int64)  # a column a row: written in one piece
    columns[space.column["resolution"]] = resolution
    columns[space.column["stem_width"]] = stem
    columns[space.column["head_width"]] = head
    for i, (stage, width, option) in enumerate(zip(space.options, widths, options, strict=True)):
        columns[space.column[f"stage{i}.width"]] = width
        for gene in OPTION_GENES:
            if len(stage.choices[gene]) > 1:
                np.take(stage.genes[gene], option, out=columns[space.column[f"stage{i}.{gene}"]])
    return columns.T


def faults(space: "Space", rows: Indices) -> Indices:
    """(n,) the number of stages of each row that cannot be built or are outside the space."""
    count = np.zeros(len(rows), dtype=np.int64)
    for i, (options, option) in enumerate(zip(space.options, option_ids(space, rows), strict=True)):
        w_in, width = _widths(space, rows, i)
        count += ~((option >= 0) & options.valid[w_in, width, option])
    return count


def specs(space: "Space", rows: Indices) -> list[ArchSpec]:
    """The architectures of many valid rows: as `decode`, without checking each of them again."""
    stages = []
    for i, (options, option) in enumerate(zip(space.options, option_ids(space, rows), strict=True)):
        before, width = _widths(space, rows, i)
        _, wide, deep = options.valid.shape
        codes, at = np.unique((before * wide + width) * deep + option, return_inverse=True)
        known = options.specs(*np.unravel_index(codes, options.valid.shape))  # equal stages are one object
        stages.append([known[k] for k in at.tolist()])
    stem, head, px = (
        [getattr(space, name)[k] for k in rows[:, space.column[name]].tolist()]
        for name in ("stem_width", "head_width", "resolution")
    )
    return list(map(ArchSpec.of_checked, zip(*stages, strict=True), stem, head, px))


def encode(space: "Space", spec: ArchSpec) -> Indices:
    """The canonical row of an architecture. Raises MetanetError, naming the gene, where it is outside the space."""
    row = np.zeros(len(space.genes), dtype=np.int64)
    for name, value in _picked(space, spec).items():
        choices = space.genes[space.column[name]].choices
        if value not in choices:
            raise MetanetError(f"{name}={value!r} is outside space {space.name}, which has {choices}")
        row[space.column[name]] = choices.index(value)
    if not space.valid(row[None])[0]:
        raise MetanetError(f"{spec.id} is outside space {space.name}: no alternative allows its stages together")
    return row


def _picked(space: "Space", spec: ArchSpec) -> dict[str, Any]:
    """The values of an architecture's genes that have an effect, by name."""
    if len(spec.stages) != len(space.options):
        raise MetanetError(f"space {space.name} has {len(space.options)} stages, the architecture {len(spec.stages)}")
    picked: dict[str, Any] = {name: getattr(spec, name) for name in NETWORK_GENES}
    for i, (stage, options) in enumerate(zip(spec.stages, space.options, strict=True)):
        for name in CONSTANTS:
            has, got = options.constants[name], getattr(stage, name)
            if got is not None and got != has:
                raise MetanetError(f"stage {i} is outside space {space.name}: it has {name}={has} there, got {got}")
        single = stage.mixes_tokens and stage.depth == 1 and not stage.down
        before = spec.stages[i - 1].width if i else spec.stem_width
        for gene in STAGE_GENES:
            value = getattr(stage, gene)
            inert = (value is None and gene != "down") or (
                gene == "expansion" and single and options.reduces(before, stage.width)
            )
            if not inert:
                picked[f"stage{i}.{gene}"] = value
    return picked
