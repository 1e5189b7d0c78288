"""The tasks of GV-B from a folder that holds their data sets. What is not there is a state, told, and no error."""

from collections.abc import Sequence
from pathlib import Path

from metanet.bench.doctor import State, examine
from metanet.bench.task import Task
from metanet.bench.tasks import GVB
from metanet.data.official import read_official
from metanet.errors import MetanetError

SCORED = ("found", "partial", "wrong checksum")  # states in which there may be images; all but the first are told


def official_tasks(
    root: str | Path, names: Sequence[str] | None = None, *, resolution: int = 224
) -> tuple[list[Task], list[State]]:
    """The classification tasks whose images can be read, and the state of all that were asked for.

    names        None: all 26
    resolution   side in pixels of what backbones are shown, all alike

    Raises:
        MetanetError: an unknown task, or none whose images can be read.
    """
    states = examine(root, None if names is None else list(names))
    tasks = [
        _task(state.task, Path(root).expanduser(), resolution)
        for state in states
        if state.state in SCORED and state.train and GVB[state.task].kind == "classification"
    ]
    if not tasks:
        raise MetanetError(
            f"none of {len(states)} data sets can be read in {str(root)!r}: `metanet bench doctor --data-root {root}` "
            "says what to get and how to lay it out"
        )
    return tasks, states


def _task(name: str, root: Path, resolution: int) -> Task:
    about, splits = GVB[name], read_official(name, root)
    return Task(
        name,
        about.kind,
        about.metric,
        splits.images,
        splits.train,
        splits.test,
        resolution,
        groups=splits.groups,
        fixed=True,
    )
