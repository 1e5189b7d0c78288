"""The members of the family, as data: one JSON file per origin, name -> {spec, provenance, num_classes}."""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from metanet.spec import ArchSpec


@dataclass(frozen=True)
class Member:
    """A named architecture, where it comes from, and the classes of its released form (0: without classifier)."""

    spec: ArchSpec
    provenance: str
    num_classes: int = 0


def read_zoo() -> dict[str, Member]:
    """All members that the package ships, by name, in the order of their names and numbers."""
    members: dict[str, Member] = {}
    for file in files(__name__).iterdir():
        if file.name.endswith(".json"):
            members |= parse_zoo(file.read_text(encoding="utf-8"))
    return dict(sorted(members.items(), key=lambda item: _numbered(item[0])))


def parse_zoo(text: str) -> dict[str, Member]:
    """The members that a file of the zoo holds."""
    return {
        name: Member(_spec(entry["spec"]), entry["provenance"], entry["num_classes"])
        for name, entry in json.loads(text).items()
    }


def _spec(value: Any) -> ArchSpec:
    """A spec is stored as plain values or as one line of text."""
    return ArchSpec.from_text(value) if isinstance(value, str) else ArchSpec.from_dict(value)


def _numbered(name: str) -> list[tuple[int, str]]:
    """A key by which MN-B4 comes before MN-B15."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
