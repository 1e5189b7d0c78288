"""What a step of training tells: one row of numbers with the same columns in every step, NaN where there is nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from torch import Tensor

from metanet.search_spaces.training.parts import Gradients, dot
from metanet.search_spaces.training.pools import Bands
from metanet.spec import ArchSpec


@dataclass(frozen=True)
class Trained:
    """One network of a step.

    loss       cross-entropy on the labels
    accuracy   on the step's images
    taught     the loss that it was trained on
    """

    spec: ArchSpec
    macs: int
    loss: float
    accuracy: float
    taught: float


def row(trained: Sequence[Trained], cosine: float, *, ends: bool, ops: Sequence[str], bands: Bands) -> dict[str, float]:
    """What the networks of a step tell together.

    loss, accuracy   of the largest network, or of the only one where a rule has no ends
    taught           mean loss that the others beside the largest were trained on
    cosine           between the gradients of the largest and of the others (`agreement`)
    macs             mean over all of them
    loss OP          mean over the networks that hold an op, weighted by its number of stages
    loss band K      mean over the networks of a band of cost, the cheapest one first

    ends   whether the first network is the largest of the step
    """
    first, others = trained[0], trained[1:] if ends else ()
    told = {
        "loss": first.loss,
        "accuracy": first.accuracy,
        "taught": _mean([(one.taught, 1) for one in others]),
        "cosine": cosine,
        "macs": _mean([(one.macs, 1) for one in trained]),
    }
    for op in ops:
        stages = [(one.loss, sum(stage.op == op for stage in one.spec.stages)) for one in trained]
        told[f"loss {op}"] = _mean(stages)
    for band in range(len(bands.edges) - 1):
        told[f"loss band {band}"] = _mean([(one.loss, int(bands.of(one.macs) == band)) for one in trained])
    return told


def _mean(weighted: Sequence[tuple[float, int]]) -> float:
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else nan


def agreement(largest: Gradients, others: Gradients) -> float:
    """The cosine between two gradients over the weights that both touch; NaN where they share none.

    A network narrower than another touches a slice of a shared weight: the gradient is 0 outside, and what only one of
    both touches is left out.
    """
    product, lengths = 0.0, [0.0, 0.0]
    for name in (name for name in largest if name in others):
        a, b = largest[name].flatten(), others[name].flatten()
        product += float(dot(a, b))
        lengths[0] += _squared(a, b)
        lengths[1] += _squared(b, a)
    return product / (lengths[0] * lengths[1]) ** 0.5 if lengths[0] and lengths[1] else nan


def _squared(gradient: Tensor, where: Tensor) -> float:
    """The squared length of a gradient over the places where another one is not 0."""
    kept = gradient * (where != 0)
    return float(dot(kept, kept))
