"""Coefficients of growth by score: from a single anchor, by a small grid under constraint.

grid = coefficient_grid(anchor, evaluate, store="runs/family/coefficients.json")
family = family_from(anchor, "params = 1G", 8, depth=grid.best.depth, width=grid.best.width)
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from metanet.errors import MetanetError
from metanet.runs import track
from metanet.search_spaces.family import Target, onward, rung, target_of
from metanet.search_spaces.family.rungs import TOLERANCE
from metanet.searchers.evaluate import Evaluator, as_evaluator, one_objective
from metanet.searchers.kept import Kept, Tried
from metanet.spec import ArchSpec

GROWTH = 2.0  # in parameters, of the network that a pair is judged by
PAIRS = tuple((alpha, round(math.sqrt(GROWTH / alpha), 3)) for alpha in (1.0, 1.2, 1.4, 1.6, 1.8, 2.0))


@dataclass(frozen=True)
class Growth:
    """A pair of coefficients, how many times as deep and as wide, and the network at twice the anchor's parameters that
    it is judged by; None, with the reason, where there is none."""

    depth: float
    width: float
    tried: Tried | None
    reason: str | None = None


@dataclass(frozen=True)
class CoefficientGrid:
    """The pairs in their order, and the number that they were judged by with its direction."""

    pairs: Sequence[Growth]
    objective: str
    direction: str

    @property
    def best(self) -> Growth:
        """The pair with the best score, of equals the first. Raises MetanetError where none has a score."""
        scored = [pair for pair in self.pairs if pair.tried and pair.tried.metrics]
        if not scored:
            reasons = "; ".join(f"{pair.depth:g}, {pair.width:g}: {pair.reason}" for pair in self.pairs)
            raise MetanetError(f"no pair of coefficients has a score ({reasons}): give the coefficients")
        sign = 1 if self.direction == "maximize" else -1
        return max(scored, key=lambda pair: sign * pair.tried.value(self.objective))  # type: ignore[union-attr]

    def to_dataframe(self) -> pd.DataFrame:
        """One row a pair: depth, width, spec (its id), params, macs, the objective, reason (of a missing score)."""
        rows = []
        for pair in self.pairs:
            row: dict[str, object] = {"depth": pair.depth, "width": pair.width}
            own = target_of(pair.tried.spec) if pair.tried else None
            row |= {"spec": pair.tried.spec.id if pair.tried else None}
            row |= {"params": own.params if own else math.nan, "macs": own.macs if own else math.nan}
            value = pair.tried.value(self.objective) if pair.tried else math.nan
            rows.append({**row, self.objective: value, "reason": pair.reason})
        return pd.DataFrame(rows)


def coefficient_grid(
    anchor: ArchSpec,
    evaluate: Evaluator[ArchSpec] | Callable[[ArchSpec], float | Mapping[str, float]],
    *,
    pairs: Sequence[tuple[float, float]] = PAIRS,
    tolerance: float = TOLERANCE,
    objectives: Mapping[str, str] | None = None,
    store: str | os.PathLike[str] = "runs/family/coefficients.json",
    quiet: bool | None = None,
) -> CoefficientGrid:
    """Scores pairs of coefficients of growth, each by its network at twice the anchor's parameters.

    Tan and Le (EfficientNet, 2019, section 3.3) take alpha * beta^2 * gamma^2 = 2, about, for depth, width and
    resolution, and look for the best at their smallest network by a small grid. A family keeps its resolution, so here
    alpha * beta^2 is about 2: our reading. Solved to equal parameters, pairs differ in where these go.

    pairs      (alpha, beta): how many times as deep and as wide
    tolerance  how far from twice the parameters a pair's network may be, as a share
    objectives one, as that of `search`
    store      a JSON file of all scores: the same call again goes on where it was

    Raises MetanetError for pairs that do not grow, or whose alpha * beta^2 is further from 2 than a tenth of it, and
    for a store that is damaged or was made with something else.
    """
    objectives = {"accuracy": "maximize"} if objectives is None else objectives
    one_objective(objectives)
    for alpha, beta in pairs:
        onward(anchor, alpha, beta)
        if not abs(alpha * beta**2 / GROWTH - 1) <= 0.1:
            raise MetanetError(
                f"alpha * beta^2 must be about {GROWTH:g} for pairs to be compared, got {alpha * beta**2:.3g} for "
                f"({alpha:g}, {beta:g}): take beta = {math.sqrt(GROWTH / alpha):.3f}"
            )
    evaluator = as_evaluator(evaluate, objectives)
    made_with = {"anchor": anchor.to_text(), "evaluator": evaluator.fingerprint, "objectives": objectives}
    kept, target = Kept(store, {**made_with, "tolerance": tolerance}), Target(GROWTH * target_of(anchor).params)
    found = []
    for alpha, beta in track(pairs, "coefficients", quiet=quiet):
        try:
            spec = rung(onward(anchor, alpha, beta), target, (anchor, None), tolerance=tolerance).spec
        except MetanetError as error:
            found.append(Growth(alpha, beta, None, str(error)))
            continue
        tried = kept.tried(evaluator, spec, objectives, depth=alpha, width=beta)
        found.append(Growth(alpha, beta, tried, tried.reason))
    return CoefficientGrid(found, *next(iter(objectives.items())))
