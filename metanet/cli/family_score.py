"""A family by score, phase after phase: one supernet for the whole ladder, a search with its controls for each rung,
all choices retrained from scratch and tested once; each phase is resumable by itself, so the whole is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from metanet.bench import Constant, ProbeEvaluator, RawPixels
from metanet.cli import phases
from metanet.cli.family_made import write
from metanet.cli.frozen import check_untested, freeze
from metanet.cli.phases import Data, data_of, timed
from metanet.cli.samplers import check_sampler, rung_sampler
from metanet.cli.setting import space_of
from metanet.cli.verdict import Terms, terms
from metanet.errors import MetanetError
from metanet.factory import find
from metanet.model import Backbone, MetaNet
from metanet.runs import atomic_write, open_run, track, write_json
from metanet.search_spaces import Space, TrainingConfig, parse_constraints
from metanet.search_spaces.family import Chosen, Family, Rung, chosen, family_between, family_from
from metanet.search_spaces.family.rule import ALPHA, BETA
from metanet.searchers import (
    CoefficientGrid,
    FamilySearch,
    coefficient_grid,
    search_family,
)
from metanet.searchers.family import RANDOM, STUDY, rungs_near
from metanet.spec import ArchSpec
from metanet.stats import bootstrap_interval

RUNGS = "rungs"  # the folder of the rungs' folders


@dataclass(frozen=True)
class FamilyOptions:
    """What `metanet family --evaluate` is asked for.

    anchors        one or two: names, spec files or texts
    to, rungs, name, coefficients, tolerance   of the family by the rule; coefficients of None are found by a grid
    data           the labelled images that choose and test
    space          whose networks the rungs are chosen from; None finds the coefficients alone
    resolution     side in pixels of the whole family; None takes the anchors' own
    within         how far from a rung's totals its networks may be, as a share
    supernet_steps 0 trains each network alone for `epochs` in place of a supernet
    """

    anchors: tuple[str, ...]
    to: str | None = None
    rungs: int = 4
    name: str = "rung"
    coefficients: tuple[float, float] | None = None
    tolerance: float = 0.01
    data: str = "mnist-5k"
    space: str | None = "metanet-tiny"
    resolution: int | None = None
    within: float = 0.05
    sampler: str = "predictor"
    trials: int = 30
    supernet_steps: int = TrainingConfig.steps
    epochs: int = 5
    retrain_seeds: int = 3
    seed: int = 0
    rules: tuple[str, ...] = TrainingConfig.rules

    def __post_init__(self) -> None:
        check_sampler(self.sampler)
        phases.check_budget(self.trials, self.retrain_seeds, self.epochs, self.seed)
        TrainingConfig(rules=self.rules)
        if len(self.anchors) not in (1, 2):
            raise MetanetError(f"a family has one anchor or two, got {len(self.anchors)}")
        if len(self.anchors) == 2 and (self.to or self.coefficients):
            raise MetanetError("between two anchors neither totals nor coefficients have a meaning: leave them out")
        if len(self.anchors) == 1 and not self.to:
            raise MetanetError("from one anchor a family needs its last rung's totals, as 'params = 1G'")
        if self.space is None and (len(self.anchors) == 2 or self.coefficients):
            raise MetanetError("nothing is left to be chosen by score: name a space, or give one anchor alone")

    @property
    def seeds(self) -> list[int]:
        """Of the retrainings."""
        return [self.seed + k for k in range(self.retrain_seeds)]


@dataclass(frozen=True)
class FamilyOutcome:
    """Everything that the report tells.

    winners  by "RUNG, CHOOSER"
    right    by the same names, and those of the baselines: which test images are answered rightly, by seed
    """

    options: FamilyOptions
    data: Data
    family: Family
    grid: CoefficientGrid | None
    found: FamilySearch
    winners: dict[str, ArchSpec]
    right: dict[str, Terms]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def choosers(self) -> list[str]:
        """Who chose a network for each rung; the search first."""
        return list(next(iter(self.found.rungs.values())).choices)


def run_family_job(options: FamilyOptions, out: str | Path, *, quiet: bool | None = None) -> str:
    """Runs every phase, writes the run folder and returns the verdict.

    Raises MetanetError for options that cannot be met, a folder that cannot be written, and damaged files of an
    earlier run.
    """
    from metanet.cli.family_report import write_grid_report, write_report

    anchors = [_anchor(name, options.resolution) for name in options.anchors]
    space = None if options.space is None else space_of(options.space, anchors[0].resolution)
    ladder = _family(options, anchors, None).ladder  # the same for all coefficients
    if space is not None:
        rungs_near(space, ladder, options.within, seed=options.seed)  # a rung without networks ends here
    data = data_of(options.data, anchors[0].resolution, options.seed)
    folder = open_run(out)
    check_untested(folder, options.trials)
    phases.begin(folder, data.images)
    seconds = phases.earlier_seconds(folder)
    if space is not None:
        stores = [folder / RUNGS / name / store for name in ladder for store in (STUDY, RANDOM)]
        phases.check_studies(stores, space)
    with timed(seconds, "coefficients"):
        grid = _grid(options, anchors, data, folder, quiet)
    family = _family(options, anchors, grid)
    rungs = dict(family.rungs(tolerance=options.tolerance))
    if space is None:
        assert grid is not None  # the options say so
        _write_rungs(folder, rungs, f"metanet family --evaluate, from {options.anchors[0]} to {options.to}")
        return write_grid_report(options, grid, rungs, folder)
    rule = {name: rung.spec for name, rung in rungs.items()}
    outcome = _chosen(options, data, family, grid, rule, space, folder, seconds, quiet)
    best = {n: chosen(r.search.best.spec, r.target, r.search.best.metrics) for n, r in outcome.found.rungs.items()}
    _write_rungs(folder, best, f"chosen by metanet family --evaluate {options.data}, {options.trials} trials a rung")
    seen = {"job": options.seed, "retraining": options.seeds}
    about = phases.about_job(asdict(options), data, space, outcome.winners, seen, seconds)
    write_json(folder / "manifest.json", about)
    return write_report(outcome, folder)


def _anchor(name: str, resolution: int | None) -> ArchSpec:
    spec = find(name).spec
    return spec if resolution is None else replace(spec, resolution=resolution)


def _family(options: FamilyOptions, anchors: list[ArchSpec], grid: CoefficientGrid | None) -> Family:
    """The ladder and the rule's path along it."""
    if len(anchors) == 2:
        return family_between(anchors[0], anchors[1], options.rungs, name=options.name)
    depth, width = (grid.best.depth, grid.best.width) if grid else options.coefficients or (ALPHA, BETA)
    return family_from(anchors[0], options.to, options.rungs, depth=depth, width=width, name=options.name)


