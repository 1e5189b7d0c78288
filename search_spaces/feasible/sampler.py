"""Drawing uniformly from the architectures that satisfy constraints, without drawing until something fits.

Costs are additive over stages given the width before: one rule is a chain (`chains`), two are a plane (`planes`), each
once for every resolution. A third rule, and peak memory, which is no sum, are checked on what was drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from metanet.errors import MetanetError, unknown
from metanet.search_spaces.choices import STAGE_GENES, Indices, Mask
from metanet.search_spaces.constraints import Constraint, window
from metanet.search_spaces.costs import SUMMED
from metanet.search_spaces.encoding import path_rows
from metanet.search_spaces.feasible.chains import Chain, Layer
from metanet.search_spaces.feasible.planes import Plane, PlaneLayer
from metanet.search_spaces.feasible.pruning import pruned, reach

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

BINS = 384  # of a chain
SIDE, FINE = 240, 288  # bins a side of a plane; where a window is NARROW, as a share of its cap
NARROW = 0.01
ENOUGH = 0.05  # share of a chain's draws that satisfy the other rules, from which on no plane is made
PILOT, MOST = 4_096, 4_000_000  # tries that estimate the share kept; tries without any success that end a draw
CHUNK = 65_536

# gene -> value -> weight; values that are not named weigh 1
Weights = Mapping[str, Mapping[Any, float]]


@dataclass(frozen=True)
class _Contexts:
    """One chain or plane for each resolution, and the share of its tries that satisfy all rules."""

    made: Sequence[Chain | Plane | None]  # None where a resolution has no feasible architecture
    metrics: tuple[str, ...]  # whose windows they keep, exactly
    factors: Sequence[float]  # the weight of each resolution

    @cached_property
    def weights(self) -> np.ndarray:
        """Upper bounds on the weight, or number, of the feasible architectures of each resolution."""
        return np.array([one.weight if one else 0.0 for one in self.made]) * self.factors


class FeasibleSampler:
    """Draws rows, with replacement, from all architectures of a space that satisfy every rule: uniformly, or in
    proportion to the product of weights of their genes (`Weights`).

    Raises MetanetError where there are none, naming the nearest attainable values and the rule that is in the way.
    """

    def __init__(self, space: "Space", rules: tuple[Constraint, ...] = (), weights: Weights | None = None) -> None:
        self.space = space
        self.factors = gene_factors(space, weights or {})
        self._check_alone(rules)
        self.rules = tuple(rule for rule in rules if not self._always(rule))
        self.contexts = self._chains(self._ranked[0] if self._ranked else None)
        self.share = self._pilot()
        if self.share < ENOUGH and len(self._ranked) > 1:
            planes = self._planes()
            # Rounding can hide very few paths among very many others: then chains and rejection go on.
            if planes.weights.sum() or not self._planes(boolean=True).weights.sum():
                self.contexts = planes
                self.share = self._pilot()

    def _metrics(self) -> list[str]:
        """The additive metrics that the rules name, each once."""
        return list(dict.fromkeys(rule.metric for rule in self.rules if rule.metric in SUMMED))

    @cached_property
    def _allowed(self) -> list[list[Mask]]:
        """For each resolution, for each layer (before, behind, options): what can be built and may be part of a
        feasible network as far as each rule alone can tell."""
        caps = [rule.high for rule in self.rules if rule.metric == "memory"]
        found = []
        for r in range(len(self.space.resolution)):
            stages = [options.valid for options in self.space.options]
            if caps:
                peaks = self.space.table.stages("peak")
                stages = [ok & (4 * peak[r] <= min(caps)) for ok, peak in zip(stages, peaks, strict=True)]
            ends = (np.ones(cost.shape, dtype=bool) for cost in self._costs(None, r)[:: len(stages) + 1])
            allowed = [next(ends), *stages, next(ends)]
            additive = [rule for rule in self.rules if rule.metric in SUMMED]
            for rule in additive * min(2, len(additive)):  # what one leaves out helps the others
                allowed = pruned(self._costs(rule.metric, r), allowed, rule.low, rule.high)
            found.append(allowed)
        return found

    def _window(self, metric: str, resolution: int) -> tuple[float, int] | None:
        """The values of a metric that its rules and the allowed options leave; None where they leave none."""
        ends = reach(self._costs(metric, resolution), self._allowed[resolution])
        if ends is None:
            return None
        low, high = window(self.rules, metric, *ends)
        return (low, int(high)) if low <= high else None

    @classmethod
    def unchecked(cls, space: "Space", rules: tuple[Constraint, ...]) -> "FeasibleSampler | None":
        """A sampler by chains alone, made quickly; its tries may all fail. None where a bound shows that they must."""
        made = cls.__new__(cls)
        made.space, made.rules, made.factors = space, rules, {}
        if any(made._outside(rule) for rule in rules):
            return None
        made.contexts = made._chains(made._ranked[0] if made._ranked else None)
        return made if made.contexts.weights.sum() else None

    def _outside(self, rule: Constraint) -> bool:
        """Whether no architecture of the space satisfies a rule on an additive metric."""
        if rule.metric not in SUMMED:
            return False
        low, high = self.space.table.extremes(rule.metric)
        return rule.high < low or rule.low > high

    def _check_alone(self, rules: tuple[Constraint, ...]) -> None:
        for rule in rules:
            if self._outside(rule):
                low, high = self.space.table.extremes(rule.metric)
                raise MetanetError(
                    f"no architecture of {self.space.name} satisfies {rule}: the nearest attainable value is "
                    f"{low if rule.high < low else high:,} (the space reaches from {low:,} to {high:,})"
                )

    def _always(self, rule: Constraint) -> bool:
        if rule.metric not in SUMMED:
            return False
        low, high = self.space.table.extremes(rule.metric)
        return rule.low <= low and rule.high >= high

    @cached_property
    def _ranked(self) -> list[str]:
        """The metrics of the rules, those with the fewest architectures in their windows first, by coarse chains."""
        metrics = self._metrics()
        if len(metrics) < 2:
            return metrics
        return sorted(metrics, key=lambda metric: self._chains(metric, bins=32).weights.sum())

    def _costs(self, metric: str | None, resolution: int) -> list[Indices]:
        """Each layer's costs: the choice of the stem (free, priced with the first stage), the stages, the head."""
        space, table = self.space, self.space.table
        stem = np.zeros((1, len(space.stem_width), 1), dtype=np.int64)
        if metric is None:
            stages = [np.zeros(options.valid.shape, dtype=np.int64) for options in space.options]
            head = np.zeros((len(space.options[-1].choices["width"]), len(space.head_width), 1), dtype=np.int64)
            return [stem, *stages, head]
        stages = [costs[resolution] for costs in table.stages(metric)]
        stages[0] = stages[0] + table.stem(metric)[resolution][:, None, None]
        head = np.array(table.head(metric)[resolution][:, :, None])
        if len(space.head_width) == 1:
            stages[-1] = stages[-1] + head[None, :, 0]
            head = np.zeros_like(head)
        return [stem, *stages, head]

    def _weights(self, resolution: int) -> list[np.ndarray]:
        """Each layer's weights, 0 for what is not allowed."""
        weights = [ok.astype(float) for ok in self._allowed[resolution]]
        for i, (stage, options) in enumerate(zip(weights[1:-1], self.space.options, strict=True)):
            own = {gene: self.factors[f"stage{i}.{gene}"] for gene in STAGE_GENES if f"stage{i}.{gene}" in self.factors}
            if own:
                stage *= options.weight(own)
        weights[0] *= np.array(self._factors("stem_width"))[None, :, None]
        weights[-1] *= np.array(self._factors("head_width"))[None, :, None]
        return weights

    def _factors(self, name: str) -> Sequence[float]:
        """The weights of the choices of a network-wide gene."""
        return self.factors.get(name, [1.0] * len(getattr(self.space, name)))

    def _chains(self, metric: str | None, bins: int = BINS) -> _Contexts:
        made: list[Chain | Plane | None] = []
        for r in range(len(self.space.resolution)):
            ends = self._window(metric, r) if metric else (0, 0)
            layers = [Layer(c, w) for c, w in zip(self._costs(metric, r), self._weights(r), strict=True)]
            made.append(Chain(layers, ends[0], ends[1], bins) if ends else None)
        return _Contexts(made, (metric,) if metric else (), self._factors("resolution"))

    def _planes(self, *, boolean: bool = False) -> _Contexts:
        """Planes over the two metrics with the fewest architectures in their windows."""
        a, b = self._ranked[:2]
        made: list[Chain | Plane | None] = []
        for r in range(len(self.space.resolution)):
            first, second = self._window(a, r), self._window(b, r)
            if first is None or second is None:
                made.append(None)
                continue
            parts = zip(self._costs(a, r), self._costs(b, r), self._weights(r), strict=True)
            layers = [PlaneLayer((x, y), w) for x, y, w in parts]
            narrow = min((high - low) / high for low, high in (first, second)) < NARROW
            lows, highs = (first[0], second[0]), (first[1], second[1])
            made.append(Plane(layers, lows, highs, FINE if narrow else SIDE, boolean=boolean))
        return _Contexts(made, (a, b), self._factors("resolution"))

    def _pilot(self) -> float:
        """The share of tries that are kept, from a few of them; the same for equal spaces and rules."""
        if not self.contexts.weights.sum():
            raise self._impossible("")
        kept = len(self.attempt(PILOT, np.random.default_rng(0)))
        return max(kept, 1) / PILOT

    def draw(self, n: int, rng: np.random.Generator) -> Indices:
        """(n, genes) canonical rows, uniform and independent. Raises MetanetError where MOST tries find none."""
        found = [np.zeros((0, len(self.space.genes)), dtype=np.int64)]
        missing, tried = n, 0
        while missing > 0:
            tries = min(CHUNK, int(1.1 * missing / self.share) + 64)
            rows = self.attempt(tries, rng)
            tried = 0 if len(rows) else tried + tries
            if tried >= (MOST if len(self.contexts.metrics) < 2 else MOST // 4):
                raise self._impossible(f" ({tried:,} tries found none)")
            rows = rows[rng.permutation(len(rows))[:missing]]  # they come by resolution
            found.append(rows)
            missing -= len(rows)
        return np.concatenate(found)

    def attempt(self, tries: int, rng: np.random.Generator) -> Indices:
        """The feasible rows among so many tries."""
        weights = self.contexts.weights
        counts = rng.multinomial(tries, weights / weights.sum())
        rows = [
            path_rows(self.space, r, one.draw(int(count), rng))
            for r, (one, count) in enumerate(zip(self.contexts.made, counts, strict=True))
            if one and count
        ]
        together = np.concatenate(rows)
        others = tuple(rule for rule in self.rules if rule.metric not in self.contexts.metrics)
        return together[self.satisfies(together, others)] if others else together

    def satisfies(self, rows: Indices, rules: tuple[Constraint, ...] | None = None) -> Mask:
        """(n,) which rows satisfy every rule, or those given, by their exact costs."""
        return self.space.table.satisfies(rows, self.rules if rules is None else rules)

    def _impossible(self, detail: str) -> MetanetError:
        from metanet.search_spaces.feasible.nearest import in_the_way

        rules = " and ".join(map(str, self.rules)) or "these weights"
        ways = in_the_way(self.space, self.rules)
        return MetanetError(
            f"no architecture of {self.space.name} satisfies {rules}{detail}: " + ("; ".join(ways) or "widen a rule")
        )


def gene_factors(space: "Space", weights: Weights) -> dict[str, list[float]]:
    """The weights of genes as a factor for each choice, by the gene's full name ("op" stands for every stage's)."""
    found: dict[str, list[float]] = {}
    for name, of in weights.items():
        names = [gene.name for gene in space.genes if gene.name == name or gene.name.endswith(f".{name}")]
        if not names:
            raise unknown("gene", name, [*STAGE_GENES, *space.column])
        known = {value for full in names for value in space.genes[space.column[full]].choices}
        for value, weight in of.items():
            if value not in known:
                raise MetanetError(
                    f"{name}={value!r} is outside space {space.name}, which has {sorted(known, key=str)}"
                )
            if not 0 <= weight < np.inf:
                raise MetanetError(f"the weight of {name}={value!r} must be 0 or more and finite, got {weight}")
        for full in names:
            own = [float(of.get(value, 1.0)) for value in space.genes[space.column[full]].choices]
            found[full] = [a * b for a, b in zip(found.get(full, [1.0] * len(own)), own, strict=True)]
    return found
