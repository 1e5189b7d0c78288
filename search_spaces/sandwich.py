"""Training a supernet with the sandwich rule and in-place distillation (Yu et al. 2020, BigNAS, sections 3.1-3.2).

Each step trains the largest network on the labels, and the smallest and some random ones on the largest one's
predictions; their gradients are summed before the update. Lab note: `metanet search` trains `metanet-tiny` at 28 pixels
on 2,500 images of MNIST-5k with these defaults; README has the time that it took.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metanet.data import Labelled, batch_ids, ids_sha256, shift
from metanet.errors import MetanetError
from metanet.runs import atomic_write, fingerprint
from metanet.search_spaces.constraints import parse_constraints
from metanet.search_spaces.space import Space
from metanet.search_spaces.supernet import Supernet
from metanet.spec import ArchSpec
from metanet.training import cosine, parameter_groups, resumable

ENDS = 32  # draws of which the dearest and the cheapest stand for the ends of a constrained space
_STEP = 3  # first word of this module's random stream


@dataclass(frozen=True)
class SandwichConfig:
    """How a supernet is trained.

    steps            updates, each over 2 + samples networks
    batch_size       images an update, the same for all its networks
    samples          random networks an update
    lr               AdamW's peak learning rate; it rises over `warmup` updates, then falls to 0 as half a cosine
    label_smoothing  of the largest network's targets
    shift            largest translation of training images in pixels, at the source's own size
    clip             largest norm of the gradient
    constraints      that the networks satisfy (the language of searches)
    seed             of samples, order and shifts
    """

    steps: int = 350
    batch_size: int = 64
    samples: int = 1
    lr: float = 1e-2
    warmup: int = 10
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    shift: int = 1
    clip: float = 1.0
    constraints: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("batch_size", 2), ("samples", 0), ("warmup", 0), ("shift", 0)):
            if getattr(self, name) < low:
                raise MetanetError(f"`{name}` must be at least {low}, got {getattr(self, name)}")
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise MetanetError(f"`{name}` must be above 0, got {getattr(self, name)}")
        parse_constraints(self.constraints)


def sandwich(space: Space, config: SandwichConfig, step: int) -> list[ArchSpec]:
    """The networks of a step, a function of (seed, step): the largest, the smallest, then random ones.

    Ops and downsampling modules have no size, so the ends of the space take random ones: each branch is trained at both
    ends. Under constraints, the ends are the dearest and the cheapest of ENDS feasible draws: no time goes into
    networks that nobody may find.
    """
    key = [_STEP, config.seed, step]
    if config.constraints:
        drawn = sorted(
            space.sample(ENDS, config.constraints, seed=[*key, 2]), key=lambda spec: space.price(spec)["macs"]
        )
        ends = [drawn[-1], drawn[0]]
    else:
        rng = np.random.default_rng(key)
        ends = [space.decode([_end(g.choices, largest, rng) for g in space.genes]) for largest in (True, False)]
    return ends + space.sample(config.samples, config.constraints, seed=[*key, 1])


def _end(choices: tuple[object, ...], largest: bool, rng: np.random.Generator) -> int:
    if any(isinstance(choice, str) for choice in choices):
        return int(rng.integers(len(choices)))
    return choices.index(max(choices) if largest else min(choices))  # type: ignore[type-var]  # numbers and booleans


def train_supernet(
    supernet: Supernet,
    data: Labelled,
    config: SandwichConfig | None = None,
    *,
    out: str | Path | None = None,
    every: float = 30.0,
    quiet: bool | None = None,
) -> Supernet:
    """Trains a supernet in place on labelled images and returns it, in eval mode.

    A supernet without a classifier gets one for the data's classes.

    out    folder of the checkpoint and of history.csv (a row a step: losses and accuracy of the largest network); a run
           that was killed goes on there, to the same end. Without it nothing is kept
    every  seconds between checkpoints
    quiet  no progress bar

    Raises MetanetError for a folder that cannot be written, or that holds another run.
    """
    config = config or SandwichConfig()
    if supernet.num_classes == 0:
        supernet.reset_classifier(len(data.images.classes), seed=config.seed)
    optimiser = torch.optim.AdamW(parameter_groups(supernet, config.weight_decay), lr=config.lr, fused=True)
    supernet.train()

    def step(n: int) -> Mapping[str, float]:
        rate = cosine(n, steps=config.steps, peak=config.lr, warmup=config.warmup)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)  # branches without a gradient are left alone by AdamW
        row = _backward(supernet, data, config, n)
        torch.nn.utils.clip_grad_norm_(supernet.parameters(), config.clip)
        optimiser.step()
        return {**row, "lr": rate}

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch if out is None else out)
        history = resumable(
            step,
            {"supernet": supernet, "optimiser": optimiser},
            steps=config.steps,
            out=folder,
            fingerprint=_fingerprint(supernet, data, config),
            seed=config.seed,
            every=every,
            description="supernet",
            quiet=quiet,
        )
        atomic_write(folder / "history.csv", history.to_csv(index=False))
    return supernet.eval()


def _backward(supernet: Supernet, data: Labelled, config: SandwichConfig, step: int) -> dict[str, float]:
    """Adds up the gradients of one step's networks."""
    device = next(supernet.parameters()).device
    ids = batch_ids(data.ids, config.batch_size, seed=config.seed, step=step)
    labels = torch.from_numpy(data.images.labels[ids]).to(device)
    batches: dict[int, Tensor] = {}

    def logits(spec: ArchSpec) -> Tensor:
        side = spec.resolution
        if side not in batches:
            images = shift(data.images.batch(ids, side), config.shift, seed=config.seed, step=step)
            batches[side] = images.to(device, memory_format=torch.channels_last)  # depthwise kernels are faster so
        return supernet(batches[side], spec)  # type: ignore[no-any-return]

    largest, *others = sandwich(supernet.space, config, step)
    taught = logits(largest)
    loss = F.cross_entropy(taught, labels, label_smoothing=config.label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    target = taught.detach().softmax(dim=1)
    row = {"loss": loss.item(), "accuracy": (taught.argmax(1) == labels).float().mean().item()}
    distilled = 0.0
    for spec in others:
        student = F.cross_entropy(logits(spec), target)
        student.backward()  # type: ignore[no-untyped-call]
        distilled += student.item() / len(others)
    return {**row, "distillation": distilled}


def _fingerprint(supernet: Supernet, data: Labelled, config: SandwichConfig) -> str:
    parts = {
        "space": supernet.space.fingerprint,
        "init": asdict(supernet.init),
        "data": data.images.fingerprint,
        "ids": ids_sha256(data.ids),
        "config": asdict(config),
    }
    return fingerprint(parts)
