"""Tables of what happened in a study: its trials by state, its failures by reason, its choices by what they scored."""

import re
from typing import Any

import pandas as pd

from metanet.searchers import history
from metanet.searchers.report.comparison import Comparison

GENES = 5  # whose choices are told
DIGITS = re.compile(r"\d+(\.\d+)?")


def states_table(frame: pd.DataFrame) -> pd.DataFrame:
    """State, trials, median and sum of the seconds of their evaluations.

    frame   `SearchResult.to_dataframe()`
    """
    found = frame.groupby("state", sort=False)["seconds"].agg(["size", "median", "sum"]).reset_index()
    found.columns = pd.Index(["state", "trials", "median seconds", "seconds"])
    return found.sort_values("trials", ascending=False, kind="stable")


def failures_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials, the first and the last of them, and their reason, the most frequent first; reasons that differ in numbers
    only are one, told in the words of the first.

    frame   `SearchResult.to_dataframe()`
    """
    failed = frame[frame["state"] == "FAIL"]
    reasons = failed["reason"].fillna("no reason was written down").astype(object)
    alike = reasons.map(lambda reason: DIGITS.sub("0", str(reason)))
    rows = [
        {"trials": len(own), "first": own["number"].min(), "last": own["number"].max(), "reason": reasons[own.index[0]]}
        for _, own in failed.groupby(alike, sort=False)
    ]
    found = pd.DataFrame(rows, columns=["trials", "first", "last", "reason"])
    return found.sort_values("trials", ascending=False, kind="stable")


def choices_table(compared: Comparison) -> pd.DataFrame:
    """Gene, choice, architectures, mean and best of the first objective, for the genes that matter most for it.

    Raises MetanetError where importances cannot be told.
    """
    genes = {gene.name: (i, gene) for i, gene in enumerate(compared.search.space.genes)}
    name, low = next(iter(compared.minimized.items()))
    trials = {
        tuple(t.user_attrs[history.GENES]): t for study in compared.studies.values() for t in history.complete(study)
    }
    rows: list[dict[str, Any]] = []
    for gene in compared.importances.dropna().head(GENES).index:
        column, known = genes[gene]
        for k, choice in enumerate(known.choices):
            own = [t.values[0] for row, t in trials.items() if row[column] == k]
            if own:
                row = {"gene": gene, "choice": str(choice), "architectures": len(own)}
                rows.append(row | {f"mean {name}": sum(own) / len(own), f"best {name}": (min if low else max)(own)})
    return pd.DataFrame(rows)
