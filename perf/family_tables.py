"""The tables that tell of the family: its rungs, what members cost to create, how the rule gives published networks."""

import json
from collections.abc import Callable
from typing import Any

from rows import ROOT, markdown, note, stored

from metanet.factory import MODELS, cost, list_models
from metanet.notation import OPS
from metanet.report.style import quantity
from metanet.search_spaces.family.members import CLASSES, POINTS
from metanet.spec import StageSpec

COMMAND = "python perf/family.py"
WAYS = {"rule": "rule", "scaled": "unsolved", "drawn around": "drawn near", "drawn between": "drawn between"}


def creation(name: str, device: str = "cpu", *, short: bool = False) -> str:
    """Seconds of processor time and peak memory of making a member."""
    row = stored("family")["creation"].get(name)
    if row is None:
        return "–"
    took, memory = row[device]["processor"], quantity(row[device]["bytes"], zeros=True)
    return f"{took:.1f} s" if short else f"{took:.2f} s, {memory}B"


def made() -> str:
    """What stands under numbers of `creation`."""
    told = "to create: processor time of one thread for random initial values, memory beyond the import's"
    return f"{told}; {note(stored('family'), COMMAND)}"


def family() -> str:
    """The rungs of our own family on their ladder."""
    zoo = json.loads((ROOT / "metanet" / "zoo" / "family.json").read_text(encoding="utf-8"))
    rows = []
    for name in list_models("MN-*"):
        spec, rung, total = MODELS[name].spec, zoo.get(name), cost(name, num_classes=CLASSES)
        params, macs = (rung["target"][key] for key in ("params", "macs")) if rung else POINTS[int(name[4:])]
        cells = {"rung": name, "parameters (asked for)": _beside(total.params, params)}
        cells |= {"MACs (asked for)": _beside(total.macs, macs)}
        cells |= {"off by": f"{rung['deviation']:.2%}" if rung else "released"}
        cells |= {letter: f"{rung[key]:.3f}" if rung else "–" for letter, key in (("φ", "phi"), ("τ", "tau"))}
        cells |= {"stem": str(spec.stem_width)} | {f"stage {i}": _stage(s) for i, s in enumerate(spec.stages)}
        rows.append(cells)
    return markdown(
        rows,
        "with a classifier of 1,000 classes, at 224 pixels; stages: operator, depth x width; `metanet family build`",
    )


def retrodiction() -> str:
    """How far from published networks the rule's are, and those of its controls."""
    rows = []
    for case, row in _retrodicted():
        scaled = row["scaled"]
        cells = {"network": row["network"], "made from": case}
        cells |= {f"{what} off": _ways(row, what, "{:.2f}") for what in ("depths", "widths")}
        cells |= {"stages right": _ways(row, "exact", "{:.0%}")}
        cells |= {"unsolved misses": f"{scaled['params off']:+.1%}, {scaled['macs off']:+.1%}"}
        rows.append(cells | {"drawn near, no farther off": f"{_share(row):.0%}"})
    about = stored("family")
    ways = ", ".join(WAYS.values())
    told = f"each: {ways}; off: mean absolute log2 error of the six stages; unsolved misses: parameters, MACs"
    return markdown(rows, f"{note(about, COMMAND)}; {told}; {about['options']['drawn']} draws each")


def retrodicted() -> str:
    """The published stages, and the rule's."""
    rows = []
    for case, row in _retrodicted():
        stages = [_sizes(row["published"]), _sizes(row["rule"])]
        cells = {"network": row["network"], "made from": case}
        for i, (published, rule) in enumerate(zip(*stages, strict=True)):
            cells[f"stage {i}"] = f"{published} → {rule}"
        rows.append(cells)
    return markdown(rows, f"{note(stored('family'), COMMAND)}; depth x width, published → by the rule")


def _retrodicted() -> list[tuple[str, dict[str, Any]]]:
    return [(case, row) for case, rows in stored("family")["retrodiction"].items() for row in rows]


def _ways(row: dict[str, Any], what: str, form: str) -> str:
    show: Callable[[float], str] = form.format
    return " · ".join(show(row[way][what]) for way in WAYS if row[way])


def _share(row: dict[str, Any]) -> float:
    return float(row["drawn around"]["as near as the rule's"])


def _sizes(shape: dict[str, Any]) -> list[str]:
    return [f"{depth}x{width}" for depth, width in zip(shape["depth"], shape["width"], strict=True)]


def _beside(total: float, asked: float) -> str:
    return f"{quantity(total, zeros=True)} ({quantity(asked, zeros=True)})"


def _stage(stage: StageSpec) -> str:
    short = next(short for short, op in OPS.items() if op == stage.op)
    return f"{short.upper()} {stage.depth}x{stage.width}"
