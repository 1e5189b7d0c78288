"""How sure a number is: intervals over images (bootstrap) and over seeds (Student's t), McNemar's test, and how alike
two orders are (Kendall's tau)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metanet.errors import MetanetError


@dataclass(frozen=True)
class Interval:
    """A mean, its confidence interval and its standard error, in the unit of the values."""

    mean: float
    low: float
    high: float
    se: float


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of the mean: what it would have been on other images of the same kind.

    values   (n,), one an image
    strata   (n,), the class of each: then the number of images of each class is kept (for means over classes)

    The standard error is the bootstrap's limit for many resamples, which is known in closed form.

    Raises:
        MetanetError: no values, values that are not finite, or a level outside (0, 1).
    """
    values = _checked(values, level)
    rng = np.random.default_rng(seed)
    means, variance = np.zeros(resamples), 0.0
    groups = [values] if strata is None else [values[np.equal(strata, s)] for s in np.unique(strata)]
    for group in groups:
        # Drawing how often each distinct value occurs is the same as drawing images, and instant for zeros and ones.
        distinct, counts = np.unique(group, return_counts=True)
        drawn = rng.multinomial(len(group), counts / len(group), size=resamples)
        means += drawn @ distinct / len(values)
        variance += group.var() * len(group) / len(values) ** 2
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), float(np.sqrt(variance)))


def paired_bootstrap(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """`bootstrap_interval` of mean(a - b), where a[i] and b[i] come from the same image.

    Raises:
        MetanetError: as `bootstrap_interval`, or the lengths differ.
    """
    if np.shape(a) != np.shape(b):
        raise MetanetError(f"a paired comparison needs values of the same images, got {np.shape(a)} and {np.shape(b)}")
    return bootstrap_interval(np.subtract(a, b), strata=strata, level=level, resamples=resamples, seed=seed)


def bootstrap_cells(
    counts: npt.ArrayLike,
    statistic: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]],
    *,
    strata: npt.ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of a function of counts, where images of one cell are alike for it.

    counts      (cells,) how many images each cell has
    statistic   (r, cells) -> (r,): the number for each row of counts
    strata      (cells,), the group of each: then the number of images of each group is kept

    `mean` is the statistic of the counts themselves, `se` the standard deviation over the resamples.

    Raises:
        MetanetError: no images, a level outside (0, 1), or strata of another length.
    """
    counts = np.asarray(_checked(counts, level), np.int64)
    groups = np.zeros(len(counts), np.int64) if strata is None else np.asarray(strata)
    if groups.shape != counts.shape:
        raise MetanetError(f"each of {len(counts)} things must have one stratum, got the shape {groups.shape}")
    rng, drawn = np.random.default_rng(seed), np.zeros((resamples, len(counts)), np.int64)
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        total = counts[own].sum()
        drawn[:, own] = rng.multinomial(total, counts[own] / max(total, 1), size=resamples)
    values = statistic(drawn)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(statistic(counts[None])[0]), float(low), float(high), float(values.std(ddof=1)))


def kendall_interval(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Kendall's tau-b of two scores of the same things, and its percentile bootstrap over the things.

    Tau-b is the number of pairs that both put in the same order less that of pairs in opposite orders, over the
    geometric mean of the numbers of pairs that each puts in an order (Kendall 1945): 1 for equal orders, -1 for
    reversed ones.

    a, b     (n,) one score a thing
    strata   (n,), the group of each: then the number of things of each group is kept

    A resample in which a score is constant counts as 0. `se` is the standard deviation over the resamples.

    Raises:
        MetanetError: the lengths differ, a value is not finite, a score is constant, or a level outside (0, 1).
    """
    once = np.ones(np.size(a), np.int64)
    tau = _kendall(a, b, level)
    return bootstrap_cells(once, tau, strata=strata, level=level, resamples=resamples, seed=seed)


def kendall_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """By how much score a has a higher tau-b with the truth than score b: a paired bootstrap, as `kendall_interval`.

    Raises:
        MetanetError: as `kendall_interval`.
    """
    once = np.ones(np.size(a), np.int64)
    first, second = _kendall(a, truth, level), _kendall(b, truth, level)
    return bootstrap_cells(
        once, lambda drawn: first(drawn) - second(drawn), strata=strata, level=level, resamples=resamples, seed=seed
    )


def _kendall(
    a: npt.ArrayLike, b: npt.ArrayLike, level: float
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]:
    """Tau-b as a function of how often each thing was drawn, (r, n) -> (r,)."""
    if np.shape(a) != np.shape(b):
        raise MetanetError(
            f"a rank correlation needs two scores of the same things, got {np.shape(a)} and {np.shape(b)}"
        )
    first, second = (np.sign(np.subtract.outer(x, x)) for x in (_checked(a, level), _checked(b, level)))
    if not (first.any() and second.any()):
        raise MetanetError("a rank correlation needs scores with at least two different values, got a constant one")

    def tau(drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        agree, own, other = (((drawn @ pairs) * drawn).sum(1) for pairs in (first * second, first**2, second**2))
        # Products of counts have whole numbers in them, so that the least that is not 0 is 1.
        ratio: npt.NDArray[np.float64] = agree / np.sqrt(np.maximum(1.0, own * other))
        return ratio

    return tau


def seeds_interval(values: npt.ArrayLike, *, level: float = 0.95) -> Interval:
    """Student's t interval of the mean over runs that differ in their seed, one value a run.

    Raises:
        MetanetError: fewer than two values, values that are not finite, or a level outside (0, 1).
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # scipy.stats takes a second to import

    values = _checked(values, level)
    if len(values) < 2:
        raise MetanetError(f"an interval over seeds needs at least 2 values, got {len(values)}: run more seeds")
    mean, se = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * se
    return Interval(mean, mean - half, mean + half, se)


def mcnemar(a_alone: int, b_alone: int) -> float:
    """Exact two-sided p-value of McNemar's test: how often two equally good networks would differ as unevenly.

    a_alone, b_alone   images that only the first, and only the second, has right

    Raises:
        MetanetError: a negative number.
    """
    from scipy.special import bdtr

    if min(a_alone, b_alone) < 0:
        raise MetanetError(f"McNemar's test takes numbers of images, got {a_alone} and {b_alone}")
    return min(1.0, 2 * float(bdtr(min(a_alone, b_alone), a_alone + b_alone, 0.5)))


def _checked(values: npt.ArrayLike, level: float) -> npt.NDArray[np.float64]:
    if not 0 < level < 1:
        raise MetanetError(f"a confidence level must lie between 0 and 1, got {level}")
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise MetanetError(f"an interval needs at least one value and finite ones only, got {array.tolist()[:8]}")
    return array
