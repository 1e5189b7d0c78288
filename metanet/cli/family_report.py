"""The report of a family by score: one page for the whole ladder, whether the searches beat their controls, and what
each rung was chosen from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd

from metanet.cli import phases
from metanet.cli.family_score import RUNGS, FamilyOptions, FamilyOutcome
from metanet.cli.images_report import images_section
from metanet.cli.verdict import Difference, difference, points
from metanet.report.html import Html, Section, figure, links, page, paragraph, table
from metanet.report.plots import Plot, scaling
from metanet.report.style import quantity
from metanet.runs import atomic_write
from metanet.search_spaces.family import Rung
from metanet.searchers import CoefficientGrid
from metanet.stats import seeds_interval

POOLED = "all rungs"


@dataclass(frozen=True)
class Comparison:
    """The search's choice beside another one's on a rung, or on all of them; apart of None: the same architectures."""

    rung: str
    other: str
    apart: Difference | None

    def row(self) -> dict[str, object]:
        """In plain values: shares, not points; NaN for the same architectures."""
        ends: dict[str, float] = dict.fromkeys(
            ("difference", "seeds_low", "seeds_high", "images_low", "images_high"), nan
        )
        if self.apart:
            seeds, images = self.apart.seeds, self.apart.images
            ends = {"difference": seeds.mean, "seeds_low": seeds.low, "seeds_high": seeds.high}
            ends |= {"images_low": images.low, "images_high": images.high}
        return {"rung": self.rung, "other": self.other, "says": self.says, **ends}

    def shown(self) -> dict[str, object]:
        """As a row of a table, in points."""
        row: dict[str, object] = {"rung": self.rung, "the search": f"{self.says} {self.other}"}
        if self.apart is None:
            return row | dict.fromkeys(("points", "95 % over seeds", "95 % over test images"), "–")
        row |= {"points": f"{100 * self.apart.seeds.mean:+.2f}", "95 % over seeds": points(self.apart.seeds)}
        return row | {"95 % over test images": points(self.apart.images)}

    @property
    def says(self) -> str:
        """The verdict on this pair, as a verb."""
        return "found the same as" if self.apart is None else self.apart.says


def write_report(outcome: FamilyOutcome, folder: Path) -> str:
    """Writes report.html, the page of each study, results.csv, comparisons.csv, PNG copies of the plots and
    verdict.txt, and returns the verdict."""
    rows, found = results(outcome), comparisons(outcome)
    said = verdict(outcome, found)
    atomic_write(folder / "verdict.txt", said + "\n")
    atomic_write(folder / "results.csv", rows.to_csv(index=False))
    atomic_write(folder / "comparisons.csv", pd.DataFrame([one.row() for one in found]).to_csv(index=False))
    plots = _plots(rows)
    for name, plot in plots.items():
        plot.save_png(folder / f"{name}.png")
    studies = _studies(outcome, folder)
    sections = [
        Section("Did the searches pay?", [_comparisons(found), *(figure(plot.figure) for plot in plots.values())]),
        Section("The ladder", [paragraph(_about(outcome)), _ladder(rows, outcome)]),
        *([_growth(outcome.grid)] if outcome.grid else []),
        images_section(outcome.data),
        Section("The studies", [links(studies)]),
        Section("What it was made with", [_options(outcome.options, outcome.seconds)]),
    ]
    title = f"A family in {outcome.options.space} on {outcome.data.images.name}"
    atomic_write(folder / "report.html", page(title, sections, lead=said))
    return said


def write_grid_report(options: FamilyOptions, grid: CoefficientGrid, rungs: Mapping[str, Rung], folder: Path) -> str:
    """Writes the page of a family whose coefficients alone were found by score, and returns what was found."""
    best = grid.best
    assert best.tried is not None
    said = (
        f"Of {len(grid.pairs)} pairs of coefficients depth {best.depth:g} and width {best.width:g} score best on the "
        f"selection images, {best.tried.value(grid.objective):.1%} ± {best.tried.value(f'{grid.objective}.se'):.1%} "
        "(one standard error): the family grows by them."
    )
    atomic_write(folder / "verdict.txt", said + "\n")
    members = [
        {"rung": name, "architecture": rung.spec.to_text(), **rung.costs, "off": f"{rung.deviation:.2%}"}
        for name, rung in rungs.items()
    ]
    ladder = Section("The ladder", [table(pd.DataFrame(members), caption="By the rule with the coefficients found")])
    sections = [_growth(grid), ladder, Section("What it was made with", [_options(options, {})])]
    atomic_write(folder / "report.html", page(f"A family from {options.anchors[0]}", sections, lead=said))
    return said


def results(outcome: FamilyOutcome) -> pd.DataFrame:
    """One row a rung and chooser: what was searched for and found, its score on the selection images, and its test
    accuracy with the 95 % interval over retraining seeds."""
    rows = outcome.found.to_dataframe().rename(columns={outcome.found.objective: "selection"})
    names = rows["rung"] + ", " + rows["chooser"]
    intervals = [seeds_interval(outcome.right[name].mean(axis=1)) for name in names]
    return rows.assign(
        value=[one.mean for one in intervals],
        ci_low=[one.low for one in intervals],
        ci_high=[one.high for one in intervals],
    )


def comparisons(outcome: FamilyOutcome) -> list[Comparison]:
    """The search's choice beside every other chooser's, rung by rung and over all rungs.

    Over all rungs, a seed's number is its mean over the rungs, and so is a test image's: a rung weighs as any other.
    """
    right, found = outcome.right, []
    for other in outcome.choosers[1:]:
        pairs = {rung: (f"{rung}, search", f"{rung}, {other}") for rung in outcome.found.rungs}
        for rung, (own, control) in pairs.items():
            same = outcome.winners[own] == outcome.winners[control]
            found.append(Comparison(rung, other, None if same else difference(right[own], right[control])))
        sides = [np.mean([right[pair[side]] for pair in pairs.values()], axis=0) for side in (0, 1)]
        same = all(outcome.winners[own] == outcome.winners[control] for own, control in pairs.values())
        found.append(Comparison(POOLED, other, None if same else difference(*sides)))
    return found


def verdict(outcome: FamilyOutcome, found: list[Comparison]) -> str:
    """The mean test accuracy of the searches' choices, and its difference to every control's over all rungs."""
    reached = np.mean([outcome.right[f"{rung}, search"].mean() for rung in outcome.found.rungs])
    parts = []
    for one in (one for one in found if one.rung == POOLED):
        own = [c for c in found if c.other == one.other and c.rung != POOLED]
        won, lost = (sum(c.says == says for c in own) for says in ("beats", "is beaten by"))
        rungs = f"on single rungs it beats {one.other} on {won} and is beaten on {lost}"
        if one.apart is None:
            parts.append(f"{one.other} found the same architectures")
        else:
            parts.append(f"it {one.says} {one.other} ({one.apart}; {rungs})")
    return (
        f"Over {len(outcome.found.rungs)} rungs the search's choices reach {reached:.1%} on the "
        f"{len(outcome.data.task.test):,} test images of {outcome.data.images.name}, with 100 % of the probe's "
        f"training images: {'; '.join(parts)}."
    )


def _comparisons(found: list[Comparison]) -> Html:
    caption = (
        "The search's choice beside the others', test accuracy in points. To beat or to be beaten needs both intervals "
        "on one side of 0. Each search was run once, with one seed: its own luck is in no interval"
    )
    return table(pd.DataFrame([one.shown() for one in found]), caption=caption)


def _ladder(rows: pd.DataFrame, outcome: FamilyOutcome) -> Html:
    shown = pd.DataFrame(
        [
            {
                "rung": row["rung"],
                "chosen by": row["chooser"],
                "architecture": row["spec"],
                "parameters": f"{row['params']:,} ({row['params'] / row['target_params'] - 1:+.1%})",
                "MACs": f"{row['macs']:,}{_off(row['macs'], row['target_macs'])}",
                "selection": "no score" if np.isnan(row["selection"]) else f"{row['selection']:.1%}",
                "test": f"{row['value']:.1%} ± {row['ci_high'] - row['value']:.1%}",
            }
            for _, row in rows.iterrows()
        ]
    )
    base = {name: outcome.right[name].mean() for name in ("raw pixels", "majority class")}
    caption = (
        "In brackets, how far from the rung's totals. Selection: the score that was searched by; test: mean over "
        f"{outcome.options.retrain_seeds} retraining seeds with the 95 % interval over seeds (raw pixels: "
        f"{base['raw pixels']:.1%}, majority class: {base['majority class']:.1%})"
    )
    return table(shown, caption=caption)


def _off(value: float, target: float) -> str:
    return "" if np.isnan(target) else f" ({value / target - 1:+.1%})"


def _about(outcome: FamilyOutcome) -> str:
    options, parts = outcome.options, outcome.data.parts
    sizes = ", ".join(f"{len(ids):,} for {name}" for name, ids in parts.items())
    rules = ", ".join(options.rules)
    how = f"with weights shared in one supernet of {options.supernet_steps} steps ({rules}) for the whole ladder"
    if options.supernet_steps == 0:
        how = f"each network trained alone for {options.epochs} epochs"
    reasons = [f"{name} ({r.rule.reason})" for name, r in outcome.found.rungs.items() if r.rule and r.rule.reason]
    unscored = f" The rule's network has no score on {'; '.join(reasons)}." if reasons else ""
    return (
        f"Near each rung's totals, within {options.within:.0%}, {options.trials} architectures of "
        f"{outcome.found.space.name} were scored by {options.sampler}, as many by random search. The score is "
        f"{phases.CLIMBED_WORDS}, {how}. The rule is compound scaling, "
        f"solved to within {options.tolerance:.0%}; “most MACs” is the dearest architecture that the random search "
        f"drew.{unscored} Images are disjoint: {sizes}. The test images were opened after all choices were frozen "
        "(frozen.json). family.json and RUNG.json hold the search's choices."
    )


def _growth(grid: CoefficientGrid) -> Section:
    rows = grid.to_dataframe()
    caption = (
        "Each pair's network has twice the anchor's parameters, is trained alone and scored on the selection images; "
        "depth * width^2 is about 2 (Tan and Le, EfficientNet, 2019, section 3.3, without resolution: our reading)"
    )
    return Section("The coefficients", [table(rows, caption=caption, formats={grid.objective: ".1%"})])


def _plots(rows: pd.DataFrame) -> dict[str, Plot]:
    made = {"parameters": scaling(rows)}
    if rows["target_macs"].notna().all():
        made["macs"] = scaling(rows, cost="macs", cost_label="MACs")
    return made


def _studies(outcome: FamilyOutcome, folder: Path) -> dict[str, str]:
    """Writes the page of each study and returns the links to it and to the files of its folder."""
    found = {}
    for name, rung in outcome.found.rungs.items():
        pages = {"search": rung.search, "random search": rung.controls.random}
        for chooser, result in pages.items():
            path = f"{RUNGS}/{name}/{chooser.partition(' ')[0]}.html"
            result.report(folder / path)
            found[f"{name}, {chooser}: {quantity(rung.target.params)}"] = path
    return found


def _options(options: FamilyOptions, seconds: Mapping[str, float]) -> Html:
    rows = [{"option": name, "value": str(value)} for name, value in asdict(options).items()]
    rows += [{"option": f"seconds of {phase}", "value": f"{took:g}"} for phase, took in seconds.items()]
    return table(pd.DataFrame(rows))
