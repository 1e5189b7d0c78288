"""The page of a study: what was found, whether that is more than the controls found, how it came about, what mattered,
what went wrong, and what it was found with."""

import os
import re
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from metanet.cost import describe
from metanet.errors import MetanetError
from metanet.report import Html, Section, figure, network, page, paragraph, table
from metanet.runs import atomic_write, open_run
from metanet.searchers import history
from metanet.searchers.report.comparison import Comparison
from metanet.searchers.report.plots import Shown, failure_plots, found_plots, importance_plots, time_plots
from metanet.searchers.report.tables import choices_table, failures_table, states_table
from metanet.searchers.result import Scored, SearchResult
from metanet.spec import ArchSpec

PAGE = "report.html"
UNFIT = re.compile(r"[^\w.-]+")  # for the name of a file
LONGEST = 100  # characters of a reason
ROWS = 30  # of the front and of failures, at most


def write_report(
    result: SearchResult[Any], path: str | os.PathLike[str], control: SearchResult[Any] | None = None
) -> Path:
    """Writes a self-contained page where `path` ends in .html, else a folder with the page and a PNG file of each plot;
    returns the page's path. Raises MetanetError where it cannot be written, and for a control of another search."""
    compared = Comparison(result, control)
    plots = {
        "found": found_plots(compared),
        "mattered": importance_plots(compared),
        "failed": failure_plots(compared),
        "took": time_plots(compared),
    }
    sections = [
        Section("What was found", _found(result)),
        Section("Beside the controls", _controls(compared)),
        Section("How it came about", [*_how(compared), *_figures(plots["found"])]),
        Section("Which choices mattered", [*_figures(plots["mattered"]), *_mattered(compared)]),
        Section("The trials", [*_trials(compared), *_figures(plots["failed"]), *_figures(plots["took"])]),
        Section("What it was found with", [_options(compared)]),
    ]
    text = page(f"Search in {result.space.name}", sections, lead=_lead(compared))
    if str(os.fspath(path)).lower().endswith((".html", ".htm")):
        atomic_write(path, text)
        return Path(path)
    folder = open_run(path)
    for name, plot in (item for shown in plots.values() for item in shown.items()):
        plot.save_png(folder / f"{UNFIT.sub('-', name)}.png")
    atomic_write(folder / PAGE, text)
    return folder / PAGE


def _figures(plots: Shown) -> list[Html]:
    return [figure(plot.figure) for plot in plots.values()]


def _lead(compared: Comparison) -> str:
    result, states = compared.search, compared.frame["state"].value_counts()
    counts = ", ".join(f"{count} {str(state).lower()}" for state, count in states.items())
    return (
        f"{len(result.scored)} architectures were scored (trials: {counts or 'none'}). {result.stopped or ''}".strip()
    )


def _found(result: SearchResult[Any]) -> list[Html]:
    front = result.front
    if not front:
        return [paragraph("No architecture was evaluated without failure.")]
    more = f"the first {ROWS} of {len(front)}" if len(front) > ROWS else ""
    body = [paragraph(_sentence(result)), table(_rows(front[:ROWS]), caption=more)]
    best = result.best.spec if len(result.objectives) == 1 else None
    if isinstance(best, ArchSpec):
        body.append(network(describe(best)))
    return body


def _sentence(result: SearchResult[Any]) -> str:
    if len(result.objectives) > 1:
        return f"The architectures that no other one beats in {' and '.join(result.objectives)}, cheapest first."
    ((name, value),) = result.best.values.items()
    return (
        f"The best architecture is {result.best.spec.id}, from trial {result.best.number}, with {name} {value:.4g}. "
        "The table holds those that no other one beats, cheapest first."
    )


def _rows(scored: list[Scored[Any]]) -> pd.DataFrame:
    return pd.DataFrame([{"architecture": s.spec.id, "trial": s.number, **s.metrics, **s.costs} for s in scored])


def _controls(compared: Comparison) -> list[Html]:
    if compared.control is None:
        return [
            paragraph(
                "No control was given. What random search finds with as many evaluations tells what the search is "
                "worth: `controls(...)` in Python runs it, and the report takes its study as the control."
            )
        ]
    if compared.table.empty:
        return [paragraph("Nothing can be compared yet: the search or random search has no score.")]
    said = " ".join(filter(None, map(compared.sentence, compared.search.objectives)))
    caption = f"What each would take after {compared.budget} evaluations."
    if len(compared.minimized) > 1:
        caption += " A row for each objective and chooser: the best by that objective alone."
    once = "These are scores that the search climbed, of one run each: how good the winners are is for a test to say."
    return [paragraph(f"{said} {once}".strip()), table(compared.table, caption=caption)]


def _how(compared: Comparison) -> list[Html]:
    if not compared.search.scored:
        return [paragraph("Nothing was scored yet.")]
    axes = [*(["MACs"] if "macs" in compared.search.worst else []), *compared.search.objectives]
    told = [
        "Dots are evaluations in the order in which they were proposed; failed and pruned ones count and have none."
    ]
    if compared.largest is not None:
        told.append("“Most MACs” has what the largest of the random draws so far has, whatever it scored.")
    told.append(
        f"The hypervolume is how much of the space of {', '.join(axes)} is dominated, up to the worst that was seen; "
        "1 is what the studies of this page dominate together."
    )
    return [paragraph(" ".join(told))]


def _mattered(compared: Comparison) -> list[Html]:
    try:
        rows = choices_table(compared)
    except MetanetError as error:
        return [paragraph(f"{str(error)[:1].upper()}{str(error)[1:]}.")]
    name = next(iter(compared.search.objectives))
    told = (
        "The share of each gene in what single genes explain of the variance (fANOVA), over all that was scored, by "
        "random search, too, where it is given. A gene without effect counts as its first choice. With "
        "few architectures small shares are chance."
    )
    caption = f"The choices of the genes that matter most for {name}: how often they were scored, and how well"
    return [paragraph(told), table(rows, caption=caption)]


def _trials(compared: Comparison) -> list[Html]:
    frame = compared.frame
    if frame.empty:
        return [paragraph("No trial was made yet.")]
    body = [table(states_table(frame), caption="Trials by state; seconds are those of evaluations")]
    failures = failures_table(frame)
    if len(failures):
        caption = "Failures by reason" + (f", the {ROWS} most frequent" if len(failures) > ROWS else "")
        shown = failures.head(ROWS).assign(reason=failures["reason"].map(lambda reason: shorten(reason, LONGEST)))
        body.append(table(shown, caption=caption))
    return body


def _options(compared: Comparison) -> Html:
    options: dict[str, Any] = dict(compared.search.study.user_attrs[history.OPTIONS])
    started = compared.frame["start"].dropna()
    if len(started):
        ends = {"first trial": started.min(), "last trial": started.max()}
        options |= {name: f"{moment:%Y-%m-%d %H:%M}" for name, moment in ends.items()}
    return table(pd.DataFrame({"option": list(options), "value": [str(value) for value in options.values()]}))
