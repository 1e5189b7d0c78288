"""Which images are used for what: splits, percentage subsets and batches, each a function of labels and a seed.

All draws give image c of n in its class, in random order, the key (c + u) / n with one random u in [0, 1) a class, and
take the images whose key lies in an interval. So every share of every class is kept to within one image, and
the subsets of smaller percentages lie inside those of larger ones.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from metanet.data.images import Ids
from metanet.errors import MetanetError

ROLES = {"weights": 0.5, "selection": 0.2, "test": 0.3}
"""What a job does with its images: trains weights, scores candidates, and tests; whoever tests the job's networks takes
the same test images."""

# First word of each random stream, so that no two uses of one seed share numbers.
_KEYS, _BATCHES = 1, 2


def stratified_split(labels: Ids, shares: Mapping[str, float], *, seed: int) -> dict[str, Ids]:
    """Disjoint parts that cover all images, each with its share of every class to within one image; sorted ids.

    Raises:
        MetanetError: the shares are not positive or do not sum to 1, or a part would lack a class.
    """
    if any(not share > 0 for share in shares.values()) or not math.isclose(sum(shares.values()), 1):
        raise MetanetError(f"the shares of a split must be above 0 and sum to 1, got {dict(shares)}")
    keys = _stratified_keys(labels, seed)
    inner_cuts = np.cumsum(list(shares.values()))[:-1]
    part = np.searchsorted(inner_cuts, keys, side="right")
    parts = {name: np.flatnonzero(part == i) for i, name in enumerate(shares)}
    for name, ids in parts.items():
        if len(missing := np.setdiff1d(labels, labels[ids])):
            raise MetanetError(
                f"each part of a split must have an image of each class, got none of class {missing[0]} in {name!r}: "
                "give that part a larger share"
            )
    return parts


def job_split(labels: Ids, *, seed: int, given: Mapping[str, Ids] | None = None) -> dict[str, Ids]:
    """Disjoint images for each of ROLES, as a job with this seed has them.

    given   the parts that are fixed; the others share out what is left, as ROLES says

    Raises:
        MetanetError: a part would lack a class.
    """
    fixed = dict(given or {})
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate([np.empty(0, np.int64), *fixed.values()]))
    found = stratified_split(labels[rest], _shares(role for role in ROLES if role not in fixed), seed=seed)
    return {role: fixed[role] if role in fixed else rest[found[role]] for role in ROLES}


def least_images(roles: Iterable[str]) -> int:
    """How many images of a class give each of these roles one, whatever the seed."""
    return math.ceil(1 / min(_shares(roles).values()) - 1e-9)


def _shares(roles: Iterable[str]) -> dict[str, float]:
    """What each role gets where these share out all images."""
    own = {role: ROLES[role] for role in roles}
    return {role: share / sum(own.values()) for role, share in own.items()}


def percent_subset(labels: Ids, ids: Ids, percent: float, *, seed: int, groups: Ids | None = None) -> Ids:
    """`percent` of `ids`, of each class to within one image and at least one image; sorted.

    For one seed the subset of a smaller percentage lies inside that of a larger one.

    labels   of all images of the source; ids point into it
    groups   of all images of the source: images of one group (a video, a track, a patient …) are drawn together, so
             that shares are kept to within one group. A group of several classes counts for its rarest one

    Raises:
        MetanetError: the percentage is not in (0, 100], a class has no image in `ids`, or not every image has a group.
    """
    if not 0 < percent <= 100:
        raise MetanetError(f"a percentage must be above 0 and at most 100, got {percent}")
    ids = np.sort(np.asarray(ids, dtype=np.int64))
    own = labels[ids]
    if len(missing := np.setdiff1d(labels, own)):
        raise MetanetError(
            f"a subset needs an image of each class, got none of class {missing[0]} among {len(ids)} images"
        )
    if groups is not None:
        if np.shape(groups) != np.shape(labels):
            raise MetanetError(f"each image must have one group, got {np.shape(groups)} for {np.shape(labels)} labels")
        return ids[_drawn_groups(own, groups[ids], percent, seed)]
    keys = _stratified_keys(own, seed)
    first_of_class = keys < 1 / np.bincount(own)[own]
    return ids[(keys < percent / 100) | first_of_class]


def ids_sha256(ids: Ids) -> str:
    """SHA-256 of the ids in their order, as 64-bit little-endian integers."""
    return hashlib.sha256(np.asarray(ids, dtype="<i8").tobytes()).hexdigest()


def batch_ids(ids: Ids, batch_size: int, *, seed: int, step: int) -> Ids:
    """The ids of training step `step`: each epoch is a new permutation, its last incomplete batch is dropped.

    Raises:
        MetanetError: the batch is larger than the data.
    """
    if not 0 < batch_size <= len(ids):
        raise MetanetError(f"a batch must have between 1 and all {len(ids)} images, got batch_size={batch_size}")
    epoch, batch = divmod(step, len(ids) // batch_size)
    order = np.random.default_rng([_BATCHES, seed, epoch]).permutation(ids)
    return order[batch * batch_size : (batch + 1) * batch_size]


def _drawn_groups(labels: Ids, groups: Ids, percent: float, seed: int) -> npt.NDArray[np.bool_]:
    """Whether each image is drawn, (n,): whole groups, by the same keys as images, each as wide as it has images."""
    _, first, names = np.unique(groups, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[names]  # in order of appearance, so that only who is together matters
    sizes = np.bincount(group)
    counts = np.bincount(labels)
    rarest_first = np.lexsort((labels, counts[labels]))
    stratum = np.empty(len(sizes), dtype=np.int64)
    stratum[group[rarest_first[::-1]]] = labels[rarest_first[::-1]]  # the last to be written stays
    keys = _stratified_keys(stratum, seed, sizes)
    # At least one group that has the class: that with its smallest key, whatever the percentage.
    least = np.full(len(counts), np.inf)
    np.minimum.at(least, labels, keys[group])
    taken = keys < percent / 100
    taken[group[keys[group] == least[labels]]] = True
    drawn: npt.NDArray[np.bool_] = taken[group]
    return drawn


def _stratified_keys(labels: Ids, seed: int, sizes: Ids | None = None) -> npt.NDArray[np.float64]:
    """The key of each image, (n,) in [0, 1); or of each group of images of the given sizes.

    Image c of n has the key (c + u) / n. A group of s images with b images before it has (b + s u) / n, so that in the
    mean over u exactly its share of the images is drawn.
    """
    rng = np.random.default_rng([_KEYS, seed])
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    # 24 random bits, so that rank + u never rounds up to the next whole number.
    offset = np.repeat(rng.random(len(counts), dtype=np.float32), counts)
    size = np.ones(len(labels), dtype=np.int64) if sizes is None else sizes[by_class]
    images = np.bincount(labels[by_class], weights=size).astype(np.int64)
    before = np.cumsum(size) - size - np.repeat(np.cumsum(images) - images, counts)
    keys = np.empty(len(labels))
    keys[by_class] = (before + size * offset.astype(np.float64)) / np.repeat(images, counts)
    return keys
