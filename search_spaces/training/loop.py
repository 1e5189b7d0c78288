"""Training a supernet by rules: the networks, the images and the gradients of a step are functions of (seed, step).

Lab note: `metanet search` trains `metanet-tiny` at 28 pixels on 2,500 images of MNIST-5k with the defaults; README has
the time that it took.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from metanet.data import Labelled, ids_sha256
from metanet.runs import atomic_write, fingerprint, manifest, write_json
from metanet.search_spaces.supernet import Supernet
from metanet.search_spaces.training.config import TrainingConfig
from metanet.search_spaces.training.processes import Processes
from metanet.search_spaces.training.report import ABOUT, HISTORY
from metanet.search_spaces.training.step import Steps
from metanet.training import cosine, parameter_groups, resumable, state_sha256

if TYPE_CHECKING:
    import pandas as pd
    from lightning_fabric import Fabric


def train_supernet(
    supernet: Supernet,
    data: Labelled,
    config: TrainingConfig | None = None,
    *,
    out: str | Path | None = None,
    every: float = 30.0,
    quiet: bool | None = None,
    fabric: "Fabric | None" = None,
) -> Supernet:
    """Trains a supernet in place on labelled images and returns it, in eval mode.

    A supernet without a classifier gets one for the data's classes.

    out     folder of the checkpoint, of history.csv (a row a step, `measures.row`) and of manifest.json; a run that was
            killed goes on there, to the same end, when a supernet with the same starting weights is given. Without it
            nothing is kept
    every   seconds between checkpoints
    quiet   no progress bar
    fabric  launched already: its processes share out the micro-batches, and the first of them writes; each calls this
            function. None is this process alone

    Raises MetanetError for a folder that cannot be written, or that holds another run, and where no network keeps the
    constraints.
    """
    config = config or TrainingConfig()
    if supernet.num_classes == 0:
        supernet.reset_classifier(len(data.images.classes), seed=config.seed)
    processes = Processes(fabric)
    supernet.to(None if fabric is None else fabric.device).train()
    if processes.count > 1:  # all start where the first one does
        supernet.load_state_dict(processes.share(lambda: {n: p.cpu() for n, p in supernet.state_dict().items()}))
    optimiser = torch.optim.AdamW(parameter_groups(supernet, config.weight_decay), lr=config.lr, fused=True)
    steps = Steps(supernet, data, config, processes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch if out is None else out)
        about = _about(supernet, data, config)
        history = resumable(
            lambda n: _update(supernet, optimiser, steps, n),
            {"supernet": supernet, "optimiser": optimiser},
            steps=config.steps,
            out=folder,
            fingerprint=fingerprint(about),
            seed=config.seed,
            every=every,
            description="supernet",
            quiet=quiet,
            group=processes,
        )
        processes.share(lambda: _write(folder, history, {**about, "bands": steps.bands.edges}))
    return supernet.eval()


def _update(supernet: Supernet, optimiser: torch.optim.Optimizer, steps: Steps, n: int) -> Mapping[str, float]:
    """Step n of the training; what it tells."""
    config = steps.config
    rate = cosine(n, steps=config.steps, peak=config.lr, warmup=config.warmup)
    for group in optimiser.param_groups:
        group["lr"] = rate
    gradients, told = steps.gradients(n)
    for name, parameter in supernet.named_parameters():
        parameter.grad = gradients.get(name)  # branches without a gradient are left alone by AdamW
    torch.nn.utils.clip_grad_norm_(supernet.parameters(), config.clip)
    optimiser.step()
    return {**told, "lr": rate}


def _about(supernet: Supernet, data: Labelled, config: TrainingConfig) -> dict[str, object]:
    """Everything that the trained weights depend on, `supernet` before the first step."""
    return {
        "start": state_sha256(supernet),
        "space": supernet.space.fingerprint,
        "init": asdict(supernet.init),
        "data": data.images.fingerprint,
        "ids": ids_sha256(data.ids),
        "config": asdict(config),
    }


def _write(folder: Path, history: "pd.DataFrame", about: Mapping[str, object]) -> None:
    atomic_write(folder / HISTORY, history.to_csv(index=False))
    parts = dict(about)
    config = parts.pop("config")
    write_json(folder / ABOUT, manifest(config, **parts))  # type: ignore[arg-type]
