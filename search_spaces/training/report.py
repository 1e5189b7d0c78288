"""The report of a supernet's training: whether it learns, whether its networks pull in one direction, and which
operators and sizes learn worst."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanet.errors import MetanetError
from metanet.report import Html, Plot, Section, figure, page, paragraph, table
from metanet.report import history as curves
from metanet.report.style import quantity
from metanet.runs import atomic_write, open_run
from metanet.search_spaces.training.parts import PARTS
from metanet.search_spaces.training.rules import RULES, by_part

if TYPE_CHECKING:
    import pandas as pd

HISTORY, ABOUT = "history.csv", "manifest.json"


def training_report(source: "str | Path | pd.DataFrame", path: str | Path | None = None) -> Path:
    """Writes a self-contained page of a training, and its plots as PNG files beside it; returns the page's path.

    source   the folder that `train_supernet` wrote, or a history
    path     of the page; report.html in the folder where None

    Raises MetanetError where the folder has no history, and where nothing can be written.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        if path is None:
            raise MetanetError("the report of a history needs a path: name the HTML file to write")
        history, about = source, None
    else:
        history, about = read_history(source), _about(source)
    target = Path(source, "report.html") if path is None else Path(path)  # type: ignore[arg-type]
    folder = open_run(target.parent)
    plots = _plots(history, about)
    for name, plot in plots.items():
        plot.save_png(folder / f"{name}.png")
    atomic_write(target, page("Training of a supernet", _sections(history, about, plots), lead=_lead(history, about)))
    return target


def read_history(folder: str | Path) -> "pd.DataFrame":
    """The history of a training that has ended, a row a step. Raises MetanetError where there is none."""
    import pandas as pd

    path = Path(folder, HISTORY)
    if not path.exists():
        raise MetanetError(
            f"{str(folder)!r} holds no {HISTORY}, which a training writes at its end: "
            "finish it with the same command, or name another folder"
        )
    return pd.read_csv(path)


def _about(folder: str | Path) -> dict[str, Any] | None:
    path = Path(folder, ABOUT)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _plots(history: "pd.DataFrame", about: dict[str, Any] | None) -> dict[str, Plot]:
    """The plots that the history has values for, by the names of their files."""
    columns = [str(name) for name in history.columns if str(name).startswith("loss ")]
    bands = {_band(name, about): name for name in columns if name.startswith("loss band ")}
    ops = {name.removeprefix("loss "): name for name in columns if name not in bands.values()}
    drawn: dict[str, tuple[dict[str, str], str]] = {
        "loss": ({"largest network": "loss", "the others, as they are taught": "taught"}, "loss"),
        "accuracy": ({"largest network": "accuracy"}, "accuracy"),
        "cosine": ({"largest and others": "cosine"}, "cosine of the gradients"),
        "operators": (ops, "loss"),
        "bands": (bands, "loss"),
        "macs": ({"mean of a step": "macs"}, "MACs"),
    }
    return {
        name: curves(tables, value=label)
        for name, (own, label) in drawn.items()
        if (tables := _curves(history, own, label))
    }


def _curves(history: "pd.DataFrame", columns: dict[str, str], label: str) -> "dict[str, pd.DataFrame]":
    """For each column the steps that have a value of it; columns without any are left out."""
    found = {}
    for name, column in columns.items():
        if column in history and history[column].notna().any():
            found[name] = history[["step", column]].dropna().rename(columns={column: label})
    return found


def _band(column: str, about: dict[str, Any] | None) -> str:
    band = int(column.rpartition(" ")[2])
    if about is None:
        return f"band {band}"
    low, high = about["bands"][band : band + 2]
    return f"{quantity(low)} to {quantity(high)} MACs"


def _sections(history: "pd.DataFrame", about: dict[str, Any] | None, plots: dict[str, Plot]) -> list[Section]:
    def shown(*names: str) -> list[Html]:
        return [figure(plots[name].figure) for name in names if name in plots]

    sections = [
        Section("Does it learn?", shown("loss", "accuracy")),
        Section("Do its networks pull in one direction?", [paragraph(_agreement(history)), *shown("cosine")]),
        Section("Operators", [paragraph(_OPERATORS), *shown("operators")]),
        Section("Sizes", [paragraph(_SIZES), *shown("bands", "macs")]),
    ]
    if about:
        import pandas as pd

        options = [{"option": name, "value": _value(value)} for name, value in about["options"].items()]
        sections.append(Section("What it was trained with", [_rules(about), table(pd.DataFrame(options))]))
    return sections


_OPERATORS = (
    "Loss on the labels of the networks that hold an operator, weighted by the number of their stages that do: a curve "
    "that stays above the others is an operator that the shared weights serve worse."
)
_SIZES = "Loss on the labels of the networks of each band of cost, and how large a step's networks are in the mean."


def _lead(history: "pd.DataFrame", about: dict[str, Any] | None) -> str:
    last = history.tail(max(1, len(history) // 20))
    rules = f" by {', '.join(about['options']['rules'])}" if about else ""
    return (
        f"{len(history):,} steps{rules}. In the last {len(last)}: loss {last['loss'].mean():.3g} and accuracy "
        f"{last['accuracy'].mean():.1%} of the largest network (of the only one, where a step trains but one)."
    )


def _agreement(history: "pd.DataFrame") -> str:
    known = history["cosine"].dropna()
    if known.empty:
        return "A step of this training has no largest network beside others, so there are no two gradients to compare."
    return (
        "The cosine between the gradient of the largest network and that of the others of a step, over the weights "
        f"that both touch: {known.mean():.3f} in the mean, below 0 in {(known < 0).mean():.1%} of {len(known):,} steps."
    )


def _rules(about: dict[str, Any]) -> Html:
    import pandas as pd

    named = by_part(about["options"]["rules"])
    rows = [{"part": PARTS[part], "rule": name, "from": RULES[name].paper} for part, name in named.items()]
    return table(pd.DataFrame(rows))


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
