"""Progressive shrinking (Cai et al. 2020, OFA, section 3.3): the largest network first, then smaller kernels, depths
and widths, one after the other, each phase on top of the ones before.

Only what makes a network smaller is closed at first. Ops and downsampling modules have their own branches of weights,
heads only divide the same ones, and the resolution is elastic in the paper, too: these genes are open in all phases,
and so is the choice among a stage's alternatives.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metanet.errors import MetanetError
from metanet.search_spaces.choices import STAGE_GENES, StageChoices
from metanet.search_spaces.encoding import NETWORK_GENES
from metanet.search_spaces.space import Space, Stage
from metanet.search_spaces.training.parts import Rule

# what each phase opens; in the first one nothing of it is
PHASES: Mapping[str, tuple[str, ...]] = {
    "largest": (),
    "kernel": ("kernel", "se"),
    "depth": ("depth",),
    "width": ("width", "expansion", "stem_width", "head_width"),
}


def phases(space: Space) -> Mapping[str, Space]:
    """The subspace of each phase, by name; the last one is the whole space.

    Raises MetanetError for a phase in which no network can be built.
    """
    closed = [gene for opened in PHASES.values() for gene in opened]
    found = {}
    for name, opened in PHASES.items():
        closed = [gene for gene in closed if gene not in opened]
        try:
            found[name] = _largest(space, closed)
        except MetanetError as error:
            raise MetanetError(
                f"phase {name!r} of progressive shrinking has no network in space {space.name} ({error}): "
                "leave progressive-shrinking out"
            ) from None
    return found


def _largest(space: Space, genes: list[str]) -> Space:
    """The subspace in which these genes have their largest value, in each alternative of each stage its own."""
    if not genes:
        return space
    stages: list[Stage] = []
    for stage in space.stages:
        alternatives = [_largest_of(one, genes) for one in (stage if isinstance(stage, tuple) else (stage,))]
        stages.append(tuple(alternatives) if isinstance(stage, tuple) else alternatives[0])
    ends: dict[str, Any] = {gene: (max(getattr(space, gene)),) for gene in genes if gene in NETWORK_GENES}
    return replace(space, stages=tuple(stages), **ends)


def _largest_of(choices: StageChoices, genes: list[str]) -> StageChoices:
    ends: dict[str, Any] = {gene: (max(getattr(choices, gene)),) for gene in genes if gene in STAGE_GENES}
    return replace(choices, **ends)


RULE = Rule(
    "schedule",
    phases,
    "the largest network first, then smaller kernels, depths and widths",
    "Cai et al. 2020, OFA, section 3.3",
)
