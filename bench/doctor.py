"""Which data sets are there, and what is to be done about the others."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metanet.bench.tasks import GVB, GvbTask
from metanet.data import FileImages, Splits
from metanet.data.official import READERS, read_official
from metanet.errors import MetanetError, unknown

STATES = ("found", "partial", "wrong checksum", "missing")

_SMALL = 50 * 2**20  # bytes; files up to this size are hashed at every examination
_LOOKED_FOR = 1000  # files of a set, spread evenly, whose presence stands for all


@dataclass(frozen=True)
class State:
    """What is there of a task.

    state    one of STATES
    detail   one line on why
    train, test   how many images its reader finds; 0 where it cannot read
    todo     what to do, a step each; nothing where all was found
    """

    task: str
    state: str
    detail: str
    train: int = 0
    test: int = 0
    todo: tuple[str, ...] = ()


def examine(root: str | Path, tasks: list[str] | None = None, *, thorough: bool = False) -> list[State]:
    """The state of each task below a data root, which need not be there.

    thorough   hashes large files and archives, too, and looks for every image; this takes minutes

    Raises:
        MetanetError: an unknown task.
    """
    if wrong := sorted(set(tasks or ()) - set(GVB)):
        raise unknown("task of GV-B", wrong[0], GVB)
    base = Path(root).expanduser()
    return [_state(base, GVB[name], thorough) for name in (tasks if tasks is not None else GVB)]


def doctor_rows(states: list[State]) -> list[dict[str, Any]]:
    """One row a task, for tables: task, state, detail, train, test."""
    return [{"task": s.task, "state": s.state, "detail": s.detail, "train": s.train, "test": s.test} for s in states]


def doctor_text(states: list[State]) -> str:
    """What to do about each task that was not found, and how many were."""
    found = sum(state.state == "found" for state in states)
    blocks = [
        "\n".join([f"{GVB[s.task].title}: {s.state} ({s.detail})", *(f"  {step}" for step in s.todo)])
        for s in states
        if s.state != "found"
    ]
    return "\n\n".join([*blocks, f"{found} of {len(states)} found"])


def _state(root: Path, task: GvbTask, thorough: bool) -> State:
    folder = root / task.folder
    own = all((root / "lists" / task.name / f"{part}.list").is_file() for part in ("train", "test"))
    absent = [path for path in task.layout if not any(_is_there(folder, each) for each in path.split("|"))]
    if not own and len(absent) == len(task.layout):
        return State(task.name, "missing", f"nothing of it in {folder}", todo=_steps(root, task, absent))
    bad = "" if own else _wrong_checksum(root, task, thorough)
    if absent and not own:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        return State(task.name, "partial", f"no {absent[0]}{more} in {folder}", todo=_steps(root, task, absent))
    if task.name not in READERS:
        return State(task.name, "found", f"the layout is there; its head follows ({task.kind})")
    try:
        found = _read(root, task, read_official(task.name, root), thorough, own=own)
    except MetanetError as error:
        found = State(task.name, "partial", str(error), todo=_steps(root, task, absent))
    if bad:
        todo = _steps(root, task, [])
        return replace(found, state="wrong checksum", detail=f"{bad} is not the official file", todo=todo)
    return found


def _read(root: Path, task: GvbTask, splits: Splits, thorough: bool, *, own: bool) -> State:
    train, test, classes = len(splits.train), len(splits.test), len(splits.images.classes)
    gone = _missing_images(splits.images, thorough) if isinstance(splits.images, FileImages) else ""
    enough = (train, test) == (task.train, task.test) or (
        not task.exact and train >= 0.9 * task.train and test >= 0.9 * task.test
    )
    if gone:
        return State(task.name, "partial", gone, train, test, _steps(root, task, []))
    if own or (enough and classes == task.classes):
        return State(task.name, "found", splits.note, train, test)
    official = f"{task.train:,} + {task.test:,} images of {task.classes} classes"
    detail = f"{train:,} + {test:,} images of {classes} classes, officially {official}"
    detail += f"; {splits.note}" if splits.note and not task.exact else ""
    return State(task.name, "partial", detail, train, test, _steps(root, task, []))


def _missing_images(images: FileImages, thorough: bool) -> str:
    n = len(images)
    looked = range(n) if thorough else np.unique(np.linspace(0, n - 1, min(n, _LOOKED_FOR)).astype(int)).tolist()
    gone = [images.files[i] for i in looked if not (images.root / images.files[i]).is_file()]
    if not gone:
        return ""
    return f"{len(gone):,} of {len(looked):,} images that were looked for are not there, the first is {gone[0]}"


def _wrong_checksum(root: Path, task: GvbTask, thorough: bool) -> str:
    """The first file that has another MD5 than it should, "" if none."""
    folder = Path(task.folder)
    known = {_plain(folder / path): md5 for path, md5 in task.md5.items()}
    if thorough:
        for each in task.downloads:
            known |= {_plain(place / each.name): each.md5 for place in (folder, folder / each.into) if each.md5}
    for path, md5 in known.items():
        file = root / path
        if file.is_file() and (thorough or file.stat().st_size <= _SMALL) and _md5(file) != md5:
            return str(path)
    return ""


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _is_there(folder: Path, path: str) -> bool:
    return (folder / path).is_dir() if path.endswith("/") else (folder / path).is_file()


def _steps(root: Path, task: GvbTask, absent: list[str]) -> tuple[str, ...]:
    """What to get from where, and how to lay it out."""
    folder = Path(task.folder)
    steps = [] if task.downloads else [f"get it from {task.home}"]
    for each in task.downloads:
        check = f" (MD5 {each.md5})" if each.md5 else ""
        steps.append(
            f"get {each.name} from {each.url}{check} and put or unpack it into {root / _plain(folder / each.into)}"
        )
    steps += [task.hint] if task.hint else []
    for path in absent:
        what = f": {task.layout[path]}" if task.layout[path] else ""
        steps.append(f"so that there is {root / folder}/{path.replace('|', ' or ')}{what}")
    return (*steps, f"licence: {task.licence} ({task.home})")


def _plain(path: Path) -> Path:
    """A relative path without "..", as text: no link is followed."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)