def _grid(
    options: FamilyOptions, anchors: list[ArchSpec], data: Data, folder: Path, quiet: bool | None
) -> CoefficientGrid | None:
    """The coefficients of a single anchor by score, where none are given."""
    if len(anchors) == 2 or options.coefficients:
        return None
    alone = phases.trained_evaluator(data, folder / "alone", epochs=options.epochs, seed=options.seed)
    how: dict[str, Any] = {"tolerance": options.tolerance, "store": folder / "coefficients.json", "quiet": quiet}
    grid = coefficient_grid(anchors[0], alone, objectives=phases.CLIMBED, **how)
    atomic_write(folder / "coefficients.csv", grid.to_dataframe().to_csv(index=False))
    return grid


def _chosen(
    options: FamilyOptions,
    data: Data,
    family: Family,
    grid: CoefficientGrid | None,
    rule: Mapping[str, ArchSpec],
    space: Space,
    folder: Path,
    seconds: dict[str, float],
    quiet: bool | None,
) -> FamilyOutcome:
    """From the rule's networks to the test: searches, retraining, freezing, testing."""
    rules = rungs_near(space, family.ladder, options.within, rule=rule, seed=options.seed)
    with timed(seconds, "supernet"):
        evaluate = _evaluator(options, data, space, rules, folder, quiet)
    with timed(seconds, "search"):
        sampler = rung_sampler(options.sampler, options.trials)
        budget: dict[str, Any] = {"sampler": sampler, "trials": options.trials, "seed": options.seed}
        budget |= {"within": options.within, "folder": folder / RUNGS, "quiet": quiet, "objectives": phases.CLIMBED}
        found = search_family(space, family.ladder, evaluate, rule=rule, **budget)
    winners = {f"{name}, {chooser}": t.spec for name, r in found.rungs.items() for chooser, t in r.choices.items()}
    with timed(seconds, "retraining"):
        nets, _ = phases.retrained(winners, data, folder, epochs=options.epochs, seeds=options.seeds)
    freeze(folder, winners, options.trials)
    with timed(seconds, "testing"):
        right = _tested(winners, nets, data, quiet)
        atomic_write(folder / "scores.csv", _scores(winners, right).to_csv(index=False))
    return FamilyOutcome(options, data, family, grid, found, winners, right, seconds)


def _evaluator(
    options: FamilyOptions, data: Data, space: Space, rules: Mapping[str, str], folder: Path, quiet: bool | None
) -> ProbeEvaluator:
    """What chooses: shared weights of one supernet for the whole ladder, or each network trained alone."""
    if options.supernet_steps == 0:
        return phases.trained_evaluator(data, folder / "alone", epochs=options.epochs, seed=options.seed)
    caps: dict[str, float] = {}
    for rule in (one for text in rules.values() for one in parse_constraints(text)):
        caps[rule.metric] = max(rule.high, caps.get(rule.metric, 0))
    largest = ", ".join(f"{metric} <= {cap:.0f}" for metric, cap in caps.items())
    how: dict[str, Any] = {"steps": options.supernet_steps, "seed": options.seed, "quiet": quiet}
    supernet = phases.shared_weights(space, data, folder, rules=options.rules, constraints=largest, **how)
    return phases.shared_evaluator(data, supernet)


def _tested(
    winners: Mapping[str, ArchSpec], nets: Mapping[str, list[MetaNet]], data: Data, quiet: bool | None
) -> dict[str, Terms]:
    """What the probe, on all selection images, makes of the test images; each network is tested once."""
    known: dict[str, Sequence[Backbone]] = {"majority class": [Constant()], "raw pixels": [RawPixels()]}
    known |= {winners[name].id: own for name, own in nets.items()}
    right = {
        name: terms(own, data.task) for name, own in track(known.items(), "testing", total=len(known), quiet=quiet)
    }
    named = {name: right[spec.id] for name, spec in winners.items()}
    return named | {name: right[name] for name in ("majority class", "raw pixels")}


def _scores(winners: Mapping[str, ArchSpec], right: Mapping[str, Terms]) -> pd.DataFrame:
    """Test accuracy of each network with its 95 % bootstrap interval over test images."""
    rows = []
    for name, own in right.items():
        for seed, answers in enumerate(own):
            images = bootstrap_interval(answers)
            row = {"network": name, "architecture": winners[name].id if name in winners else None, "seed": seed}
            rows.append({**row, "value": images.mean, "ci_low": images.low, "ci_high": images.high})
    return pd.DataFrame(rows)


def _write_rungs(folder: Path, rungs: Mapping[str, Rung | Chosen], by: str) -> None:
    write(folder, rungs, by, {name: rung.spec for name, rung in rungs.items()})
