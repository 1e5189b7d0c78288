"""Subspaces: fewer choices of a gene."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metanet.errors import MetanetError, unknown
from metanet.search_spaces.choices import STAGE_GENES
from metanet.search_spaces.encoding import NETWORK_GENES

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space, Stage


def narrowed(space: "Space", name: str, values: tuple[Any, ...]) -> "Space":
    """The subspace where a gene has only some of its choices."""
    every = name in STAGE_GENES
    genes = [gene for gene in space.genes if gene.name == name or (every and gene.name.endswith(f".{name}"))]
    if not every and name not in space.column:
        raise unknown("gene", name, [*STAGE_GENES, *space.column])
    known = dict.fromkeys(value for gene in genes for value in gene.choices)
    for value in values:
        if value not in known:
            raise MetanetError(f"{name}={value!r} is outside space {space.name}, which has {tuple(known)}")
    if name in NETWORK_GENES:
        return replace(space, **{name: _kept(space, name, getattr(space, name), values)})  # type: ignore[arg-type]
    gene = name.rpartition(".")[2]
    picked = range(len(space.stages)) if every else [int(name.partition(".")[0].removeprefix("stage"))]
    stages: list[Stage] = list(space.stages)
    for i in picked:
        _kept(space, f"stage{i}.{gene}", space.options[i].choices[gene], values)
        narrowed = []
        for one in space.options[i].alternatives:
            if kept := tuple(v for v in getattr(one, gene) if v in values):
                narrowed.append(replace(one, **{gene: kept}))  # type: ignore[arg-type]
        stages[i] = narrowed[0] if len(narrowed) == 1 else tuple(narrowed)
    return replace(space, stages=tuple(stages))


def _kept(space: "Space", name: str, has: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The choices that are left, of which there must be one."""
    kept = tuple(value for value in has if value in values)
    if not kept:
        shown = values[0] if len(values) == 1 else values
        raise MetanetError(f"{name}={shown!r} is outside space {space.name}, which has {has}")
    return kept
