"""The tables that tell of the samplers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rows import markdown, note, stored

from metanet.report.chart import Chart, Series
from metanet.report.plots import Plot
from metanet.report.style import colours
from metanet.searchers.samplers import SAMPLERS

COMMAND = "python perf/samplers.py FOLDER"
OWN = tuple(SAMPLERS)  # names of the library's own
UNITS = {"regret": "regret", "excess": "excess", "missing": "hypervolume missing"}


def samplers() -> str:
    """By table and measure the mean at each budget, and where it is surely more or less than the default one's."""
    about = stored("samplers")
    default = about["options"]["default"]
    told = f"mean ± half the 95 % interval over seeds; > and < : more and less than {default}, by the paired interval"
    return markdown(told_of(about, list(about["cases"])), f"{note(about, COMMAND)}; {told}")


def told_of(about: dict[str, Any], cases: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each measure and sampler of some cases, the least at 100 first."""
    budgets = about["options"]["budgets"]
    at, rows = budgets.index(100), []
    for case in cases:
        for measure, found in about["cases"].get(case, {}).items():
            for name, told in sorted(found.items(), key=lambda item: _mean(item[1], at)):
                cells = {"table": case, "measure": UNITS[measure], "sampler": name, "seeds": told["seeds"]}
                rows.append(cells | {f"at {n}": _cell(told, i) for i, n in enumerate(budgets)})
    return rows


def samplers_short() -> str:
    """By table the default's mean at each budget, the best other one at 100, and who is surely better."""
    about = stored("samplers")
    budgets, default = about["options"]["budgets"], about["options"]["default"]
    at, rows = budgets.index(100), []
    for case, measures in about["cases"].items():
        for measure, found in measures.items():
            others = {name: told for name, told in found.items() if name != default and len(told["mean"]) > at}
            best = min(others, key=lambda name: others[name]["mean"][at][0])
            row = {"table": case, "measure": UNITS[measure], "seeds": found[default]["seeds"]}
            row |= {f"{default} at {n}": f"{found[default]['mean'][i][0]:.3g}" for i, n in enumerate(budgets)}
            row |= {"best other at 100": f"{best}: {_cell(others[best], at)}"}
            rows.append(row | {"surely better": ", ".join(_better(found, budgets)) or "none"})
    told = (
        f"means over seeds; the best of the others at 100 evaluations with half its interval, and > where {default} is "
        f"surely better; who is surely better than {default}, and after how many evaluations"
    )
    return markdown(rows, f"{note(about, COMMAND)}; {told}")


def samplers_overall() -> str:
    """By sampler what it lacks, over all tables of one objective, and on how many tables nobody lacks less."""
    about = stored("samplers")
    budgets, default = about["options"]["budgets"], about["options"]["default"]
    cases, shares = _climbed(about), shares_of_random(about)
    at = budgets.index(100)
    rows = []
    for name, share in sorted(shares.items(), key=lambda item: item[1][at] if len(item[1]) > at else 1):
        own = [found[name] for found in cases]
        least = [one for one, found in zip(own, cases, strict=True) if _mean(one, at) <= _least(found, at, default)]
        few = any(2 * one["seeds"] < found[default]["seeds"] for one, found in zip(own, cases, strict=True))
        surely = [one for one in own if len(one.get("over default", [])) > at and one["over default"][at][1] > 0]
        seeds = {one["seeds"] for one in own}
        row = {"sampler": name, "seeds": str(min(seeds)) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"}
        row |= {f"at {n}": f"{share[i]:.2f}" if i < len(share) else "–" for i, n in enumerate(budgets)}
        row |= {"least at 100": "–" if few else f"{len(least)} of {len(cases)}"}
        rows.append(row | {f"surely more than {default} at 100": "–" if name == default else str(len(surely))})
    told = (
        "mean over the tables of the regret (of its excess where queries are noisy) as a share of random search's at "
        "25; on how many tables it is the least of all that had at least half as many seeds as the default"
    )
    return markdown(rows, f"{note(about, COMMAND)}; {told}")


def shares_of_random(about: dict[str, Any]) -> dict[str, list[float]]:
    """By sampler, of those that ran on every table of one objective: at each budget that all its runs went to, the mean
    over tables of what it lacks as a share of what random search lacks at the first budget."""
    cases, shares = _climbed(about), dict[str, list[float]]()
    for name in sorted(set.intersection(*map(set, cases)) if cases else ()):
        went = min(len(found[name]["mean"]) for found in cases)
        parts = [[_mean(found[name], i) / _mean(found["random"], 0) for i in range(went)] for found in cases]
        shares[name] = [sum(part) / len(part) for part in zip(*parts, strict=True)]
    return shares


def plotted(about: dict[str, Any], path: Path) -> Path | None:
    """Draws the shares by the number of evaluations, those of other libraries and of other versions dashed; nothing
    where there are none yet."""
    budgets, shares = about["options"]["budgets"], shares_of_random(about)
    shares = {name: share for name, share in shares.items() if share}
    if not shares:
        return None
    names = sorted(shares, key=lambda name: shares[name][min(2, len(shares[name]) - 1)])
    colour = colours(names)
    series = [
        Series(
            name,
            budgets[: len(shares[name])],
            shares[name],
            colour[name],
            "joined",
            marker=i // len(set(colour.values())) + (name not in OWN),
            dash="" if name in OWN else "dash",
        )
        for i, name in enumerate(names)
    ]
    labels = "evaluations", "regret, share of random search's at 25"
    return Plot(Chart(*labels, series, log_x=True, x_ticks=budgets, log_y=True)).save_png(path)


def _climbed(about: dict[str, Any]) -> list[dict[str, Any]]:
    """What is told of each table of one objective that random search ran on: the regret, or its excess where queries
    are noisy; not of tables whose best it finds at once, which tell nothing apart."""
    last = [list(measures.values())[-1] for measures in about["cases"].values() if "missing" not in measures]
    return [found for found in last if "random" in found and _mean(found["random"], 0) not in (0, math.inf)]


def _mean(told: dict[str, Any], i: int) -> float:
    return float(told["mean"][i][0]) if i < len(told["mean"]) else math.inf


def _least(found: dict[str, Any], i: int, default: str) -> float:
    return min(_mean(told, i) for told in found.values() if 2 * told["seeds"] >= found[default]["seeds"])


def _better(found: dict[str, Any], budgets: list[int]) -> list[str]:
    """Who is surely better than the default, with the budgets."""
    told = {
        name: [str(n) for n, (_, _, most) in zip(budgets, one.get("over default", []), strict=False) if most < 0]
        for name, one in found.items()
    }
    return [f"{name} ({', '.join(at)})" for name, at in told.items() if at]


def _cell(told: dict[str, Any], i: int) -> str:
    """Mean and half its interval, and a sign where the difference from the default is no chance."""
    if i >= len(told["mean"]):
        return "–"
    mean, low, high = told["mean"][i]
    sign = ""
    if i < len(told.get("over default", [])):
        _, least, most = told["over default"][i]
        sign = " >" if least > 0 else " <" if most < 0 else ""
    return f"{mean:.3g} ± {(high - low) / 2:.2g}{sign}"
