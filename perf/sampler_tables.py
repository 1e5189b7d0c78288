"""The tables that tell of the samplers."""

from typing import Any

from rows import markdown, note, stored

COMMAND = "python perf/samplers.py TABLE --columns ..."
UNITS = {"regret": "regret", "excess": "excess", "missing": "hypervolume missing"}


def samplers() -> str:
    """By table and measure the mean at each budget, and where it is surely more or less than the default one's."""
    about = stored("samplers")
    budgets, default = about["options"]["budgets"], about["options"]["default"]
    rows = []
    for case, measures in about["cases"].items():
        for measure, found in measures.items():
            for name, told in sorted(found.items(), key=lambda item: (item[0] != default, item[0])):
                cells = {"table": case, "measure": UNITS[measure], "sampler": name, "seeds": told["seeds"]}
                rows.append(cells | {f"at {n}": _cell(told, i) for i, n in enumerate(budgets)})
    told = f"mean ± half the 95 % interval over seeds; > and < : more and less than {default}, by the paired interval"
    return markdown(rows, f"{note(about, COMMAND)}; {told}")


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
