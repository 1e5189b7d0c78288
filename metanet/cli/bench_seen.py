"""Whether a saved network learnt from images that it would be tested on: what its file says of its training."""

import ast
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.bench import Task


def check_unseen(networks: Iterable[str], tasks: "Sequence[Task]", seed: int) -> None:
    """Refuses files whose weights learnt from another split of a task's images, which is known by its seed; where it is
    known by its images alone, that is told.

    tasks   of images that packages hold, split by `job_split` with this seed

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
            if options.get("data") == task.images.name and options.get("seed") != seed:
                own = options.get("seed")
                raise MetanetError(
                    f"{path!r} learnt from {task.images.name} as the seed {own} splits it, and would be tested here on "
                    f"images that it learnt from: score it with --data {task.images.name} --seed {own}"
                )
            if about.get("images") == task.images.fingerprint and about.get("ids") != _weights(task, seed):
                print(
                    f"metanet: {path!r} learnt from other images of {task.images.name} than the seed {seed} leaves for "
                    "that, and may be tested here on images that it learnt from",
                    file=sys.stderr,
                )


def _options(about: Mapping[str, str]) -> dict[str, Any]:
    """What `metanet search` was asked for; nothing of other files."""
    try:
        found = ast.literal_eval(about.get("options", "{}"))
    except (ValueError, SyntaxError):
        return {}
    return found if isinstance(found, dict) else {}


def _weights(task: "Task", seed: int) -> str:
    from metanet.data import ids_sha256, job_split

    return ids_sha256(job_split(task.images.labels, seed=seed)["weights"])
