"""What all training loops share: schedules, parameter groups, and a loop that survives being killed."""

import hashlib
import math
import os
import pickle
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import nn

from metanet.errors import MetanetError
from metanet.runs import check_seal, open_run, sealing, track

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

CHECKPOINT = "checkpoint.pt"


class Stateful(Protocol):
    """A module, an optimiser, or whatever else must go on where it was."""

    def state_dict(self) -> Any:
        """Tensors and plain values."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Takes what `state_dict` gave."""


class Group(Protocol):
    """Several processes that train the same state."""

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""

    def share(self, work: Callable[[], T]) -> T:
        """What `work` gives the first process, on all of them; its error, too."""


def cosine(step: int, *, steps: int, peak: float, warmup: int, floor: float = 0.0) -> float:
    """Learning rate of `step`: rises linearly to `peak` over `warmup` steps, then falls to `floor` as half a cosine.

    Source: Loshchilov and Hutter, SGDR (2017), eq. 5, one period, with warm-up.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters as two optimiser groups: biases, norms and scales (1-d tensors) do not decay."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def state_sha256(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, those that are not saved too: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for path, part in module.named_modules():  # in the order of a state_dict
        for name, value in chain(part.named_parameters(path, recurse=False), part.named_buffers(path, recurse=False)):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def resumable(
    step_fn: Callable[[int], Mapping[str, float]],
    state: Mapping[str, Stateful],
    *,
    steps: int,
    out: str | os.PathLike[str],
    fingerprint: str,
    seed: int = 0,
    every: float = 30.0,
    description: str = "training",
    quiet: bool | None = None,
    group: Group | None = None,
) -> "pd.DataFrame":
    """Runs step_fn(0) … step_fn(steps - 1) and returns what they gave, one row a step.

    A run that was killed goes on from `out`/checkpoint.pt when it is called again, and ends the same to the bit on a
    CPU, if `step_fn` depends on its argument, on `state` and on torch's global generators alone. The latter are seeded
    from (seed, step) before each step and are the caller's again at the end.

    state        everything that the steps change, by name
    fingerprint  names the options; a checkpoint of others, or of other `steps` or another `seed`, is refused
    every        seconds between two checkpoints
    group        of processes that all call this with equal states, which their steps keep equal: the first one writes,
                 and all go on from what it reads

    Raises MetanetError for a checkpoint that is damaged or of another fingerprint (it is left as it is), and where
    another process is training in the same folder.
    """
    import pandas as pd

    path, fingerprint = Path(out) / CHECKPOINT, f"{fingerprint}, {steps} steps, seed {seed}"
    group = _Alone() if group is None else group
    # The caller's generators stay as they are; torch warns unless all GPUs are named.
    with ExitStack() as held, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        content = group.share(partial(_begin, path, fingerprint, held))
        start, history = (content["step"], content["history"]) if content else (0, {})
        if content:
            for name, part in state.items():
                part.load_state_dict(content["state"][name])
        numbers, saved = range(start, steps), time.monotonic()

        def keep(done: int) -> None:
            nonlocal saved
            if done == steps or time.monotonic() - saved >= every:
                _save(path, state, fingerprint, done, history)
                saved = time.monotonic()

        for step in track(numbers, description, quiet=quiet) if group.first else numbers:
            torch.manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]))
            for name, value in step_fn(step).items():
                history.setdefault(name, []).append(float(value))
            group.share(partial(keep, step + 1))
    return pd.DataFrame({"step": range(steps), **history})


class _Alone:
    """This process as a group of its own."""

    first = True

    def share(self, work: Callable[[], T]) -> T:
        return work()


def _begin(path: Path, fingerprint: str, held: ExitStack) -> dict[str, Any] | None:
    """Takes hold of the folder and returns the checkpoint in it; None where there is none."""
    folder = open_run(path.parent)
    try:
        held.enter_context(FileLock(folder / ".checkpoint.lock", timeout=0))
    except Timeout:
        raise MetanetError(
            f"another process is training in {str(folder)!r}: wait for it or choose another folder"
        ) from None
    for litter in folder.glob(f".{CHECKPOINT}.*.tmp"):  # of a process killed while it wrote
        litter.unlink()
    return _load(path, fingerprint) if path.exists() else None


def _save(
    path: Path, state: Mapping[str, Stateful], fingerprint: str, step: int, history: dict[str, list[float]]
) -> None:
    content = {
        "fingerprint": fingerprint,
        "step": step,
        "history": history,
        "state": {name: part.state_dict() for name, part in state.items()},
    }
    with sealing(path) as file:  # torch.load does not notice a flipped bit
        torch.save(content, file)  # type: ignore[arg-type]  # it writes and flushes, nothing else


def _load(path: Path, fingerprint: str) -> dict[str, Any]:
    """The content of a checkpoint: the next step, the history and the state."""
    try:
        check_seal(path)
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, _ = content["fingerprint"], (content["step"], content["history"], content["state"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        raise MetanetError(
            f"the checkpoint {str(path)!r} is damaged or not one of metanet's: restore it from a copy, "
            "or move it away to start this run again"
        ) from None
    if found != fingerprint:
        raise MetanetError(
            f"the checkpoint {str(path)!r} belongs to other options ({found}, not {fingerprint}): "
            "repeat the options it was made with, on the same images and from the same weights, or choose another "
            "folder"
        )
    return content
