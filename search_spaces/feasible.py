"""Drawing uniformly from the architectures that satisfy constraints, without drawing until something fits.

Costs are additive over stages given the width before: one rule is a chain (`chains`), two are a plane (`planes`), each
once for every resolution. A third rule, and peak memory, which is no sum, are checked on what was drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from metanet.errors import MetanetError
from metanet.search_spaces.chains import Chain, Layer
from metanet.search_spaces.choices import OPTION_GENES, Indices, Mask
from metanet.search_spaces.constraints import Constraint
from metanet.search_spaces.costs import SUMMED
from metanet.search_spaces.planes import Plane, PlaneLayer

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

BINS, SIDE = 384, 176  # of a chain, and a side of a plane
ENOUGH = 0.05  # share of a chain's draws that satisfy the other rules, from which on no plane is made
PILOT, MOST = 4_096, 4_000_000  # tries that estimate the share kept; tries without any success that end a draw
CHUNK = 65_536

Paths = tuple[list[Indices], list[Indices]]


@dataclass(frozen=True)
class _Contexts:
    """One chain or plane for each resolution, and the share of its tries that satisfy all rules."""

    made: Sequence[Chain | Plane]
    metrics: tuple[str, ...]  # whose windows they keep, exactly

    @cached_property
    def weights(self) -> np.ndarray:
        """Upper bounds on the number of feasible architectures of each resolution."""
        return np.array([one.weight for one in self.made])


class FeasibleSampler:
    """Draws rows uniformly, with replacement, from all architectures of a space that satisfy every rule.

    Raises MetanetError where there are none, naming the nearest attainable values.
    """

    def __init__(self, space: "Space", rules: tuple[Constraint, ...] = ()) -> None:
        self.space = space
        self._check_alone(rules)
        self.rules = tuple(rule for rule in rules if not self._always(rule))
        self.contexts = self._chains(self._first_rule())
        self.share = self._pilot()
        if self.share < ENOUGH and len(metrics := self._metrics()) > 1:
            self.contexts = self._planes(metrics)
            self.share = self._pilot()

    def _metrics(self) -> list[str]:
        """The additive metrics that the rules name, each once."""
        return list(dict.fromkeys(rule.metric for rule in self.rules if rule.metric in SUMMED))

    def _window(self, metric: str) -> tuple[float, int]:
        """The values of a metric that all its rules and the space allow."""
        low, high = self.space.table.extremes(metric)
        own = [rule for rule in self.rules if rule.metric == metric]
        return max([low, *(rule.low for rule in own)]), int(min([high, *(rule.high for rule in own)]))

    def _check_alone(self, rules: tuple[Constraint, ...]) -> None:
        for rule in rules:
            if rule.metric in SUMMED:
                low, high = self.space.table.extremes(rule.metric)
                if rule.high < low or rule.low > high:
                    nearest = low if rule.high < low else high
                    raise MetanetError(
                        f"no architecture of {self.space.name} satisfies {rule}: the nearest attainable value is "
                        f"{nearest:,} (the space reaches from {low:,} to {high:,})"
                    )

    def _always(self, rule: Constraint) -> bool:
        if rule.metric not in SUMMED:
            return False
        low, high = self.space.table.extremes(rule.metric)
        return rule.low <= low and rule.high >= high

    def _first_rule(self) -> str | None:
        """The metric with the fewest architectures in its window, by a coarse chain of each."""
        metrics = self._metrics()
        if len(metrics) < 2:
            return metrics[0] if metrics else None
        return min(metrics, key=lambda metric: self._chains(metric, bins=32).weights.sum())

    def _allowed(self, resolution: int) -> list[Mask]:
        """For each stage (before, widths, options): what can be built and does not alone break the rule on memory."""
        caps = [rule.high for rule in self.rules if rule.metric == "memory"]
        allowed = [options.valid for options in self.space.options]
        if caps:
            peaks = self.space.table.stages("peak")
            allowed = [ok & (4 * peak[resolution] <= min(caps)) for ok, peak in zip(allowed, peaks, strict=True)]
        return allowed

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
        stages = [ok.astype(float) for ok in self._allowed(resolution)]
        ends = (
            np.ones((1, len(self.space.stem_width), 1)),
            np.ones((stages[-1].shape[1], len(self.space.head_width), 1)),
        )
        return [ends[0], *stages, ends[1]]

    def _chains(self, metric: str | None, bins: int = BINS) -> _Contexts:
        low, high = self._window(metric) if metric else (0, 0)
        made = []
        for r in range(len(self.space.resolution)):
            layers = [Layer(c, w) for c, w in zip(self._costs(metric, r), self._weights(r), strict=True)]
            made.append(Chain(layers, low, high, bins))
        return _Contexts(made, (metric,) if metric else ())

    def _planes(self, metrics: list[str]) -> _Contexts:
        """Planes over the two metrics with the fewest architectures in their windows."""
        a, b = sorted(metrics, key=lambda metric: self._chains(metric, bins=32).weights.sum())[:2]
        windows = self._window(a), self._window(b)
        made = []
        for r in range(len(self.space.resolution)):
            parts = zip(self._costs(a, r), self._costs(b, r), self._weights(r), strict=True)
            layers = [PlaneLayer((x, y), w) for x, y, w in parts]
            made.append(Plane(layers, (windows[0][0], windows[1][0]), (windows[0][1], windows[1][1]), SIDE))
        return _Contexts(made, (a, b))

    def _pilot(self) -> float:
        """The share of tries that are kept, from a few of them; the same for equal spaces and rules."""
        if not self.contexts.weights.sum():
            raise self._impossible("")
        kept = len(self._try(PILOT, np.random.default_rng(0)))
        return max(kept, 1) / PILOT

    def draw(self, n: int, rng: np.random.Generator) -> Indices:
        """(n, genes) canonical rows, uniform and independent. Raises MetanetError where MOST tries find none."""
        found = [np.zeros((0, len(self.space.genes)), dtype=np.int64)]
        missing, tried = n, 0
        while missing > 0:
            tries = min(CHUNK, int(1.1 * missing / self.share) + 64)
            rows = self._try(tries, rng)
            tried = 0 if len(rows) else tried + tries
            if tried >= MOST:
                raise self._impossible(f" ({tried:,} tries found none)")
            rows = rows[rng.permutation(len(rows))[:missing]]  # they come by resolution
            found.append(rows)
            missing -= len(rows)
        return np.concatenate(found)

    def _try(self, tries: int, rng: np.random.Generator) -> Indices:
        """The feasible rows among so many tries."""
        weights = self.contexts.weights
        counts = rng.multinomial(tries, weights / weights.sum())
        rows = [
            self.rows(r, one.draw(int(count), rng))
            for r, (one, count) in enumerate(zip(self.contexts.made, counts, strict=True))
            if count
        ]
        together = np.concatenate(rows)
        others = tuple(rule for rule in self.rules if rule.metric not in self.contexts.metrics)
        return together[self.satisfies(together, others)] if others else together

    def rows(self, resolution: int, paths: Paths) -> Indices:
        """Paths as canonical rows of choice indices.

        paths: indices of the stem, of each stage's width, of the head; of each stage's option, anything at both ends
        """
        space = self.space
        (stem, *widths, head), (_, *options, _) = paths
        columns = np.zeros((len(space.genes), len(stem)), dtype=np.int64)  # a column a row: written in one piece
        columns[space.column["resolution"]] = resolution
        columns[space.column["stem_width"]] = stem
        columns[space.column["head_width"]] = head
        for i, (stage, width, option) in enumerate(zip(space.options, widths, options, strict=True)):
            columns[space.column[f"stage{i}.width"]] = width
            for gene in OPTION_GENES:
                if len(stage.choices[gene]) > 1:
                    np.take(stage.genes[gene], option, out=columns[space.column[f"stage{i}.{gene}"]])
        return columns.T

    def satisfies(self, rows: Indices, rules: tuple[Constraint, ...] | None = None) -> Mask:
        """(n,) which rows satisfy every rule, or those given, by their exact costs."""
        rules = self.rules if rules is None else rules
        ok = np.ones(len(rows), dtype=bool)
        if rules and len(rows):
            costs = self.space.table(rows, tuple(dict.fromkeys(rule.metric for rule in rules)))
            for rule in rules:
                ok &= (costs[rule.metric] >= rule.low) & (costs[rule.metric] <= rule.high)
        return ok

    def _impossible(self, detail: str) -> MetanetError:
        return MetanetError(
            f"no architecture of {self.space.name} satisfies {', '.join(map(str, self.rules))}{detail}: widen a rule"
        )
