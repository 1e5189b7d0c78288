"""The tables that tell of the samplers."""

from typing import Any

from rows import markdown, note, stored

COMMAND = "python perf/samplers.py FOLDER"
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


def samplers_short() -> str:
    """By table the default's first measure at each budget, the best other one at 100, and who is surely better."""
    about = stored("samplers")
    budgets, default = about["options"]["budgets"], about["options"]["default"]
    at, rows = budgets.index(100), []
    for case, measures in about["cases"].items():
        measure, found = next(iter(measures.items()))
        others = {name: told for name, told in found.items() if name != default and len(told["mean"]) > at}
        best = min(others, key=lambda name: others[name]["mean"][at][0])
        better = [name for name, told in found.items() if any(most < 0 for _, _, most in told.get("over default", []))]
        row = {"table": case, "measure": UNITS[measure], "seeds": found[default]["seeds"]}
        row |= {f"{default} at {n}": f"{found[default]['mean'][i][0]:.3g}" for i, n in enumerate(budgets)}
        row |= {"best other at 100": f"{best}: {_cell(others[best], at)}", "surely better": ", ".join(better) or "none"}
        rows.append(row)
    told = (
        f"means over seeds; the best of the others at 100 evaluations with half its interval, and > where {default} is"
    )
    command = note(about, COMMAND)
    return markdown(rows, f"{command}; {told} surely better; who is surely better than {default} at any budget")


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
