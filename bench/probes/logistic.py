"""The logistic probe: L2-regularised multinomial logistic regression, its C chosen by folds of the training images.

C grows along a fixed path until nothing has become better for a while; the folds share the principal axes of all
training images, which any rotation leaves the objective unchanged in, and each follows its own path. Then the chosen C
is fitted to all training images, from the mean of the folds' solutions.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metanet.bench.features import extract
from metanet.bench.probes import softmax
from metanet.bench.probes.eigen import decompose
from metanet.bench.probes.folds import folds_of, tried
from metanet.bench.probes.protocol import Extract, Where, answers_of, check_where, numbers
from metanet.bench.probes.ridge import check_parts
from metanet.bench.task import Answers, Task
from metanet.data import Ids
from metanet.model import Backbone

COSTS = np.logspace(-3, 6, 37)
"""Values of C times the mean eigenvalue of the features' scatter matrix, so that scaling all features changes nothing;
1/C is the penalty of ridge in the same unit."""


@dataclass(frozen=True, eq=False)
class LogisticCv:
    """A fitted classifier.

    weights, bias  (d, k) and (k,); a class without images has no weights and the bias -inf
    c              the chosen one, in absolute units
    costs          (p,) those that were tried, in absolute units
    accuracy       (p,) of the folds' predictions for the images that they left out
    loss           (p,) mean -log probability of the true class there, over images whose class the fold knew
    held_out       (n, k) scores from the folds at the chosen C
    objective      at the solution: C * sum of losses + ||weights||^2 / 2
    gap            its estimated distance to the least one, as a share of it
    """

    weights: npt.NDArray[np.floating]
    bias: npt.NDArray[np.floating]
    c: float
    costs: npt.NDArray[np.floating]
    accuracy: npt.NDArray[np.floating]
    loss: npt.NDArray[np.floating]
    held_out: npt.NDArray[np.floating]
    objective: float
    gap: float

    @classmethod
    def fit(
        cls,
        features: npt.NDArray[np.floating],
        labels: Ids,
        classes: int,
        groups: Ids | None = None,
        *,
        costs: npt.NDArray[np.floating] = COSTS,
        tolerance: float = softmax.TOLERANCE,
    ) -> "LogisticCv":
        """Fits features (n, d); takes the C of the best accuracy on left-out folds, among equal ones of least loss.

        groups     (n,): a group lies in one fold; None: images stand alone
        costs      ascending, relative to 1 / mean eigenvalue
        tolerance  relative gap of the objective

        Raises:
            MetanetError: fewer than two images, or groups.
        """
        check_parts(labels, groups)
        eigen = decompose(features)
        rotated = eigen.rotated.astype(np.float32)
        trials, best = tried(rotated, labels, folds_of(labels, groups), classes, costs / eigen.unit)
        known, own = np.unique(labels, return_inverse=True)
        start = best.weights[:, known], best.bias[known]
        # In float64, since single precision ends far from the optimum of a large C; with a margin, for the gap is an
        # estimate.
        (found,) = softmax.path(eigen.rotated, own, len(known), [best.trial.c], tolerance=tolerance / 2, start=start)
        if softmax.CAUTION * found.gap > tolerance:
            warnings.warn(
                f"logistic regression stopped {found.gap:.1g} above the least objective, as a share of it, where "
                f"{tolerance:.1g} was asked, at C = {found.c:.3g}: the classes are nearly separable, smaller values "
                "are as good",
                stacklevel=2,
            )
        weights, bias = np.zeros((len(eigen.mean), classes)), np.full(classes, -np.inf)
        weights[:, known] = eigen.vectors @ found.weights
        bias[known] = found.bias - eigen.mean @ weights[:, known]
        return cls(
            weights=weights,
            bias=bias,
            c=best.trial.c,
            costs=np.array([trial.c for trial in trials]),
            accuracy=np.array([trial.accuracy for trial in trials]),
            loss=np.array([trial.loss for trial in trials]),
            held_out=best.held_out,
            objective=found.objective,
            gap=found.gap,
        )

    @property
    def chosen(self) -> dict[str, float]:
        """C, in absolute units, and how far the fit may be from its least objective, relatively."""
        return {"C": self.c, "gap": self.gap}

    @property
    def curve(self) -> dict[str, list[float]]:
        """Every C that was tried, in absolute units, with the accuracy and loss on left-out folds."""
        columns = {"C": self.costs, "accuracy": self.accuracy, "loss": self.loss}
        return {name: column.tolist() for name, column in columns.items()}

    def scores(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """(n, d) -> (n, k), the class of the largest score is the predicted one."""
        found: npt.NDArray[np.floating] = features.astype(np.float64) @ self.weights + self.bias
        return found


@dataclass(frozen=True)
class LogisticProbe:
    """Logistic regression to its optimum, its C chosen by five folds of the training images alone.

    Where the task has groups, a group lies in one fold.

    where     "test" scores the task's test images; "loo" the training images, each by the folds without its own, and
              never touches the test images
    extract   reads the features; a FeatureCache spares repeated forward passes
    """

    where: Where = "test"
    extract: Extract = extract

    def __post_init__(self) -> None:
        check_where(self.where)

    def answers(self, backbone: Backbone, task: Task, ids: Ids) -> Answers:
        """The predicted classes, and every C that was tried with accuracy and loss on left-out folds.

        Raises:
            MetanetError: the task is not one of classification, or as `extract` and `LogisticCv.fit`.
        """
        return answers_of(LogisticCv.fit, self.where, self.extract, backbone, task, ids)

    def run(self, backbone: Backbone, task: Task, ids: Ids) -> Iterator[tuple[str, float]]:
        """The task's metric with standard error and 95 % bootstrap interval over images, and the chosen C.

        Raises:
            MetanetError: as `answers`.
        """
        yield from numbers(task, self.answers(backbone, task, ids))
