"""Which images are for what, the same in every command, so that what one command trained another can test."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metanet.data import Ids, ImageSource

SHARES = {"weights": 0.5, "selection": 0.2, "test": 0.3}


def split(images: "ImageSource", seed: int) -> "dict[str, Ids]":
    """Disjoint images for weights (supernet, experts), selection (probes: what a search climbs) and test."""
    from metanet.data import stratified_split

    return stratified_split(images.labels, SHARES, seed=seed)
