"""A space that can be enumerated, and its enumeration by brute force."""

from contextlib import suppress
from functools import cache
from itertools import chain, product

from metanet import ArchSpec, MetanetError, StageSpec
from metanet.search_spaces import Space, StageChoices

SMALL = Space(
    name="small",
    stages=(
        StageChoices((1, 2), (8, 12), (1, 2), ("mbconv", "self_attention"), (3,), (True,), head_dim=(4, 8)),
        (  # two alternatives that overlap
            StageChoices(
                (1, 3), (16,), (2, 3), ("fused_mbconv", "token_mlp"), (3,), (True,), head_dim=(8,), down=(None, "local")
            ),
            StageChoices(
                (1,), (16, 24), (3,), ("fused_mbconv", "channel_attention"), kernel=(3, 5), se=(True,), head_dim=(8,)
            ),
        ),
        StageChoices((1,), (16, 24), (1, 2), ("channel_attention",), stride=2, head_dim=(8,), down=(None, "global")),
    ),
    stem_width=(8,),
    head_width=(16,),
    resolution=(16, 17),
)


@cache
def prices():
    """The costs of every architecture of SMALL, by architecture."""
    return {spec: SMALL.price(spec) for spec in enumerated(SMALL)}


def enumerated(space):
    """Every distinct architecture of a space: what the products of the alternatives make, as a set."""
    found = set()
    stages = [one if isinstance(one, tuple) else (one,) for one in space.stages]
    for parts in product(*(chain.from_iterable(map(specs_of, alternatives)) for alternatives in stages)):
        for network in product(space.stem_width, space.head_width, space.resolution):
            with suppress(MetanetError):  # a head size that does not divide the width before
                found.add(ArchSpec(parts, *network))
    return found


def specs_of(choices):
    """Every stage that a set of choices makes."""
    genes = ("op", "depth", "width", "expansion", "kernel", "se", "head_dim", "down")
    found = set()
    for values in product(*(getattr(choices, gene) for gene in genes)):
        with suppress(MetanetError):
            found.add(StageSpec(**dict(zip(genes, values, strict=True)), stride=choices.stride))
    return found
