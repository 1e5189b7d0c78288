"""How well the families' rule gives networks that were published: UniNet-B2 to B5 from UniNet-B1 and B6, MN-B15 from
MN-B4 alone.

Each is compared with what the same growth gives unsolved (tau of 0, rounded), and with networks drawn uniformly among
those within tolerance of the same totals that have equal widths where the rule wants them: among those around the
rule's shape, within the same bounds, and among all between the anchors, where there are two.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import metanet
from metanet.factory import find
from metanet.search_spaces import Space
from metanet.search_spaces.family import Rung, Target, between, climb, coefficients, near, onward, target_of
from metanet.search_spaces.family.neighbourhood import REFUSED, Bounds, around, distance_of, distances
from metanet.search_spaces.family.rule import Coefficients, Path
from metanet.search_spaces.family.rungs import TOLERANCE
from metanet.spec import ArchSpec

SEED, DRAWN, BATCH = 0, 200, 20_000
AROUND = (1.25, 1.6, 2.5)  # how far from the rule's shape networks are drawn, as factors: the first that has its own
ANYWHERE = 1e3  # a factor that nothing between two anchors is beyond


def at_224(name: str) -> ArchSpec:
    """A member, to be counted at 224 pixels: the rule does not change the resolution."""
    return replace(find(name).spec, resolution=224)


def cases() -> dict[str, Callable[[], list[dict[str, Any]]]]:
    """What is retrodicted: rows by what they are made from."""
    found: dict[str, Callable[[], list[dict[str, Any]]]] = {"UniNet-B1 and B6": uninet}
    for pair in ((1.2, 1.1), (2.0, 4.0)):
        for macs in (True, False):
            asked = "parameters and MACs" if macs else "parameters"
            found[f"MN-B4, depth {pair[0]:g}, width {pair[1]:g}, {asked}"] = lambda p=pair, m=macs: [largest(p, m)]  # type: ignore[misc]
    return found


def uninet() -> list[dict[str, Any]]:
    """UniNet-B2 to B5 from the members' own totals, each bounded by the rung before."""
    members = [at_224(f"UniNet-B{i}") for i in range(1, 7)]
    path, rows, before = between(members[0], members[-1]), [], members[0]
    targets = [target_of(one) for one in members[1:-1]]
    for i, (published, rung) in enumerate(zip(members[1:-1], climb(path, targets), strict=True), start=2):
        rows.append({"network": f"UniNet-B{i}", **compared(path, published, rung, (before, members[-1]))})
        before = rung.spec
    return rows


def largest(growth: tuple[float, float], macs: bool) -> dict[str, Any]:
    """MN-B15 from MN-B4 by given coefficients of growth, from both of its totals or from its parameters."""
    small, published = at_224("MN-B4"), at_224("MN-B15")
    path, target = onward(small, *growth), target_of(published)
    (rung,) = climb(path, [target if macs else Target(target.params)])
    return {"network": "MN-B15", **compared(path, published, rung, (small, None))}


def compared(path: Path, published: ArchSpec, rung: Rung, bounds: Bounds) -> dict[str, Any]:
    """A row: the published network beside the rule's, beside plain scaling, and beside the drawn ones."""
    target, rule = rung.target, apart(rung.spec, published)
    scaled = rounded(path, coefficients(path, Target(target.params)))

    def drawn(space: Space) -> dict[str, Any]:
        errors = [apart(spec, published) for spec in draws(space, path, rung)]
        mean = {name: float(np.mean([one[name] for one in errors])) for name in rule}
        nearer = [one["depths"] + one["widths"] <= rule["depths"] + rule["widths"] for one in errors]
        return mean | {"networks": len(errors), "as near as the rule's": float(np.mean(nearer))}

    between_anchors = around(path, rung.coefficients, ANYWHERE, (path.small, path.large)) if path.large else None
    return {
        "target": {"params": target.params, "macs": target.macs},
        "published": shape(published),
        "rule": shape(rung.spec) | rule | missed(rung.spec, target_of(published)),
        "phi": rung.coefficients.phi,
        "tau": rung.coefficients.tau,
        "scaled": shape(scaled) | apart(scaled, published) | missed(scaled, target_of(published)),
        "drawn around": drawn(neighbourhood(path, rung, bounds)),
        "drawn between": drawn(between_anchors) if between_anchors else None,
    }


def shape(spec: ArchSpec) -> dict[str, Any]:
    """A network as text, and its stages' depths and widths."""
    stages = spec.stages
    return {"text": spec.to_text(), "depth": [s.depth for s in stages], "width": [s.width for s in stages]}


def apart(spec: ArchSpec, published: ArchSpec) -> dict[str, float]:
    """The stages' mean absolute log2 errors of depth and of width, and the share of stages that have both right."""
    pairs = list(zip(spec.stages, published.stages, strict=True))
    return {
        "depths": float(np.mean([abs(np.log2(a.depth / b.depth)) for a, b in pairs])),
        "widths": float(np.mean([abs(np.log2(a.width / b.width)) for a, b in pairs])),
        "exact": float(np.mean([(a.depth, a.width) == (b.depth, b.width) for a, b in pairs])),
    }


def missed(spec: ArchSpec, target: Target) -> dict[str, float]:
    """By what share of it a network's totals differ from a target's."""
    cost = metanet.cost(spec)
    return {"params off": cost.params / target.params - 1, "macs off": cost.macs / float(target.macs or np.nan) - 1}


def neighbourhood(path: Path, rung: Rung, bounds: Bounds) -> Space:
    """The networks around the rule's shape, as far as to its own network."""
    spaces = (around(path, rung.coefficients, reach, bounds) for reach in AROUND)
    return next(space for space in spaces if space.contains(rung.spec))


def draws(space: Space, path: Path, rung: Rung) -> list[ArchSpec]:
    """Uniform draws among the networks of a space that the rule may choose from: within tolerance, with widths equal
    where they have to be."""
    sampler = space.sampler(near(rung.target, TOLERANCE, path.small.head_width))
    rng, tables = np.random.default_rng(SEED), distances(space, path, rung.coefficients)
    found: list[ArchSpec] = []
    while len(found) < DRAWN:
        rows = sampler.draw(BATCH, rng)
        found += space.specs(rows[distance_of(space, tables, rows) < REFUSED][: DRAWN - len(found)])
    return found


def rounded(path: Path, found: Coefficients) -> ArchSpec:
    """The network of a shape without any solving: each depth and each width is the nearest that can be built."""
    space = around(path, found, AROUND[-1])

    def nearest(values: Sequence[int], ideal: float) -> int:
        return min(values, key=lambda value: abs(value - ideal))

    stages = []
    for i, stage in enumerate(path.small.stages):
        own = path.large.stages[i] if path.large and found.progress[i + 1] > 0.5 else stage
        widths = space.options[i].choices["width"]
        depth = max(1, round(found.shape.depths[i]))
        stages.append(replace(own, depth=depth, width=nearest(widths, found.shape.widths[i + 1])))
    stem = nearest(space.stem_width, found.shape.widths[0])
    return replace(path.small, stages=tuple(stages), stem_width=stem)
