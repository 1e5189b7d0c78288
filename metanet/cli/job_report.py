"""The report of the main job: what was found, whether the search beat its controls, how, and from what."""

from pathlib import Path

import numpy as np
import pandas as pd

from metanet.bench import FeatureCache, LinearProbe
from metanet.cli.job import Outcome
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
    page,
    paragraph,
    svg,
    table,
    trajectory,
)
from metanet.report.style import quantity
from metanet.runs import atomic_write
from metanet.searchers import SearchResult
from metanet.spec import ArchSpec
from metanet.stats import paired_bootstrap, seeds_interval


def write_report(outcome: Outcome, folder: Path) -> None:
    """Writes report.html and PNG copies of its plots."""
    plots = _plots(outcome)
    drawing = draw(describe(outcome.winners["search"]))
    for name, plot in plots.items():
        plot.save_png(folder / f"{name}.png")
    drawing.save_png(folder / "winner.png")
    sections = [
        Section("Did the search pay?", [paragraph(verdict(outcome)), _comparison(outcome), *_shown(plots, "curve")]),
        Section("The winner", [paragraph(_winner(outcome)), svg(drawing.svg)]),
        Section("The search", [paragraph(_about(outcome)), *_shown(plots, "trajectory", "front")]),
        Section("Every score", [_scores(outcome)]),
        Section("Training", _shown(plots, "training")),
        Section("What it was made with", [_options(outcome)]),
    ]
    title = f"{outcome.options.space} on {outcome.options.data}"
    atomic_write(folder / "report.html", page(title, sections, lead=verdict(outcome)))


def verdict(outcome: Outcome) -> str:
    """One plain sentence on whether the search beat its controls, at the largest percentage."""
    parts = [_against(outcome, name) for name in outcome.winners if name != "search"]
    top = max(outcome.options.percents)
    mean = _by_seed(outcome, "search", top).mean()
    return (
        f"With {top:g} % of the probe's training images the search's winner reaches {mean:.1%} on the test images: "
        f"{'; '.join(parts)}."
    )


def _against(outcome: Outcome, name: str) -> str:
    if outcome.winners[name] == outcome.winners["search"]:
        return f"{name} found the same architecture"
    row = _difference(outcome, name)
    if row["low"] > 0:
        says = "it beats"
    elif row["high"] < 0:
        says = "it is beaten by"
    else:
        says = "it is not told apart from"
    return (
        f"{says} {name} ({100 * row['mean']:+.2f} points, 95 % intervals {100 * row['low']:+.2f} to "
        f"{100 * row['high']:+.2f} over seeds and {100 * row['test_low']:+.2f} to {100 * row['test_high']:+.2f} "
        "over test images)"
    )


def _difference(outcome: Outcome, name: str) -> dict[str, float]:
    """The search's winner minus a control's: paired by retraining seed, and by test image over the seeds' mean."""
    terms = {own: _terms(outcome, own) for own in ("search", name)}  # (seeds, test images)
    by_seed = (terms["search"] - terms[name]).mean(axis=1)
    seeds = seeds_interval(by_seed)
    images = paired_bootstrap(terms["search"].mean(axis=0), terms[name].mean(axis=0))
    beats = min(seeds.low, images.low)
    loses = max(seeds.high, images.high)
    both = {"low": seeds.low, "high": seeds.high}
    if beats <= 0 <= seeds.low or seeds.high <= 0 <= loses:
        both = {"low": min(seeds.low, 0.0), "high": max(seeds.high, 0.0)}
    return {"mean": seeds.mean, **both, "test_low": images.low, "test_high": images.high}


