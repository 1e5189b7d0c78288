"""A family: named networks on a ladder of totals, from one searched anchor or between two."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from metanet.cost import price
from metanet.errors import MetanetError
from metanet.search_spaces.constraints import Constraints, parse_constraints
from metanet.search_spaces.family.rule import ALPHA, BETA, Path, between, onward
from metanet.search_spaces.family.rungs import TOLERANCE, Chosen, Rung, climb
from metanet.search_spaces.family.targets import Target, log_linear
from metanet.spec import ArchSpec

VERSION = 1  # of the rule: raised when it gives other networks for the same anchors and targets


@dataclass(frozen=True)
class Family:
    """Names and anchors, and what is asked of the names between them.

    anchors   name -> network: where the family begins, and, with two, where it ends
    ladder    name -> target, of all names but the anchors', outward from the first anchor
    """

    path: Path
    anchors: Mapping[str, ArchSpec]
    ladder: Mapping[str, Target]

    def rungs(self, *, tolerance: float = TOLERANCE) -> Iterator[tuple[str, Rung]]:
        """Names and networks by the rule, in the ladder's order. Raises MetanetError where a target cannot be met."""
        found = climb(self.path, self.ladder.values(), tolerance=tolerance)
        for name in self.ladder:
            try:
                yield name, next(found)
            except MetanetError as error:
                raise MetanetError(f"{name} cannot be made: {error}") from None


def family_between(small: ArchSpec, large: ArchSpec, rungs: int, *, name: str = "rung") -> Family:
    """`rungs` networks from one anchor to another, both included; the logarithms of their totals are evenly spaced.

    name   what they are called before their number, from 1 on

    Raises MetanetError where the second anchor does not grow out of the first, or there are fewer than three rungs.
    """
    if rungs < 3:
        raise MetanetError(
            f"a family between two anchors must have at least 3 rungs, the anchors included, got {rungs}"
        )
    path = between(small, large)
    ends = [(1, target_of(small)), (rungs, target_of(large))]
    ladder = {f"{name}-{i}": target for i, target in log_linear(ends).items()}
    names = list(ladder)
    anchors = {names[0]: small, names[-1]: large}
    return Family(path, anchors, {one: target for one, target in ladder.items() if one not in anchors})


def family_from(
    anchor: ArchSpec,
    to: Constraints,
    rungs: int,
    *,
    depth: float = ALPHA,
    width: float = BETA,
    name: str = "rung",
) -> Family:
    """`rungs` networks from one anchor, it included, to totals such as "params = 1G" or "params = 1G, macs = 90G".

    depth, width   the coefficients of growth: how many times as deep and as wide a network is after a progress of 1

    Raises MetanetError for totals that are no such rules or are the anchor's own, and for fewer than two rungs.
    """
    if rungs < 2:
        raise MetanetError(f"a family must have at least 2 rungs, the anchor included, got {rungs}")
    end, start = target_from(to), target_of(anchor)
    if end.params == start.params:
        raise MetanetError(f"the anchor has {start.params:,.0f} parameters already: ask for more or for fewer")
    start = start if end.macs is not None else Target(start.params)
    ladder = {f"{name}-{i}": target for i, target in log_linear([(1, start), (rungs, end)]).items()}
    first = next(iter(ladder))
    return Family(onward(anchor, depth, width), {first: anchor}, {k: v for k, v in ladder.items() if k != first})


def target_of(spec: ArchSpec) -> Target:
    """A network's own totals, without classifier."""
    cost = price(spec)
    return Target(cost.params, cost.macs)


def target_from(text: Constraints) -> Target:
    """The totals that rules such as "params = 1G, macs = 90G" ask for.

    Raises MetanetError unless they say one number for params, and at most one for macs.
    """
    wanted: dict[str, float] = {}
    for rule in parse_constraints(text):
        if rule.metric not in ("params", "macs") or rule.low != rule.high or rule.metric in wanted:
            raise MetanetError(f"totals of a family are params = NUMBER and, if wanted, macs = NUMBER, got {rule}")
        wanted[rule.metric] = rule.low
    if "params" not in wanted:
        raise MetanetError(f"totals of a family need params = NUMBER, got {text!r}")
    if min(wanted.values()) < 1:
        raise MetanetError(f"totals of a family must be above 0, got {text!r}")
    return Target(wanted["params"], wanted.get("macs"))


def as_zoo(rungs: Mapping[str, Rung | Chosen], by: str) -> str:
    """Networks as a file of the zoo: name -> spec (one line of text), provenance, target and totals, and the rule's
    coefficients or the evaluator's metrics.

    by   how they were made, behind the word "generated"
    """
    entries = {}
    for name, rung in rungs.items():
        target = rung.target
        wanted = {"params": round(target.params), "macs": None if target.macs is None else round(target.macs)}
        entries[name] = {
            "provenance": f"generated: {by}",
            "num_classes": 0,
            "spec": rung.spec.to_text(),
            "versions": {"rule": VERSION, "metanet": version("metanet-nas")},
            "target": {"num_classes": target.num_classes, **{k: v for k, v in wanted.items() if v is not None}},
            "totals": rung.costs,
            "deviation": _short(rung.deviation),
            **_grounds(rung),
        }
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def _grounds(rung: Rung | Chosen) -> dict[str, object]:
    """What made a network the one of its rung."""
    if isinstance(rung, Chosen):
        return {"metrics": {name: _short(value) for name, value in rung.metrics.items()}}
    return {"phi": _short(rung.coefficients.phi), "tau": _short(rung.coefficients.tau)}


def _short(value: float) -> float:
    """Four significant digits: what follows may differ between machines."""
    return float(f"{value:.4g}") if math.isfinite(value) else value
