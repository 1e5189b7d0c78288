"""The report of the main job: what was found, whether the search beat its controls, how, and from what."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from metanet.cli import phases
from metanet.cli.images_report import images_section
from metanet.cli.job import Outcome, training_words
from metanet.cli.verdict import accuracy_by_seed, verdict
from metanet.cost import describe
from metanet.report import (
    Html,
    Plot,
    Section,
    draw,
    efficiency,
    figure,
    front,
    history,
    network,
    page,
    paragraph,
    table,
    trajectory,
)
from metanet.report.style import quantity
from metanet.report.words import totals
from metanet.runs import atomic_write
from metanet.searchers import SearchResult
from metanet.spec import ArchSpec
from metanet.stats import seeds_interval

SCORE = next(iter(phases.CLIMBED))


def write_report(outcome: Outcome, folder: Path) -> str:
    """Writes report.html, PNG copies of its plots and verdict.txt, and returns the verdict."""
    said = verdict(outcome)
    atomic_write(folder / "verdict.txt", said + "\n")
    plots = _plots(outcome)
    rows = describe(outcome.winners["search"])
    for name, plot in plots.items():
        plot.save_png(folder / f"{name}.png")
    draw(rows, title="Winner of the search", lead=totals(rows)).save(folder / "winner.png")
    sections = [
        Section("Did the search pay?", [_comparison(outcome), *_shown(plots, "curve")]),
        Section("The winner", [paragraph(_winner(outcome)), network(rows)]),
        Section("The search", [paragraph(_about(outcome)), *_shown(plots, "trajectory", "front")]),
        images_section(outcome.setting.data),
        Section("Every score", [_scores(outcome)]),
        Section("Training", _shown(plots, "training")),
        Section("What it was made with", [_options(outcome)]),
    ]
    title = f"{outcome.options.space} on {outcome.setting.data.images.name}"
    atomic_write(folder / "report.html", page(title, sections, lead=said))
    return said


def _comparison(outcome: Outcome) -> Html:
    rows: list[dict[str, object]] = []
    for name, spec in outcome.winners.items():
        cost = outcome.setting.space.price(spec)
        row: dict[str, object] = {"winner of, or baseline": name, "architecture": spec.id}
        row |= {"MACs": quantity(cost["macs"]), "parameters": quantity(cost["params"])}
        for percent in outcome.options.percents:
            interval = seeds_interval(accuracy_by_seed(outcome.cells, name, percent).to_numpy())
            row[f"{percent:g} %"] = f"{interval.mean:.1%} ± {interval.high - interval.mean:.1%}"
        rows.append(row)
    for name in ("majority class", "raw pixels", "random initialisation of search, seed 0"):
        own = outcome.cells[outcome.cells["backbone"] == name].groupby("percent")["value"].mean()
        row = {"winner of, or baseline": name.removesuffix(", seed 0")}
        row |= dict.fromkeys(("architecture", "MACs", "parameters"), "–")
        rows.append(row | {f"{percent:g} %": f"{own[percent]:.1%}" for percent in outcome.options.percents})
    caption = (
        f"Test accuracy by share of the probe's training images; winners: mean over {outcome.options.retrain_seeds} "
        f"retraining seeds, each {training_words(outcome.options)}, with the 95 % interval over seeds; below them what "
        "any network must beat"
    )
    return table(pd.DataFrame(rows), caption=caption)


def _scores(outcome: Outcome) -> Html:
    columns = ["value", "ci_low", "ci_high"]
    means = outcome.cells.groupby(["backbone", "percent", "n_train"], sort=False)[columns].mean().reset_index()
    formats = dict.fromkeys(columns, ".1%")
    caption = (
        "Mean over the draws of the probe's training images, with the mean 95 % bootstrap interval over test images; "
        "every cell is in scores.csv"
    )
    return table(means, caption=caption, formats=formats)


def _winner(outcome: Outcome) -> str:
    spec = outcome.winners["search"]
    cost = outcome.setting.space.price(spec)
    return (
        f"Architecture {spec.id}: {cost['macs']:,} MACs at {spec.resolution} pixels and {cost['params']:,} parameters, "
        f"under {outcome.options.constraints}, {training_words(outcome.options)}. winner.json holds its spec, "
        "winner.safetensors its weights."
    )


def _about(outcome: Outcome) -> str:
    options, parts = outcome.options, outcome.setting.data.parts
    sizes = ", ".join(f"{len(ids):,} for {name}" for name, ids in parts.items())
    besides = f" (which learnt from {', '.join(options.proxies)}, too)" if options.proxies else ""
    once = " (one supernet: intervals over seeds do not know another)" if options.inherit else ""
    return (
        f"Of {outcome.setting.space.size:,} architectures {_looked_at(outcome.result)} by {options.sampler}{besides}, "
        f"by random search {_looked_at(outcome.controls.random)}. The score is {phases.CLIMBED_WORDS}, "
        f"with weights shared in a supernet of {options.supernet_steps} steps ({', '.join(options.rules)}); "
        "winners are "
        f"{training_words(options)}, those of the controls alike{once}. Images are disjoint: {sizes}. The test images "
        "were opened after all winners were frozen (frozen.json). The control “most MACs” is the dearest architecture "
        "that the random search drew, scored or not."
    )


def _looked_at(result: SearchResult[ArchSpec]) -> str:
    """How many architectures were scored, and how many began and were not."""
    states = result.to_dataframe()["state"].value_counts()
    told = [f"{states.get('COMPLETE', 0)} were scored"]
    told += [
        f"{states[state]} {words}"
        for state, words in (("PRUNED", "fell behind"), ("FAIL", "failed"))
        if state in states
    ]
    return ", ".join(told)


def _plots(outcome: Outcome) -> dict[str, Plot]:
    studies = {"search": outcome.result, "random search": outcome.controls.random}
    trials = {name: _trials(result) for name, result in studies.items()}
    marks = marks_of(pd.concat(trials.values()), outcome.winners)
    return {
        "trajectory": trajectory({name: rows[SCORE].tolist() for name, rows in trials.items()}, label=SCORE),
        "front": front(trials, marks, score=SCORE),
        "curve": efficiency(_curve(outcome)),
        "training": history(outcome.histories),
    }


def _trials(result: SearchResult[ArchSpec]) -> pd.DataFrame:
    rows = [{"macs": s.costs["macs"], SCORE: s.values[SCORE], "id": s.spec.id} for s in result.scored]
    return pd.DataFrame(rows)


def marks_of(scored: pd.DataFrame, winners: Mapping[str, ArchSpec]) -> dict[str, tuple[float, float]]:
    """MACs and score of the winners; the dearest architecture drawn has no score where it fell behind or failed."""
    own = {name: scored[scored["id"] == spec.id] for name, spec in winners.items()}
    found = {name: rows[["macs", SCORE]].to_numpy(float) for name, rows in own.items() if len(rows)}
    return {f"winner of {name}": (macs, score) for name, ((macs, score), *_) in found.items()}


def _curve(outcome: Outcome) -> pd.DataFrame:
    """Accuracy against percentage: winners over their retraining seeds, baselines over draws, image intervals; of the
    random initialisations that of the search's winner."""
    cells = outcome.cells[~outcome.cells["backbone"].str.contains("initialisation of (?!search)")].copy()
    cells["backbone"] = cells["backbone"].str.replace(r"( of search)?, seed \d+$", "", regex=True)
    return cells.groupby(["backbone", "percent"], sort=False)[["value", "ci_low", "ci_high"]].mean().reset_index()


def _shown(plots: dict[str, Plot], *names: str) -> list[Html]:
    return [figure(plots[name].figure) for name in names]


def _options(outcome: Outcome) -> Html:
    from dataclasses import asdict

    rows = [{"option": name, "value": str(value)} for name, value in asdict(outcome.options).items()]
    rows += [{"option": f"seconds of {phase}", "value": f"{took:g}"} for phase, took in outcome.seconds.items()]
    return table(pd.DataFrame(rows))
