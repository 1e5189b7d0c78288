"""What differs between two networks, part by part."""

from collections.abc import Mapping, Sequence
from typing import Any

from metanet.report.words import notes, op_name, size

Row = Mapping[str, Any]


def differences(a: Sequence[Row], b: Sequence[Row]) -> list[dict[str, str]]:
    """One row a part: what each network has there, and B's MACs and parameters over A's ("–" where one lacks the part).

    a, b  rows of `metanet.cost.describe`
    """
    first, second = ({row["name"]: row for row in side} for side in (a, b))
    names = [name for name in max(first, second, key=len) if name != "head"]
    return [_compared(name, first.get(name), second.get(name)) for name in [*names, "head"]]


def _compared(name: str, a: Row | None, b: Row | None) -> dict[str, str]:
    told = {"part": name}
    for key, short in (("macs", "MACs"), ("params", "params")):
        told[f"{short} B/A"] = f"{b[key] / a[key]:.3g}" if a and b and a[key] else "–"
    told |= {"A": _told(a), "B": _told(b)}
    return told | {"B": "the same"} if a and b and told["A"] == told["B"] else told


def _told(row: Row | None) -> str:
    if row is None:
        return "–"
    depth = "" if row["op"] in ("stem", "head") else f" x{row['depth']}"
    return "; ".join([f"{op_name(row)}{depth}, {row['width']:,} at {size(row['map'], 'x')}", *notes(row)])
