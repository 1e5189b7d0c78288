"""A small space and images whose classes are shades of grey, on which a supernet is trained in moments."""

import numpy as np
import torch

from metanet.data import ArrayImages, Labelled
from metanet.search_spaces import Space, StageChoices, Supernet
from metanet.search_spaces.training import TrainingConfig
from metanet.search_spaces.training.processes import Processes
from metanet.search_spaces.training.step import Steps

SPACE = Space(
    name="shaded",
    stages=(
        StageChoices((1, 2), (8, 16), (1, 2), ("mbconv", "fused_mbconv"), head_dim=(8,)),
        StageChoices(
            (1, 2), (16, 24), (1, 2), ("mbconv", "self_attention"), head_dim=(8,), down=(None, "local"), stride=2
        ),
    ),
    stem_width=(8,),
    head_width=(16, 24),
    resolution=(12, 16),
)

DISTILLED = ("sandwich", "in-place-distillation")


def shades(n: int = 40, side: int = 12) -> Labelled:
    """n images of four classes, the brighter the higher."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 4
    pixels = rng.integers(0, 60, (n, side, side)) + 45 * labels[:, None, None]
    return Labelled(ArrayImages("shades", pixels.astype(np.uint8), labels, tuple("abcd")), np.arange(n))


def config(rules: tuple[str, ...] = DISTILLED, **options: object) -> TrainingConfig:
    """A short training, at a high rate."""
    short = {"steps": 12, "batch_size": 8, "warmup": 2, "samples": 1, "lr": 1e-2}
    return TrainingConfig(rules=rules, **{**short, **options})  # type: ignore[arg-type]


def weights_of(supernet: Supernet) -> torch.Tensor:
    """All weights, one after the other."""
    return torch.cat([p.detach().flatten() for p in supernet.parameters()])


def steps(*rules: str, seed: int = 0, **options: object) -> Steps:
    """The steps of a training of a fresh supernet."""
    made = config(rules, **{"steps": 8, **options})
    return Steps(Supernet(SPACE, 4, seed=seed).train(), shades(), made, Processes())
