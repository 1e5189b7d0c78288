"""The table that one reads: a row a backbone, a column a task, published results below, as data, text and LaTeX."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from metanet.bench.tasks import AGGREGATES, averages, published

HERE, BASELINE, PUBLISHED = "scored here", "baseline", "published"


def aggregates_of(tasks: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The averages that tables of these tasks have: those of GV-B that hold one of them, the plain mean of others."""
    found = {name: members for name, members in AGGREGATES.items() if len(members) > 1 and set(members) & set(tasks)}
    own = tuple(task for task in tasks if not any(task in members for members in AGGREGATES.values()))
    return found | ({"mean": own} if len(own) > 1 else {})


def label(row: Mapping[Any, Any], probes: Sequence[str]) -> str:
    """A backbone's name, with the probe where a table has several."""
    return f"{row['backbone']}, {row['probe']}" if len(probes) > 1 else str(row["backbone"])


def wide_table(summary: pd.DataFrame, averages: pd.DataFrame, percent: float) -> pd.DataFrame:
    """Scores at one percentage: a row a backbone, a column a task and an average, then published rows.

    summary, averages   of `summary_table` and `averages_table`

    Columns: backbone, from (HERE, BASELINE or PUBLISHED), a column a task and an average, and for each average with
    " tasks" how many of its tasks there are, as "17 of 20". Scores are in hundredths; NaN where there is none.
    """
    summary, averages = (rows[rows["percent"] == percent] if len(rows) else rows for rows in (summary, averages))
    tasks, probes = (list(dict.fromkeys(summary[name])) for name in ("task", "probe"))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in summary.sort_values("baseline", kind="stable").to_dict("records"):
        origin = BASELINE if row["baseline"] else HERE
        place = rows.setdefault((row["backbone"], row["probe"]), {"backbone": label(row, probes), "from": origin})
        place[row["task"]] = 100 * row["value"]
    for row in averages.to_dict("records"):
        place = rows[row["backbone"], row["probe"]]
        place |= {row["average"]: 100 * row["value"], f"{row['average']} tasks": f"{row['tasks']} of {row['of']}"}
    others = published_rows(tasks, percent)
    names = [name for average in dict.fromkeys(averages.get("average", [])) for name in (average, f"{average} tasks")]
    return pd.DataFrame([*rows.values(), *others], columns=["backbone", "from", *tasks, *names])


def published_rows(tasks: Sequence[str], percent: float) -> list[dict[str, Any]]:
    """What others reported for these tasks at this percentage, averaged over these tasks alone."""
    rows = published()
    asked = [*tasks, *(["cls_avg"] if set(AGGREGATES["CLS-AVG"]) <= set(tasks) else [])]
    rows = rows[(rows["percent"] == percent) & rows["task"].isin(asked)]
    if rows.empty:
        return []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows.to_dict("records"):
        key = row["pretrain"], row["model"]
        place = found.setdefault(key, {"backbone": f"{row['model']}, {row['pretrain']}", "from": PUBLISHED})
        if row["task"] in tasks:
            place[row["task"]] = row["value"]
    known = [task for task in tasks if task in set(rows["task"])]
    for row in averages(rows, tasks=tasks if "cls_avg" in asked else known).to_dict("records"):
        place = found[row["pretrain"], row["model"]]
        place |= {row["average"]: row["value"], f"{row['average']} tasks": f"{row['tasks']} of {row['of']}"}
    return list(found.values())


def latex(wide: pd.DataFrame, *, caption: str, name: str) -> str:
    """The table for a paper (package booktabs); the best number of each column that was scored here is bold.

    name   of its LaTeX label
    """
    numbers = [str(column) for column in wide if pd.api.types.is_numeric_dtype(wide[column])]
    own = wide.index[wide["from"] == HERE].tolist()
    style = wide.style.hide(axis="index").format(precision=1, na_rep="--", escape="latex")
    style = style.format_index(escape="latex", axis="columns")
    if len(own) > 1:
        alike = [name for name in numbers if wide.loc[own].get(f"{name} tasks", pd.Series(dtype=str)).nunique() < 2]
        style = style.highlight_max(subset=(own, alike), props="textbf:--rwrap;")
    columns = "".join("r" if column in numbers else "l" for column in wide)
    return style.to_latex(hrules=True, column_format=columns, caption=_escaped(caption), label=f"tab:{name}")


def _escaped(text: str) -> str:
    """A caption in which LaTeX sees no command."""
    signs = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(signs.get(sign, f"\\{sign}" if sign in "&%$#_{}" else sign) for sign in text)
