"""The members of the family, as data: one JSON file per origin, name -> {spec, provenance, num_classes}."""

import json
from dataclasses import dataclass
from importlib.resources import files

from metanet.spec import ArchSpec


@dataclass(frozen=True)
class Member:
    """A named architecture, where it comes from, and the classes of its released form (0: without classifier)."""

    spec: ArchSpec
    provenance: str
    num_classes: int = 0


def read_zoo() -> dict[str, Member]:
    """All members that the package ships, by name, in the order of the files."""
    members: dict[str, Member] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".json"):
            for name, entry in json.loads(file.read_text(encoding="utf-8")).items():
                members[name] = Member(ArchSpec.from_dict(entry["spec"]), entry["provenance"], entry["num_classes"])
    return members
