"""What the tables on spaces say."""

from typing import Any

from rows import markdown, stored
from rows import note as source

from metanet.factory import MODELS, find
from metanet.report.style import quantity
from metanet.search_spaces import SPACES


def spaces() -> str:
    """The spaces by name."""
    members, rows = {name: find(name).spec for name in MODELS}, []
    for space in SPACES.values():
        ends = {metric: [quantity(end) for end in space.table.extremes(metric)] for metric in ("macs", "params")}
        size = f"{space.size:,}" if space.size < 10**12 else f"{space.size:.3g}"
        cells = {"name": space.name, "architectures": size, "px": ", ".join(map(str, space.resolution))}
        cells |= {"MACs": " to ".join(ends["macs"]), "parameters": " to ".join(ends["params"])}
        rows.append(cells | {"holds": ", ".join(name for name, spec in members.items() if space.contains(spec)) or "–"})
    return markdown(rows, "`metanet space list`; cheapest to dearest architecture, without classifier")


def space_draws() -> str:
    """How fast feasible architectures are drawn, beside rejection."""
    about, rows = stored("space"), []
    for row in about["draws"]:
        other, targets = row["rejection"], row["targets"]
        plain = f"{other['rate']:,.0f}" if other["accepted"] else f"none of {other['tried']:,}"
        cells = {"rules": row["what"], "share of the space": f"{row['share']:.1e}"}
        cells |= {"set-up (at most)": f"{row['setup']:.2f} s ({targets['setup']:.1f} s)"}
        cells |= {"draws a second (at least)": f"{row['rate']:,.0f} ({targets['rate']:,.0f})"}
        cells |= {"outside": f"{row['outside']} of {row['draws']:,}", "by rejection, a second": plain}
        rows.append(cells)
    options = about["options"]
    note = f"space {options['space']}, {options['size']:.1e} architectures, one thread; in brackets what we aim at"
    return markdown(rows, f"{source(about, 'python perf/space.py')}; {note}")


def space_costs() -> str:
    """How fast architectures are priced, made and refused."""
    about = stored("space")
    rows = []
    for row in [*about["costs"], {**about["specs"], "same": "every rule holds"}]:
        aim = f"{row['target']:,.0f}" if row["target"] else "–"
        rate = f"{row['rate']:,.0f}" if row["rate"] >= 100 else f"{row['rate']:.2g}"
        rows.append({"what": row["what"], "a second": rate, "aim": aim, "result": row["same"]})
    for row in about["refusals"]:
        took, aim = f"{row['seconds']:.2f} s", f"{row['target']:.0f} s"
        rows.append({"what": f"`{row['rules']}`", "a second": took, "aim": aim, "result": "refused"})
    return markdown(rows, f"{source(about, 'python perf/space.py')}; MACs and parameters together, one thread")


def space_others() -> str:
    """How fast NNI and Optuna draw."""
    about = stored("space")
    nni, optuna = about["others"]["nni"], about["others"]["optuna"]
    first = about["draws"][0]
    rows = [
        {"what": "NNI: `ModelSpace.random()`, a network each", "a second": f"{nni['random']:,.1f}", "kept": "all"},
        {"what": "NNI: samples, priced by its profilers", "a second": f"{nni['priced']:,.0f}", "kept": "all"},
        _kept("NNI: of these MACs within 1 % of the median", nni["one"]),
        _kept("NNI: of these MACs and parameters within 1 %", nni["both"]),
        {"what": "Optuna: RandomSampler, trials", "a second": f"{optuna['trials']:,.0f}", "kept": "all"},
        _kept(f"Optuna: of these {first['what']}", optuna),
        {"what": f"metanet: {first['what']}", "a second": f"{first['rate']:,.0f}", "kept": "all"},
    ]
    note = f"NNI's space: {nni['space']}, {nni['size']:.1e} networks; one thread"
    return markdown(rows, f"{source(about, 'python perf/space.py')}; {note}")


def _kept(what: str, found: dict[str, float]) -> dict[str, Any]:
    return {"what": what, "a second": f"{found['rate']:,.1f}", "kept": f"{found['share']:.2%}"}


def exact() -> str:
    """How exact prices are."""
    about = stored("exact")
    rows = [
        {
            "space": row["space"],
            "architectures": f"{row['priced']:,}",
            "the table differs from `metanet.cost` in": row["cost"],
            "networks built": f"{row['built']:,}",
            "the table differs from torch in": row["torch"],
        }
        for row in about["rows"]
    ]
    return markdown(rows, source(about, "python perf/exact.py"))
