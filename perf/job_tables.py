"""What the tables on the jobs, one search and a family by score, say."""

from typing import Any

from rows import markdown, points, stored
from rows import note as source

from metanet.report.style import quantity


def demo() -> str:
    """What the main job found."""
    about = stored("demo")
    rows = [{k: v if isinstance(v, str) else f"{v:.1%}" for k, v in row.items()} for row in about["rows"]]
    return markdown(rows, source(about, "make demo && python perf/demo.py")) + f"\n{about['verdict']}\n\n"


def times() -> str:
    """How long the phases of the main job took."""
    about = stored("demo")
    rows = [{"phase": phase, "seconds": took} for phase, took in about["seconds"].items()]
    return markdown(rows, source(about, "make demo && python perf/demo.py"))


def family_score() -> str:
    """What a family chosen by score found, rung by rung."""
    about = stored("family_score")
    rows = []
    for name in dict.fromkeys(row["rung"] for row in about["rows"]):
        own = {row["chooser"]: row for row in about["rows"] if row["rung"] == name}
        first = own["search"]
        cells = {"rung": name, "target": f"{quantity(first['target_params'])}, {quantity(first['target_macs'])} MACs"}
        for chooser, row in own.items():
            half = 100 * (row["ci_high"] - row["value"])
            cells[f"{chooser} (score)"] = f"{row['value']:.1%} ± {half:.1f} ({row['selection']:.1%})"
        rows.append(cells)
    pooled = [row for row in about["apart"] if row["rung"] == "all rungs"]
    means = {f"{chooser} (score)": _mean(about["rows"], chooser) for chooser in own}
    rows.append({"rung": "mean", "target": "–", **means})
    note = "test accuracy ± half the 95 % interval over retraining seeds, in brackets the score that was searched by"
    shown = markdown(rows, f"{source(about, 'python perf/family_score.py')}; {note}")
    return f"{shown}\n{_pooled(pooled)}\n\n"


def _mean(rows: list[dict[str, Any]], chooser: str) -> str:
    own = [row for row in rows if row["chooser"] == chooser]
    return "{:.1%} ({:.1%})".format(*(sum(row[key] for row in own) / len(own) for key in ("value", "selection")))


def _pooled(rows: list[dict[str, Any]]) -> str:
    """The differences over all rungs, as a sentence."""
    said = []
    for row in rows:
        if row["difference"] is None:
            said.append(f"{row['other']} found the same")
            continue
        ends = [points([row[f"{over}_low"], row[f"{over}_high"]]) for over in ("seeds", "images")]
        intervals = f"{ends[0]} over seeds, {ends[1]} over test images"
        said.append(f"it {row['says']} {row['other']} ({100 * row['difference']:+.2f} points; {intervals})")
    return f"Over all rungs, of the search: {'; '.join(said)}. Intervals are of 95 %; each search was run once."