def _terms(outcome: Outcome, name: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """1 or 0 for each retraining seed and test image: whether the probe on all its training images is right."""
    probe, task = LinearProbe(extract=FeatureCache()), outcome.setting.task
    return np.stack([probe.terms(net, task, task.train) for net in outcome.nets[name]])


def _by_seed(outcome: Outcome, name: str, percent: float) -> "pd.Series[float]":
    """Test accuracy of each retraining seed, the mean over the draws of the probe's training images."""
    cells = outcome.cells
    own = cells[cells["backbone"].str.startswith(f"{name}, seed ") & (cells["percent"] == percent)]
    return own.groupby("backbone")["value"].mean()


def _comparison(outcome: Outcome) -> Html:
    rows = []
    for name, spec in outcome.winners.items():
        cost = outcome.setting.space.price(spec)
        row: dict[str, object] = {"winner of": name, "architecture": spec.id}
        row |= {"MACs": quantity(cost["macs"]), "parameters": quantity(cost["params"])}
        for percent in outcome.options.percents:
            interval = seeds_interval(_by_seed(outcome, name, percent).to_numpy())
            row[f"{percent:g} %"] = f"{interval.mean:.1%} ± {interval.high - interval.mean:.1%}"
        rows.append(row)
    caption = (
        f"Test accuracy by share of the probe's training images; mean over {outcome.options.retrain_seeds} retraining "
        "seeds with the 95 % interval over seeds"
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
        f"under {outcome.options.constraints}. winner.json holds its spec, winner.safetensors its weights."
    )


def _about(outcome: Outcome) -> str:
    options, parts = outcome.options, outcome.setting.parts
    sizes = ", ".join(f"{len(ids):,} for {name}" for name, ids in parts.items())
    return (
        f"{options.trials} of {outcome.setting.space.size:,} architectures were scored by {options.sampler}, as many "
        "by random search. The score is the leave-one-out accuracy of the linear probe on the selection images, with "
        f"weights shared in a supernet of {options.supernet_steps} steps. Images are disjoint: {sizes}. The test "
        "images were opened after all winners were frozen (frozen.json). The control “most MACs” is the dearest "
        "architecture that the random search drew."
    )


def _plots(outcome: Outcome) -> dict[str, Plot]:
    studies = {"search": outcome.result, "random search": outcome.controls.random}
    trials = {name: _trials(result) for name, result in studies.items()}
    marks = {f"winner of {name}": _mark(trials, spec) for name, spec in outcome.winners.items()}
    return {
        "trajectory": trajectory({name: rows["accuracy"].tolist() for name, rows in trials.items()}),
        "front": front(trials, marks),
        "curve": efficiency(_curve(outcome)),
        "training": history(outcome.histories),
    }


def _trials(result: SearchResult[ArchSpec]) -> pd.DataFrame:
    rows = [{"macs": s.costs["macs"], "accuracy": s.values["accuracy"], "id": s.spec.id} for s in result.scored]
    return pd.DataFrame(rows)


def _mark(trials: dict[str, pd.DataFrame], spec: ArchSpec) -> tuple[float, float]:
    rows = pd.concat(trials.values())
    own = rows[rows["id"] == spec.id].iloc[0]
    return float(own["macs"]), float(own["accuracy"])


def _curve(outcome: Outcome) -> pd.DataFrame:
    """Accuracy against percentage: winners over their retraining seeds, baselines over draws, image intervals."""
    cells = outcome.cells.copy()
    cells["backbone"] = cells["backbone"].str.replace(r"^(?!random init)(.*), seed \d+$", r"\1", regex=True)
    keep = ~cells["backbone"].str.startswith("random initialisation of") | cells["backbone"].str.contains("of search")
    return cells[keep].groupby(["backbone", "percent"], sort=False)[["value", "ci_low", "ci_high"]].mean().reset_index()


def _shown(plots: dict[str, Plot], *names: str) -> list[Html]:
    return [figure(plots[name].figure) for name in names]


def _options(outcome: Outcome) -> Html:
    from dataclasses import asdict

    rows = [{"option": name, "value": str(value)} for name, value in asdict(outcome.options).items()]
    rows += [{"option": f"seconds of {phase}", "value": f"{took:g}"} for phase, took in outcome.seconds.items()]
    return table(pd.DataFrame(rows))
