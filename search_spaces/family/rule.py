"""The rule by which a family grows: which shape belongs to given totals of parameters and MACs.

A shape is the depth and the width of each stage, and the width of the stem. Compound scaling (Tan and Le, EfficientNet,
2019, section 3.3) lets all of them grow together: depth x alpha^phi, width x beta^phi. Two totals need a second number,
because parameters and MACs grow alike in every stage but weigh differently at each resolution: a weight on a map of
14 x 14 positions costs 196 MACs, on one of 7 x 7 only 49. So the rule has two coefficients,

    phi    how far the network has grown
    tau    how far its late stages, on small maps, are ahead of its early ones

and the *progress* of stage i is

    p_i = phi * exp(tau * x_i),   x_i = -1 at the stem's stride, +1 at the last stage's, by the logarithm of the stride.

Stages on equal maps progress alike. What a progress means depends on the anchors:

- two anchors, a small and a large one: depth_i = a_i * (b_i / a_i)^p_i from the depths of both, widths likewise, and
  p_i is at most 1. A stage takes its operator, and whatever else the anchors differ in, from one of them. All rungs lie
  between the anchors.
- one anchor: depth_i = a_i * alpha^p_i, width_i = a_i * beta^p_i, and only FAR bounds p_i; operators stay. alpha and
  beta are EfficientNet's 1.2 and 1.1 unless they are given or searched (`metanet.searchers.coefficients`).

Given targets for parameters and MACs, the two equations have one solution (`coefficients`): for each tau the phi that
meets the parameters, and among these pairs the one that meets the MACs; with a target for parameters alone tau is 0.
In these equations depths and widths are real numbers, and with two anchors a stage costs (1 - p_i) times what it would
with the small anchor's operator, and p_i times what it would with the large one's, so that nothing jumps.

The network itself (`metanet.search_spaces.family.rungs`) has whole depths and widths in multiples of 8 (of the head
size, too, at the input and at the output of attention). Among all networks

- within 1 % of every target,
- whose stages are each at least as deep and as wide as those of the rung before (and, with two anchors, at most as
  those of the large one),
- with equal widths of neighbouring stages where the anchors have them (no pooled shortcut appears between them),
- with either anchor's operator in a stage, but not the small one's again after the large one's,

it is the one nearest to the shape: the least sum over the stem and all stages of (log2 width/shape)^2, of
(log2 depth/shape)^2 and, where the anchors' operators differ, of p_i^2 with the small one's and (1 - p_i)^2 with the
large one's. Of equally near ones it is the one with the least deviation from the targets, of these the first in the
order of stem, then stage by stage of operator, depth and width. Every candidate is looked at or ruled out by a bound:
equal targets give equal networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from scipy.optimize import brentq  # type: ignore[import-untyped]

from metanet.blocks import Cost
from metanet.cost import stage_costs
from metanet.errors import MetanetError
from metanet.search_spaces.family.targets import Target
from metanet.spec import ArchSpec, StageSpec

ALPHA, BETA = 1.2, 1.1  # EfficientNet, section 4: depth and width of one step, from a grid at its smallest network
TILT = 8.0  # the largest tau, either way: the last stage grows alone then, or the first one
FAR = 1e4  # from one anchor a stage grows, or shrinks, at most so many times


@dataclass(frozen=True)
class Path:
    """The ways that a network may grow.

    small    where progress is 0
    large    where it is 1; None with one anchor
    depths   for each stage, how many times as deep it is after a progress of 1
    widths   for the stem and for each stage, how many times as wide
    """

    small: ArchSpec
    large: ArchSpec | None
    depths: tuple[float, ...]
    widths: tuple[float, ...]

    @property
    def leans(self) -> tuple[float, ...]:
        """x_i of the stem and of each stage."""
        logs = [1.0]
        for stage in self.small.stages:
            logs.append(logs[-1] + math.log2(stage.stride))
        span = logs[-1] - logs[0]
        return tuple(2 * (log - logs[0]) / span - 1 if span else 0.0 for log in logs)

    @property
    def most(self) -> float:
        """The largest progress of a stage."""
        if self.large:
            return 1.0
        return math.log(FAR) / math.log(max(self.depths) * max(self.widths) ** 2)

    def progress(self, phi: float, tau: float) -> tuple[float, ...]:
        """p_i of the stem and of each stage."""
        least = 0.0 if self.large else -self.most
        return tuple(max(least, min(self.most, phi * math.exp(tau * x))) for x in self.leans)


@dataclass(frozen=True)
class Shape:
    """Depths of the stages, widths of the stem and of the stages: real numbers."""

    depths: tuple[float, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True)
class Coefficients:
    """What a target asks for: phi and tau, the progress of the stem and of each stage, and the shape."""

    phi: float
    tau: float
    progress: tuple[float, ...]
    shape: Shape


@dataclass(frozen=True)
class _Stage:
    """The fields of a StageSpec that costs read, with a real depth and width."""

    spec: StageSpec
    depth: float
    width: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.spec, name)

    def first(self, w_in: float) -> tuple[float, int]:
        return (self.width, 1) if self.spec.down else (w_in, self.spec.stride)


@dataclass(frozen=True)
class _Network:
    stages: tuple[_Stage, ...]
    stem_width: float
    head_width: int


def between(small: ArchSpec, large: ArchSpec) -> Path:
    """The path between two anchors. Raises MetanetError where the second does not grow out of the first."""
    if len(small.stages) != len(large.stages):
        raise MetanetError(
            f"anchors must have as many stages as each other, got {len(small.stages)} and {len(large.stages)}"
        )
    for name in ("head_width", "resolution"):
        if (a := getattr(small, name)) != (b := getattr(large, name)):
            raise MetanetError(f"anchors must have one {name}, got {a} and {b}: a family does not change it")
    for i, (a, b) in enumerate(zip(small.stages, large.stages, strict=True)):
        if a.stride != b.stride:
            raise MetanetError(f"anchors must have the same strides, got {a.stride} and {b.stride} in stage {i}")
    for i, (a, b) in enumerate(zip(small.stages, large.stages, strict=True)):
        for name in ("window", "grid"):
            sizes = getattr(a, name), getattr(b, name)
            if None not in sizes and sizes[0] != sizes[1]:
                raise MetanetError(f"anchors must have one {name}, got {sizes[0]} and {sizes[1]} in stage {i}")
    named = [("the stem's width", small.stem_width, large.stem_width)]
    for i, (a, b) in enumerate(zip(small.stages, large.stages, strict=True)):
        named += [(f"the depth of stage {i}", a.depth, b.depth), (f"the width of stage {i}", a.width, b.width)]
    for what, first, second in named:
        if first > second:
            raise MetanetError(
                f"the larger anchor must be at least as deep and as wide everywhere, got {first} and {second} for "
                f"{what}: give the small anchor first, or one anchor and --to"
            )
    ratios = [second / first for _, first, second in named]
    return Path(small, large, tuple(ratios[1::2]), (ratios[0], *ratios[2::2]))


def onward(small: ArchSpec, alpha: float = ALPHA, beta: float = BETA) -> Path:
    """The path from one anchor, whose depths and widths grow alpha and beta times as large by each step."""
    if not (alpha >= 1 and beta >= 1 and alpha * beta > 1 and math.isfinite(alpha * beta)):
        raise MetanetError(
            f"coefficients of growth must be 1 or more, and one of them above 1, got depth={alpha} and width={beta}"
        )
    count = len(small.stages)
    return Path(small, None, (alpha,) * count, (beta,) * (count + 1))


def coefficients(path: Path, target: Target) -> Coefficients:
    """Solves the rule's two equations for a target. Raises MetanetError that names the nearest attainable totals."""

    def macs(tau: float) -> float:
        return _cost(path, _phi(path, tau, target), tau, target).macs

    tau = 0.0
    if target.macs is not None:
        wanted = target.macs
        late, early = macs(TILT), macs(-TILT)
        if not late <= wanted <= early:
            raise MetanetError(
                f"no shape that grows by the rule has {target}: with these parameters its MACs reach from {late:,.0f} "
                f"(late stages first) to {early:,.0f} (early stages first)"
            )
        tau = float(brentq(lambda tau: macs(tau) - wanted, -TILT, TILT, xtol=1e-9))
    phi = _phi(path, tau, target)
    progress = path.progress(phi, tau)
    return Coefficients(phi, tau, progress, shape(path, progress))


