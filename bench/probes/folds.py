"""The choice of C by folds of the training images: each fold is predicted by a fit to the others, for a path of C."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metanet.bench.features import Features
from metanet.bench.probes import softmax
from metanet.data import Ids

Array = npt.NDArray[np.floating]

FOLDS = 5
PATIENCE = 4  # values of C


@dataclass(frozen=True)
class Trial:
    """What the folds say of one C: the accuracy, and the mean -log probability of the true class.

    Images of a class that the other folds lack count as wrong and are left out of the loss.
    """

    c: float
    accuracy: float
    loss: float

    def beats(self, other: "Trial") -> bool:
        """More accurate, or as accurate with less loss."""
        return (-self.accuracy, self.loss) < (-other.accuracy, other.loss)


@dataclass(frozen=True, eq=False)
class Best:
    """The best trial, with the scores (n, k) of images left out, and the folds' mean weights (r, k) and bias (k,)."""

    trial: Trial
    held_out: Array
    weights: Array
    bias: Array


def folds_of(labels: Ids, groups: Ids | None = None, folds: int = FOLDS) -> Ids:
    """The fold of each image, (n,): classes are dealt out evenly, groups stay together; no fold holds all images.

    The largest groups are dealt first, each to the fold with the fewest images of its most frequent class, then with
    the fewest images.
    """
    names, group = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    folds = min(folds, len(names))
    counts = np.zeros((len(names), int(labels.max()) + 1), np.int64)
    np.add.at(counts, (group, labels), 1)
    sizes, classes = counts.sum(axis=1), counts.argmax(axis=1)
    held, fold = np.zeros((folds, counts.shape[1]), np.int64), np.empty(len(names), np.int64)
    for one in np.lexsort((classes, -sizes)):
        fold[one] = np.lexsort((held.sum(axis=1), held[:, classes[one]]))[0]
        held[fold[one]] += counts[one]
    return fold[group]


def tried(features: Features, labels: Ids, fold: Ids, classes: int, costs: Array) -> tuple[list[Trial], Best]:
    """A trial for each C, in their order, until neither accuracy nor loss has become better for PATIENCE of them.

    features  (n, r) on their principal axes
    """
    trials: list[Trial] = []
    best, gained = None, 0  # where either was better than ever before
    paths = [_left_out(features, labels, fold == one, classes, costs) for one in np.unique(fold)]
    for i, (c, *parts) in enumerate(zip(costs.tolist(), *paths, strict=False)):
        held_out = np.empty((len(labels), classes), features.dtype)
        for rows, scores, _, _ in parts:
            held_out[rows] = scores
        trial = Trial(c, float((held_out.argmax(axis=1) == labels).mean()), _loss(held_out, labels))
        if not trials or trial.accuracy > max(t.accuracy for t in trials) or trial.loss < min(t.loss for t in trials):
            gained = i
        if best is None or trial.beats(best.trial):
            best = Best(trial, held_out, _mean([part[2] for part in parts]), _mean([part[3] for part in parts]))
        trials.append(trial)
        if i - gained >= PATIENCE:
            break
    assert best is not None
    return trials, best


def _left_out(
    features: Features, labels: Ids, rows: npt.NDArray[np.bool_], classes: int, costs: Array
) -> Iterator[tuple[npt.NDArray[np.bool_], Array, Array, Array]]:
    """For each C the rows of a fold, their scores, weights (r, k) and bias (k,) of the fit to all other rows."""
    mean = features[~rows].mean(axis=0)
    known, own = np.unique(labels[~rows], return_inverse=True)
    rest, left_out = features[~rows] - mean, features[rows] - mean
    for found in softmax.path(rest, own, len(known), costs):
        scores = np.full((len(left_out), classes), -np.inf, features.dtype)
        scores[:, known] = left_out @ found.weights + found.bias
        weights, bias = np.zeros((features.shape[1], classes), features.dtype), np.zeros(classes, features.dtype)
        weights[:, known] = found.weights
        bias[known] = found.bias - mean @ found.weights
        yield rows, scores, weights, bias


def _loss(scores: Array, labels: Ids) -> float:
    """Mean -log probability of the true class where it has a score; 0 where none has."""
    own = scores[np.arange(len(labels)), labels].astype(np.float64)
    known = np.isfinite(own)
    if not known.any():
        return 0.0
    top = scores.max(axis=1)
    total = np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top
    return float((total - own)[known].mean())


def _mean(parts: list[Array]) -> Array:
    mean: Array = np.mean(parts, axis=0)
    return mean
