"""The page of a search: what was found, how it came about, and what it was found with."""

import os
from typing import Any

import pandas as pd

from metanet.report import Section, figure, front, page, paragraph, table, trajectory
from metanet.runs import atomic_write
from metanet.searchers.history import OPTIONS
from metanet.searchers.result import Scored, SearchResult


def write_report(result: SearchResult[Any], path: str | os.PathLike[str]) -> None:
    """Writes a self-contained HTML page. Raises MetanetError where it cannot be written."""
    sections = [Section("What was found", [paragraph(_sentence(result)), table(_rows(result.front))])]
    if result.scored:
        sections.append(Section("How it came about", [figure(plot.figure) for plot in _plots(result)]))
    options = result.study.user_attrs[OPTIONS]
    setup = pd.DataFrame({"option": list(options), "value": [str(value) for value in options.values()]})
    sections.append(Section("What it was found with", [table(setup)]))
    atomic_write(path, page(f"Search in {result.space.name}", sections, lead=_lead(result)))


def _lead(result: SearchResult[Any]) -> str:
    states = result.to_dataframe()["state"].value_counts()
    counts = ", ".join(f"{count} {str(state).lower()}" for state, count in states.items())
    return (
        f"{len(result.scored)} architectures were scored (trials: {counts or 'none'}). {result.stopped or ''}".strip()
    )


def _sentence(result: SearchResult[Any]) -> str:
    if not result.scored:
        return "No architecture was evaluated without failure."
    if len(result.objectives) > 1:
        return f"The architectures that no other one beats in {' and '.join(result.objectives)}, cheapest first."
    ((name, value),) = result.best.values.items()
    return (
        f"The best architecture is {result.best.spec.id}, from trial {result.best.number}, with {name} {value:.4g}. "
        "The table holds those that no other one beats, cheapest first."
    )


def _rows(scored: list[Scored[Any]]) -> pd.DataFrame:
    return pd.DataFrame([{"architecture": s.spec.id, "trial": s.number, **s.metrics, **s.costs} for s in scored])


def _plots(result: SearchResult[Any]) -> list[Any]:
    """Every objective over the trials, and over MACs where the space has them; what is minimised is shown negated."""
    signed = {name: ("", 1) if direction == "maximize" else ("-", -1) for name, direction in result.objectives.items()}
    plots = []
    for name, (prefix, sign) in signed.items():
        label = prefix + name
        points = pd.DataFrame(
            [{label: sign * s.values[name], "id": s.spec.id, "macs": s.costs.get("macs")} for s in result.scored]
        )
        plots.append(trajectory({"search": points[label].tolist()}, label=label))
        if points["macs"].notna().all():
            plots.append(front({"search": points}, score=label))
    return plots