def _phi(path: Path, tau: float, target: Target) -> float:
    """The phi that meets the target's parameters."""
    far = path.most * math.exp(abs(tau))  # where no stage can progress any farther
    low, high = (0.0 if path.large else -far), far

    def params(phi: float) -> float:
        return _cost(path, phi, tau, target).params

    least, most = params(low), params(high)
    if not least <= target.params <= most:
        raise MetanetError(
            f"no shape that grows by the rule has {target}: its parameters reach from {least:,.0f} to {most:,.0f}"
        )
    return float(brentq(lambda phi: params(phi) - target.params, low, high, xtol=1e-12))


def shape(path: Path, progress: Sequence[float]) -> Shape:
    """The shape at a progress of the stem and of each stage."""
    stages = path.small.stages
    depths = tuple(s.depth * r**p for s, r, p in zip(stages, path.depths, progress[1:], strict=True))
    before = (path.small.stem_width, *(s.width for s in stages))
    return Shape(depths, tuple(w * r**p for w, r, p in zip(before, path.widths, progress, strict=True)))


def _cost(path: Path, phi: float, tau: float, target: Target) -> Cost:
    """The cost of the shape at these coefficients, between two anchors that of a mixture of both."""
    progress = path.progress(phi, tau)
    real = shape(path, progress)
    found = _parts(path.small, real, target)
    if path.large:
        other = _parts(path.large, real, target)
        shares = (*progress, progress[-1])  # of stem, stages and head
        found = [a * (1 - p) + b * p for a, b, p in zip(found, other, shares, strict=True)]  # type: ignore[operator]
    return sum(found, Cost())


def _parts(anchor: ArchSpec, real: Shape, target: Target) -> list[Cost]:
    """The costs of stem, stages and head of a shape with the operators of an anchor."""
    made = tuple(_Stage(s, d, w) for s, d, w in zip(anchor.stages, real.depths, real.widths[1:], strict=True))
    network = cast(ArchSpec, _Network(made, real.widths[0], anchor.head_width))
    side = anchor.resolution
    return list(stage_costs(network, (side, side), target.num_classes).values())
