"""Scores of networks that no search drew, in a file that survives its process."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metanet.errors import MetanetError
from metanet.runs import open_run, plain, write_json
from metanet.searchers.evaluate import Evaluator
from metanet.searchers.executors import attempt, judged
from metanet.spec import ArchSpec


@dataclass(frozen=True)
class Tried:
    """A network with the numbers that an evaluator returned, or the reason why there are none."""

    spec: ArchSpec
    metrics: Mapping[str, float] | None
    reason: str | None = None

    def value(self, objective: str) -> float:
        """One of the numbers; NaN where there are none."""
        return self.metrics[objective] if self.metrics else float("nan")


class Kept:
    """Networks and their scores in a JSON file, written anew with each that becomes known.

    path       the file; its folder is made
    made_with  what the rows depend on, as plain values

    Raises MetanetError for a file that is damaged or was made with something else; it is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str], made_with: Mapping[str, Any]) -> None:
        self.path, self.made_with = Path(path), plain(made_with)
        open_run(self.path.parent)
        self.rows: list[dict[str, Any]] = self._read() if self.path.exists() else []

    def tried(self, evaluate: Evaluator[ArchSpec], spec: ArchSpec, objectives: Mapping[str, str], **key: Any) -> Tried:
        """A network's score: the file's own where it has one, else the evaluator's, kept with the values of `key` in
        its row. A failure is written down and tried again by the next process."""
        text = spec.to_text()
        known = next((row for row in self.rows if row["spec"] == text and row["metrics"]), None)
        row = {**(known or {"spec": text, **_result(evaluate, spec, objectives)}), **plain(key)}
        if row not in self.rows:
            same = {"spec": text, **plain(key)}
            self.rows = [old for old in self.rows if not same.items() <= old.items()] + [row]
            write_json(self.path, {"made_with": self.made_with, "rows": self.rows})
        return Tried(spec, row["metrics"], row["reason"])

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            made_with, rows = dict(content["made_with"]), [_row(row) for row in content["rows"]]
        except (ValueError, KeyError, TypeError):
            raise MetanetError(
                f"the scores {str(self.path)!r} are damaged: restore the file, or move it away to score again"
            ) from None
        names = [name for name in {**made_with, **self.made_with} if made_with.get(name) != self.made_with.get(name)]
        if names:
            said = "; ".join(f"{name} was {made_with.get(name)!r}, now {self.made_with.get(name)!r}" for name in names)
            raise MetanetError(
                f"the scores {str(self.path)!r} belong to something else ({said}): "
                "repeat the options that they were made with, or take another folder"
            )
        return rows


def _row(row: Any) -> dict[str, Any]:
    return {**row, "spec": str(row["spec"]), "metrics": row["metrics"], "reason": row["reason"]}


def _result(evaluate: Evaluator[ArchSpec], spec: ArchSpec, objectives: Mapping[str, str]) -> dict[str, Any]:
    """What an evaluator makes of a network, as a row."""
    outcome = attempt(evaluate, spec)
    metrics, reason = judged(outcome, objectives)
    return {"metrics": plain(metrics), "reason": reason, "seconds": round(outcome.seconds, 3)}
