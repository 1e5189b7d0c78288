"""The winners of a job, written down before the test images are opened: they are opened for one choice only."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metanet.errors import MetanetError
from metanet.runs import write_json
from metanet.spec import ArchSpec

NAME = "frozen.json"


def check_untested(folder: Path, trials: int) -> None:
    """Raises MetanetError, before any work, where the folder was tested after fewer trials."""
    tested = _read(folder).get("trials", trials)
    if trials > tested:
        raise MetanetError(
            f"the run in {str(folder)!r} was tested after {tested} trials, and {trials} would choose anew with the "
            "test known: take another folder (--out) for more trials"
        )


def freeze(folder: Path, winners: Mapping[str, ArchSpec], trials: int) -> None:
    """Writes the winners down, once. Raises MetanetError where others had won when the test images were opened."""
    ids, known = {name: spec.id for name, spec in winners.items()}, _read(folder)
    if not known:
        opened = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_json(folder / NAME, {"winners": ids, "trials": trials, "test images opened": opened})
    elif known["winners"] != ids:
        changed = ", ".join(name for name, found in ids.items() if found != known["winners"].get(name))
        raise MetanetError(
            f"the run in {str(folder)!r} was tested with other winners ({changed} changed since): take another folder "
            "(--out), whose test images nothing has seen"
        )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text())
        return {"winners": dict(known["winners"]), **known}
    except (ValueError, KeyError, TypeError):
        raise MetanetError(f"{str(path)!r} is damaged: take another folder (--out) to test") from None
