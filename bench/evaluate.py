"""What a search climbs: the leave-one-out score of a network on selection images of one task or several."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metanet.bench.features import FeatureCache
from metanet.bench.probes.linear import LinearProbe
from metanet.bench.task import Answers, Task, groups_sha256
from metanet.data import Ids, ids_sha256, percent_subset
from metanet.errors import MetanetError
from metanet.metrics import METRICS
from metanet.metrics.classification import ImageMetric
from metanet.model import Backbone
from metanet.runs import fingerprint
from metanet.spec import ArchSpec

R2 = "r2"


@dataclass(frozen=True)
class Score:
    """How a network does on a task: the metric and its standard error, R2 and its standard error."""

    value: float
    se: float
    r2: float
    r2_se: float


@dataclass(frozen=True, eq=False)
class ProbeEvaluator:
    """Scores architectures by the linear probe on a share of the tasks' training images; see `evaluator`.

    tasks   from the cheapest to the dearest
    """

    tasks: tuple[Task, ...]
    network: Callable[[ArchSpec], Backbone]
    weights: str
    percent: float
    seeds: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        """Names all that a score depends on besides the architecture: data, drawn ids, settings, weights."""
        about = {
            "probe": "ridge-loo",
            "tasks": [
                {
                    "images": task.images.fingerprint,
                    "train": ids_sha256(task.train),
                    "resolution": task.resolution,
                    "fixed": task.fixed,
                    "metric": task.metric,
                    "groups": groups_sha256(task),
                }
                for task in self.tasks
            ],
            "percent": float(self.percent),
            "seeds": self.seeds,
            "weights": self.weights,
        }
        return fingerprint(about)

    def tasks_at(self, fidelity: float = 1.0) -> tuple[Task, ...]:
        """The tasks that a score comes from: that share of them, the cheapest first.

        Raises:
            MetanetError: the fidelity is not in (0, 1].
        """
        if not 0 < fidelity <= 1:
            raise MetanetError(f"a fidelity must be above 0 and at most 1, got {fidelity}")
        return self.tasks[: math.ceil(fidelity * len(self.tasks) - 1e-9)]

    def ids(self, fidelity: float = 1.0, *, task: Task | None = None, seed: int | None = None) -> Ids:
        """The images of a task that a score comes from; those of a lower fidelity lie among those of a higher one.

        task, seed   the first one where None

        Raises:
            MetanetError: the fidelity is not in (0, 1].
        """
        task = self.tasks_at(fidelity)[0] if task is None else task
        seed = self.seeds[0] if seed is None else seed
        share = self.percent * fidelity
        return percent_subset(task.images.labels, task.train, share, seed=seed, groups=task.groups)

    def __call__(self, spec: ArchSpec, *, fidelity: float = 1.0) -> Mapping[str, float]:
        """The metric and R2 with their standard errors: {"accuracy": ..., "accuracy.se": ..., "r2": ..., "r2.se": ...}.

        R2 is the share of the variance of the one-hot labels that the probe explains of images that it was not fitted
        to. It says how far off answers are, where the metric counts which are wrong: of few images it has less
        noise.

        Of several tasks all are means over them, the metric called "score" where their metrics differ, with those of
        each as "TASK.accuracy", "TASK.accuracy.se", "TASK.r2" and "TASK.r2.se".

        Raises:
            MetanetError: the fidelity is not in (0, 1], or the network is not a usable backbone.
        """
        tasks = self.tasks_at(fidelity)
        try:
            found = self._scores(self.network(spec), tasks, fidelity)
        except MetanetError as error:
            raise MetanetError(f"architecture {spec.id}: {error}") from None
        metrics = {task.metric for task in self.tasks}
        name = metrics.pop() if len(metrics) == 1 else "score"
        scores = _named(_over_tasks(found), name)
        if len(self.tasks) > 1:
            for task, one in zip(tasks, found, strict=True):
                scores |= _named(one, task.metric, f"{task.name}.")
        return scores

    def _scores(self, backbone: Backbone, tasks: Sequence[Task], fidelity: float) -> list[Score]:
        probe = LinearProbe(where="loo", extract=FeatureCache())
        found = []
        for task in tasks:
            draws = {ids_sha256(ids): ids for seed in self.seeds for ids in [self.ids(fidelity, task=task, seed=seed)]}
            answers = [probe.answers(backbone, task, ids) for ids in draws.values()]
            found.append(_over_draws(task.metric, list(draws.values()), answers))
        return found


def evaluator(
    task: Task | Sequence[Task],
    network: Callable[[ArchSpec], Backbone],
    *,
    weights: str,
    percent: float = 100.0,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
) -> ProbeEvaluator:
    """An evaluator for `metanet.searchers.search` that learns and scores on the tasks' training images alone.

    Each image is predicted by a fit to the others, so the score needs no images of its own, and `task.test` is never
    opened. All architectures are scored on the same images. The standard error takes images as independent, and leaves
    out how networks differ by training. A fidelity below 1 takes that share of the tasks, those of the fewest pixels
    first, and that share of the percentage.

    task      one or several
    network   the network of an architecture, ready to be used
    weights   names where the networks have their weights from, such as the SHA-256 of a supernet's file: scores of
              different weights must not be mixed in one study
    percent   of `task.train`; a fidelity below 1 takes that share of it
    seed      of the drawn images
    seeds     of several draws, whose mean is the score; in place of `seed`

    Raises:
        MetanetError: the percentage is not in (0, 100], a class has no image, there is no task or seed, or one is given
            twice.
    """
    tasks = (task,) if isinstance(task, Task) else tuple(task)
    drawn = (seed,) if seeds is None else tuple(seeds)
    for what, given in (("task", [one.name for one in tasks]), ("seed", list(drawn))):
        if len(given) != len(set(given)) or not given:
            raise MetanetError(f"an evaluator needs one {what} or several different ones, got {given}")
    cheapest_first = sorted(tasks, key=lambda one: len(one.train) * one.resolution**2)
    found = ProbeEvaluator(tuple(cheapest_first), network, weights, percent, drawn)
    for one in tasks:
        found.ids(task=one)
    return found


def _over_draws(metric: str, ids: Sequence[Ids], answers: Sequence[Answers]) -> Score:
    """The means of the metric and of R2 over draws and their standard errors; R2's is the largest of a single draw.

    An image that several draws hold adds up its shares in their means before they are squared, so that equal draws are
    no surer than one; with one draw it is the error of `Metric.interval`.
    """
    known = METRICS[metric]
    intervals = [known.interval(own.predicted, own.truth) for own in answers]
    value = float(np.mean([interval.mean for interval in intervals]))
    r2s = [explained(own) for own in answers]
    r2, r2_se = float(np.mean([one for one, _ in r2s])), max(se for _, se in r2s)
    if len(answers) == 1 or not isinstance(known, ImageMetric):
        return Score(value, max(interval.se for interval in intervals), r2, r2_se)
    union = np.unique(np.concatenate(ids))
    shares = np.zeros(len(union))
    for drawn, own in zip(ids, answers, strict=True):
        terms = known.terms(own.predicted, own.truth)
        strata = own.truth if known.by_class else np.zeros_like(own.truth)
        means = np.bincount(strata, terms) / np.maximum(1, np.bincount(strata))
        np.add.at(shares, np.searchsorted(union, drawn), (terms - means[strata]) / len(terms) / len(answers))
    return Score(value, float(np.sqrt((shares**2).sum())), r2, r2_se)


def explained(answers: Answers) -> tuple[float, float]:
    """R2 of the linear probe and its standard error: one minus the least leave-one-out error of a penalty over that of
    the classes' shares."""
    shares = np.bincount(answers.truth) / len(answers.truth)
    whole = float(1 - (shares**2).sum())
    error, se = min(zip(answers.curve["error"], answers.curve["error.se"], strict=True))
    return 1 - error / whole, se / whole


def _over_tasks(found: Sequence[Score]) -> Score:
    """The means of several tasks' scores, which are independent."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    def error(errors: Sequence[float]) -> float:
        return math.sqrt(sum(se**2 for se in errors)) / len(errors)

    values, errors, r2s, r2_errors = zip(*((one.value, one.se, one.r2, one.r2_se) for one in found), strict=True)
    return Score(mean(values), error(errors), mean(r2s), error(r2_errors))


def _named(score: Score, metric: str, prefix: str = "") -> dict[str, float]:
    """A score's numbers by name."""
    numbers = {metric: score.value, f"{metric}.se": score.se, R2: score.r2, f"{R2}.se": score.r2_se}
    return {f"{prefix}{name}": value for name, value in numbers.items()}
