"""Families by score: each rung of a ladder is chosen by an evaluator among the feasible networks near its totals.

family = family_between(small, large, 6)
rule = {name: rung.spec for name, rung in family.rungs()}
found = search_family(space, family.ladder, evaluate, trials=30, rule=rule, folder="runs/family")
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from optuna.samplers import BaseSampler

from metanet.errors import MetanetError
from metanet.search_spaces import Space, parse_constraints
from metanet.search_spaces.family import Target, near
from metanet.searchers.controls import Controls, controls
from metanet.searchers.evaluate import Evaluator, as_evaluator, one_objective
from metanet.searchers.kept import Kept, Tried
from metanet.searchers.result import SearchResult
from metanet.searchers.search import search
from metanet.spec import ArchSpec

STUDY, RANDOM, RULE = "search.journal", "random.journal", "rule.json"  # in the folder of a rung
NAME = re.compile(r"[\w.+-]*\w[\w.+-]*")


@dataclass(frozen=True)
class RungSearch:
    """What was found near one target.

    constraints  that all networks keep, but for the rule's where its own tolerance is wider
    search       the search
    controls     random search at the same budget, and the network with the most MACs that it drew
    rule         the network that the rule gives, scored by the same evaluator; None where none was given
    """

    target: Target
    constraints: str
    search: SearchResult[ArchSpec]
    controls: Controls[ArchSpec]
    rule: Tried | None

    @property
    def choices(self) -> dict[str, Tried]:
        """The network of each chooser, by its name."""
        drawn = {
            "search": self.search.best,
            "random search": self.controls.random.best,
            "most MACs": self.controls.most_macs,
        }
        found = {name: Tried(one.spec, one.metrics) for name, one in drawn.items()}
        return found if self.rule is None else {**found, "rule": self.rule}


@dataclass(frozen=True)
class FamilySearch:
    """The rungs of a ladder by name, in its order, and the number that they were chosen by."""

    rungs: Mapping[str, RungSearch]
    objective: str
    space: Space

    def to_dataframe(self) -> pd.DataFrame:
        """One row a rung and chooser: rung, target_params, target_macs (NaN where free), chooser, spec (its id),
        params, macs, the objective (NaN where there is no score), reason (why there is none)."""
        rows = []
        for name, found in self.rungs.items():
            wanted = {"target_params": found.target.params, "target_macs": found.target.macs or math.nan}
            for chooser, tried in found.choices.items():
                costs = self.space.price(tried.spec)
                row = {"rung": name, **wanted, "chooser": chooser, "spec": tried.spec.id}
                row |= {"params": costs["params"], "macs": costs["macs"]}
                rows.append(row | {self.objective: tried.value(self.objective), "reason": tried.reason})
        return pd.DataFrame(rows)


def search_family(
    space: Space,
    ladder: Mapping[str, Target],
    evaluate: Evaluator[ArchSpec] | Callable[[ArchSpec], float | Mapping[str, float]],
    *,
    within: float = 0.05,
    rule: Mapping[str, ArchSpec] | None = None,
    objectives: Mapping[str, str] | None = None,
    sampler: str | BaseSampler | None = None,
    trials: int = 200,
    folder: str | os.PathLike[str] = "runs/family",
    seed: int = 0,
    quiet: bool | None = None,
) -> FamilySearch:
    """Searches the space near each target of a ladder, with the controls of each search.

    within   how far from a target networks may be, as a share of each of its totals
    rule     the rule's network of each rung: scored by the same evaluator; one that it cannot score (outside of a
             supernet's space, say) stays without a score, with the reason
    sampler, objectives, trials, seed, quiet   as those of `search`, of which each rung has one; one objective
    folder   of the studies, RUNG/search.journal and RUNG/random.journal, and RUNG/rule.json: the same call again goes
             on where it was

    Raises MetanetError before any search where a rung has no network near its target, names no folder, or has no
    network of the rule though others have; and as `search` does.
    """
    objectives = {"accuracy": "maximize"} if objectives is None else objectives
    _check(ladder, rule, objectives)
    evaluator = as_evaluator(evaluate, objectives)
    rules = rungs_near(space, ladder, within, rule=rule, seed=seed)
    found = {}
    for name, constraints in rules.items():
        own = Path(folder) / name
        shared = {"objectives": objectives, "constraints": constraints, "trials": trials, "seed": seed, "quiet": quiet}
        result = search(space, evaluator, sampler=sampler, store=own / STUDY, **shared)  # type: ignore[arg-type]
        control = controls(space, evaluator, store=own / RANDOM, **shared)  # type: ignore[arg-type]
        tried = None
        if rule is not None:
            kept = Kept(
                own / RULE, {"evaluator": evaluator.fingerprint, "objectives": objectives, "rule": rule[name].to_text()}
            )
            tried = kept.tried(evaluator, rule[name], objectives)
        found[name] = RungSearch(ladder[name], constraints, result, control, tried)
    return FamilySearch(found, next(iter(objectives)), space)


def rungs_near(
    space: Space,
    ladder: Mapping[str, Target],
    within: float = 0.05,
    *,
    rule: Mapping[str, ArchSpec] | None = None,
    seed: int = 0,
) -> dict[str, str]:
    """The constraints of each rung: all totals within a share of the target's, without classifier.

    Raises MetanetError where nothing in the space keeps them, or the rule's own network does not.
    """
    if not 0 < within < 1:
        raise MetanetError(f"`within` must be above 0 and below 1, got {within}")
    if any(target.num_classes for target in ladder.values()) and len(space.head_width) > 1:
        raise MetanetError(
            f"targets that count a classifier need a space with one head width, got {space.head_width}: "
            "fix it, as space.freeze(head_width=...)"
        )
    found = {}
    for name, target in ladder.items():
        found[name] = ", ".join(map(str, near(target, within, space.head_width[0])))
        try:
            space.sample(1, found[name], seed=seed)
        except MetanetError as error:
            raise MetanetError(f"{name} cannot be chosen from {space.name!r}: {error}") from None
        if rule is not None:
            costs = space.price(rule[name])
            for one in parse_constraints(found[name]):
                if not one.holds(costs):
                    raise MetanetError(
                        f"the rule's network of {name} must keep {one} to be compared, got {costs[one.metric]:,}: "
                        "lower the rule's tolerance or raise `within`"
                    )
    return found


def _check(ladder: Mapping[str, Target], rule: Mapping[str, ArchSpec] | None, objectives: Mapping[str, str]) -> None:
    one_objective(objectives)
    for name in ladder:
        if not NAME.fullmatch(name):
            raise MetanetError(f"a rung's name is that of its folder: letters, digits, '.', '+', '-', got {name!r}")
    if rule is not None and (missing := [name for name in ladder if name not in rule]):
        raise MetanetError(f"the rule's networks must be those of all rungs, got none for {', '.join(missing)}")
