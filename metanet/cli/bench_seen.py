"""Whether a saved network learnt from images that it would be tested on: what its file says of its training."""

import ast
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.bench import Task


def check_unseen(networks: Iterable[str], tasks: "Sequence[Task]", seed: int) -> None:
    """Refuses files whose weights learnt from another split of a task's images, which is known by its seed; where it is
    known by its images alone, that is told.

    tasks   of images by name, split by `job_parts` with this seed

    Raises:
        MetanetError: a network would be tested on images that it learnt from.
    """
    from pathlib import Path

    from metanet.errors import MetanetError
    from metanet.weights import provenance

    for path in networks:
        about = provenance(path) if path.endswith(".safetensors") and Path(path).is_file() else {}
        options = _options(about)
        for task in tasks:
            name = task.images.name
            if _changed(about, task):
                said = f"learnt from {name} when its images were not those of today"
            elif _learnt_elsewhere(about, options, task, seed):
                said = f"learnt from other images of {name} than the seed {seed} leaves for that"
                if "seed" in options:
                    own, data = options["seed"], shlex.quote(str(options["data"]))
                    raise MetanetError(
                        f"{path!r} learnt from {name} as the seed {own} splits it, and would be tested here on images "
                        f"that it learnt from: score it with --data {data} --seed {own}"
                    )
            else:
                continue
            print(f"metanet: {path!r} {said}, and may be tested here on images that it learnt from", file=sys.stderr)


def _options(about: Mapping[str, str]) -> dict[str, Any]:
    """What `metanet search` was asked for; nothing of other files."""
    try:
        found = ast.literal_eval(about.get("options", "{}"))
    except (ValueError, SyntaxError):
        return {}
    return found if isinstance(found, dict) else {}


def _changed(about: Mapping[str, str], task: "Task") -> bool:
    """Whether a file's weights learnt from images of that name which are other ones now, as in a folder they can be."""
    return about.get("task") == task.images.name and about.get("images") != task.images.fingerprint


def _learnt_elsewhere(about: Mapping[str, str], options: Mapping[str, Any], task: "Task", seed: int) -> bool:
    """Whether a file's weights learnt from other images of the task's source than the seed leaves for that."""
    from metanet.cli.setting import split
    from metanet.data import ids_sha256

    if "images" not in about:
        return options.get("data") == task.images.name and options.get("seed") != seed
    same = about["images"] == task.images.fingerprint
    return same and about.get("ids") != ids_sha256(split(task.images, seed)["weights"])
