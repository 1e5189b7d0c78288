"""L2-regularised multinomial logistic regression to its optimum, along an ascending path of C.

n images, r features, k classes. The objective is scikit-learn's: C * sum over images of -log p(its class)
+ ||weights||^2 / 2, the intercept free. The features are meant to be rotated to their principal axes, where the Hessian
is nearly I + C * values x curvature: values of the scatter matrix (diagonal there) times the mean over images of
diag(p) - p p' (k x k). Its inverse is the preconditioner of a conjugate gradient method: each step minimises over the
preconditioned gradient, the last step and, where C has just grown, the weights themselves. Since scores are linear in
the weights, that inner search needs no product with the features, and a step has two: scores of the new
direction, and the gradient.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from metanet.data import Ids

Array: TypeAlias = npt.NDArray[np.floating]

TOLERANCE = 1e-4  # relative gap of the objective
CAUTION = 5.0  # estimated gaps were up to 4.2 times too small, on features of five kinds
STEPS = 1000


@dataclass(frozen=True, eq=False)
class Point:
    """Weights and what follows from them, or a direction: the change of each.

    weights  (r, k), bias (k,), scores (n, k)
    """

    weights: Array
    bias: Array
    scores: Array

    def moved(self, amounts: Array, along: list["Point"]) -> "Point":
        """The point plus amounts times directions."""
        weights, bias, scores = self.weights.copy(), self.bias.copy(), self.scores.copy()
        for amount, way in zip(amounts.astype(scores.dtype), along, strict=True):
            weights += amount * way.weights
            bias += amount * way.bias
            scores += amount * way.scores
        return Point(weights, bias, scores)

    def since(self, other: "Point") -> "Point":
        """The direction from another point to this one."""
        return Point(self.weights - other.weights, self.bias - other.bias, self.scores - other.scores)


@dataclass(frozen=True, eq=False)
class Optimum:
    """A solution for one C.

    weights    (r, k), bias (k,)
    objective  there
    gap        estimated distance to the least objective, as a share of it
    steps      of the method; each has two products with the features
    """

    c: float
    weights: Array
    bias: Array
    objective: float
    gap: float
    steps: int


def path(
    features: Array,
    labels: Ids,
    classes: int,
    costs: Iterable[float],
    *,
    tolerance: float = TOLERANCE,
    start: tuple[Array, Array] | None = None,
) -> Iterator[Optimum]:
    """The optimum for each C, each from the one before; computed when asked for.

    features   (n, r), centred columns, float32 or float64: all products are in that precision
    labels     (n,), each class has an image
    tolerance  relative gap of the objective at which a solution is good
    start      weights and bias that the first C starts from; None: zeros
    """
    values = np.einsum("ij,ij->j", features, features)
    kind = features.dtype
    weights, bias = start or (np.zeros((features.shape[1], classes)), np.zeros(classes))
    weights, bias = weights.astype(kind), bias.astype(kind)
    for c in costs:
        # Fresh scores, since those that steps add up drift by rounding.
        here, found = _solve(_Objective(features, labels, c), values, weights, bias, tolerance)
        weights, bias = here.weights, here.bias
        yield found


class _Objective:
    """The objective for one C, of points that know their scores."""

    def __init__(self, features: Array, labels: Ids, c: float) -> None:
        self.features, self.labels, self.c = features, labels, c
        self.rows = np.arange(len(labels))

    def at(self, weights: Array, bias: Array) -> Point:
        return Point(weights, bias, self.features @ weights + bias)

    def value(self, point: Point) -> tuple[float, Array]:
        """The objective, and the probabilities (n, k)."""
        top = point.scores.max(axis=1)
        p = np.exp(point.scores - top[:, None])
        total = p.sum(axis=1)
        p /= total[:, None]
        losses = np.log(total) + top - point.scores[self.rows, self.labels]
        weights = point.weights.ravel()
        return self.c * float(losses.sum(dtype=np.float64)) + _dot(weights, weights) / 2, p

    def residuals(self, p: Array) -> Array:
        """Derivative of the losses by the scores, (n, k)."""
        found = p.copy()
        found[self.rows, self.labels] -= 1
        return found

    def gradient(self, point: Point, p: Array) -> tuple[Array, Array]:
        """By weights and bias."""
        residuals = self.residuals(p)
        slope: Array = residuals.T @ self.features
        return self.c * slope.T + point.weights, self.c * residuals.sum(axis=0)

    def inner(self, here: Point, p: Array, along: list[Point]) -> tuple[Array, Array]:
        """Gradient (m,) and Hessian (m, m) by the amounts of m directions."""
        residuals = self.residuals(p)
        # Less their mean under p, so that nothing cancels: an amount on all classes of an image changes nothing.
        turned = [way.scores - (p * way.scores).sum(axis=1, keepdims=True) for way in along]
        weighted = [p * rows for rows in turned]
        slope, hessian = np.empty(len(along)), np.empty((len(along), len(along)))
        for i, way in enumerate(along):
            slope[i] = self.c * _dot(residuals, way.scores) + _dot(here.weights, way.weights)
            for j, other in enumerate(along[: i + 1]):
                spread = self.c * _dot(weighted[i], turned[j])
                hessian[i, j] = hessian[j, i] = spread + _dot(way.weights, other.weights)
        return slope, hessian


def _solve(
    objective: _Objective, values: Array, weights: Array, bias: Array, tolerance: float
) -> tuple[Point, Optimum]:
    here = objective.at(weights, bias)
    value, p = objective.value(here)
    precondition = _preconditioner(values, p, objective.c)
    # Weights grow with C, so their own direction comes first; later the last step, as in conjugate gradients.
    along = [here] if weights.any() else []
    gains: list[float] = []
    for step in range(STEPS + 1):
        slope, lift = objective.gradient(here, p)
        ways = precondition(slope, lift)
        gap = max((_dot(slope, ways[0]) + _dot(lift, ways[1])) / 2, _still_to_gain(gains)) / (value or 1.0)
        if CAUTION * gap <= tolerance or step == STEPS:
            break
        along.append(Point(*ways, objective.features @ ways[0] + ways[1]))
        there, lower, p = _search(objective, here, value, p, along)
        gains, value = [*gains, value - lower], lower
        if not gains[-1] > 0:  # what is left is below what the precision of the numbers can tell
            break
        here, along = there, [there.since(here)]
    return here, Optimum(objective.c, here.weights, here.bias, value, gap, step)


def _still_to_gain(gains: list[float]) -> float:
    """What all further steps gain if gains go on to fall as they fell over the last steps."""
    if len(gains) < 2:
        return 0.0
    back = min(len(gains) - 1, 4)
    rate = min(0.95, (max(gains[-1], 0.0) / gains[-1 - back]) ** (1 / back))
    return float(gains[-1] * rate / (1 - rate))


def _search(
    objective: _Objective, here: Point, value: float, p: Array, along: list[Point]
) -> tuple[Point, float, Array]:
    """The least objective over the span of some directions, by a Newton step or two; "here" where none is lower."""
    for _ in range(2):
        slope, hessian = objective.inner(here, p, along)
        scale = np.sqrt(np.diag(hessian)) + np.finfo(np.float64).tiny
        scaled = hessian / np.outer(scale, scale) + 1e-7 * np.eye(len(along))
        step = -np.linalg.solve(scaled, slope / scale) / scale
        for _ in range(20):
            there = here.moved(step, along)
            found, probabilities = objective.value(there)
            if found < value:
                break
            step /= 2
        else:
            break
        # A Newton step that gains what it promised is as good as exact.
        promised = -float(slope @ step) / 2
        gained = value - found
        here, value, p = there, found, probabilities
        if gained > 0.8 * promised:
            break
    return here, value, p


def _preconditioner(values: Array, p: Array, c: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    """About the inverse of the Hessian, as a function of a gradient by weights and bias."""
    curvature = (np.diag(p.sum(axis=0)) - p.T @ p).astype(np.float64) / len(p)
    own, turn = np.linalg.eigh(curvature)
    own, turn = np.maximum(own, 0), turn.astype(p.dtype)
    by_weight = (1 / (1 + c * np.outer(values, own))).astype(p.dtype)
    flat = own <= own[-1] * 1e-6  # the same amount on all classes changes no probability
    by_bias = np.where(flat, 0, 1 / (c * len(p) * np.where(flat, 1, own))).astype(p.dtype)

    def apply(slope: Array, lift: Array) -> tuple[Array, Array]:
        return ((slope @ turn) * by_weight) @ turn.T, ((lift @ turn) * by_bias) @ turn.T

    return apply


def _dot(a: Array, b: Array) -> float:
    return float(np.vdot(a, b))
