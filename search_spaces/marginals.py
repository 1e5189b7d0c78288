"""What the architectures of a space are like: how often each choice of a gene occurs, with rules and without, which
architectures are the cheapest, the median and the dearest, and which named networks are among them.

Spaces that can be enumerated are; of larger ones DRAWS uniform draws stand for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from metanet.errors import MetanetError
from metanet.factory import MODELS
from metanet.search_spaces.choices import STAGE_GENES, Indices, Mask
from metanet.search_spaces.constraints import Constraint, Constraints, parse_constraints
from metanet.search_spaces.feasible import counting
from metanet.search_spaces.feasible.counting import Count
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

DRAWS = 20_000  # a share of them has a standard error of at most 0.36 points


@dataclass(frozen=True)
class Marginal:
    """How often the choices of a gene occur.

    effect   share of the architectures where the gene has an effect
    shares   of each choice among these architectures, in the order of the choices; zeros where there are none
    """

    gene: str
    choices: tuple[Any, ...]
    effect: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Landmark:
    """An architecture that tells what a space reaches, and its costs by metric."""

    spec: ArchSpec
    costs: Mapping[str, int]


@dataclass(frozen=True)
class Named:
    """Whether a network that is known by name is in a space, and whether it keeps the rules.

    why        what keeps it out; "" for one inside
    feasible   None where a rule names latency, which is known of networks inside alone
    """

    name: str
    inside: bool
    feasible: bool | None
    why: str = ""


@dataclass(frozen=True)
class Portrait:
    """A space under rules.

    draws      how many draws the marginals and the median are from; 0 where they are exact
    landmarks  the cheapest, the median and the dearest feasible architecture, by MACs
    marginals  of each gene over the feasible architectures; `free`: over all of the space, empty without rules
    """

    size: int
    count: Count
    draws: int
    landmarks: Mapping[str, Landmark]
    marginals: Sequence[Marginal]
    free: Sequence[Marginal]
    named: Sequence[Named]

    def rows(self) -> list[dict[str, Any]]:
        """The marginals as plain values, one row a gene: gene, stage (None: of the whole network), choices, shares,
        effect, and of the space without rules free and free_effect (None without rules)."""
        found = []
        for i, one in enumerate(self.marginals):
            stage, _, gene = one.gene.rpartition(".")
            free = self.free[i] if self.free else None
            found.append(
                {
                    "gene": gene,
                    "stage": int(stage.removeprefix("stage")) if stage else None,
                    "choices": list(one.choices),
                    "shares": list(one.shares),
                    "effect": one.effect,
                    "free": list(free.shares) if free else None,
                    "free_effect": free.effect if free else None,
                }
            )
        return found


def portrait(space: "Space", constraints: Constraints = None, *, seed: int = 0, draws: int = DRAWS) -> Portrait:
    """The space under constraints, the same for equal seeds. Raises MetanetError where nothing satisfies them."""
    rules = parse_constraints(constraints)
    exact = space.size <= counting.ENUMERABLE
    rows = _rows(space, rules, seed, 0 if exact else draws)
    free = marginals(space, _rows(space, (), seed, 0 if exact else draws)) if rules else []
    return Portrait(
        space.size,
        space.count(rules),
        0 if exact else draws,
        _landmarks(space, rules, rows),
        marginals(space, rows),
        free,
        named(space, rules),
    )


def _rows(space: "Space", rules: tuple[Constraint, ...], seed: int, draws: int) -> Indices:
    """(n, genes) so many draws under the rules; with 0 every architecture that keeps them."""
    sampler = space.sampler(rules)
    if draws:
        return sampler.draw(draws, np.random.default_rng(seed))
    return np.concatenate([rows[sampler.satisfies(rows, rules)] for rows in counting.all_rows(space)])


def effects(space: "Space", rows: Indices) -> Mask:
    """(n, genes): where each gene of canonical rows has an effect."""
    found = np.ones(rows.shape, dtype=np.bool_)
    before = rows[:, space.column["stem_width"]]
    for i, (options, option) in enumerate(zip(space.options, space.option_ids(rows), strict=True)):
        width = rows[:, space.column[f"stage{i}.width"]]
        for gene in STAGE_GENES:
            found[:, space.column[f"stage{i}.{gene}"]] = options.effective(gene)[before, width, option]
        before = width
    return found


def marginals(space: "Space", rows: Indices) -> list[Marginal]:
    """How often each choice of each gene occurs in canonical rows (n, genes); one a gene, in the space's order.

    Architectures in which a gene has no effect do not count for it.
    """
    effective, found = effects(space, rows), []
    for j, gene in enumerate(space.genes):
        own = rows[effective[:, j], j]
        counts = np.bincount(own, minlength=len(gene.choices)) / max(1, len(own))
        found.append(Marginal(gene.name, gene.choices, len(own) / max(1, len(rows)), tuple(counts.tolist())))
    return found


def _landmarks(space: "Space", rules: tuple[Constraint, ...], rows: Indices) -> dict[str, Landmark]:
    macs = space.table(rows, ("macs",))["macs"]
    (median,) = space.specs(rows[np.argsort(macs, kind="stable")[[(len(rows) - 1) // 2]]])
    low, high = space.cheapest("macs", rules), space.dearest("macs", rules)
    return {
        "cheapest": Landmark(low.spec, low.costs),
        "median": Landmark(median, space.price(median)),
        "dearest": Landmark(high.spec, high.costs),
    }


def named(space: "Space", constraints: Constraints = None) -> list[Named]:
    """Where the networks that are known by name (`metanet.list_models`) stand."""
    rules, found = parse_constraints(constraints), []
    timed = any(rule.metric == "latency" for rule in rules)
    for name, member in MODELS.items():
        try:
            space.encode(member.spec)
            why = ""
        except MetanetError as error:
            why = str(error)
        feasible = None if timed and why else space.feasible(member.spec, rules)
        found.append(Named(name, not why, feasible, why))
    return found
