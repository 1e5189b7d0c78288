"""What a search climbs: the leave-one-out score of a network on selection images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metanet.bench.probes.linear import LinearProbe
from metanet.bench.task import Task
from metanet.data import Ids, ids_sha256, percent_subset
from metanet.errors import MetanetError
from metanet.model import Backbone
from metanet.runs import fingerprint
from metanet.spec import ArchSpec


@dataclass(frozen=True, eq=False)
class ProbeEvaluator:
    """Scores architectures by the linear probe on a share of a task's training images; see `evaluator`."""

    task: Task
    network: Callable[[ArchSpec], Backbone]
    weights: str
    percent: float
    seed: int

    @property
    def fingerprint(self) -> str:
        """Names all that a score depends on besides the architecture: data, drawn ids, settings, weights."""
        task = self.task
        about = {
            "probe": "ridge-loo",
            "images": task.images.fingerprint,
            "train": ids_sha256(task.train),
            "resolution": task.resolution,
            "fixed": task.fixed,
            "metric": task.metric,
            "percent": float(self.percent),
            "seed": self.seed,
            "weights": self.weights,
        }
        return fingerprint(about)

    def ids(self, fidelity: float = 1.0) -> Ids:
        """The images that a score comes from; those of a lower fidelity lie among those of a higher one.

        Raises:
            MetanetError: the fidelity is not in (0, 1].
        """
        if not 0 < fidelity <= 1:
            raise MetanetError(f"a fidelity must be above 0 and at most 1, got {fidelity}")
        return percent_subset(self.task.images.labels, self.task.train, self.percent * fidelity, seed=self.seed)

    def __call__(self, spec: ArchSpec, *, fidelity: float = 1.0) -> Mapping[str, float]:
        """The metric and its standard error, as {"accuracy": ..., "accuracy.se": ...}.

        Raises:
            MetanetError: the fidelity is not in (0, 1], or the network is not a usable backbone.
        """
        ids, metric = self.ids(fidelity), self.task.metric
        try:
            found = dict(LinearProbe(where="loo").run(self.network(spec), self.task, ids))
        except MetanetError as error:
            raise MetanetError(f"architecture {spec.id}: {error}") from None
        return {name: found[name] for name in (metric, f"{metric}.se")}


def evaluator(
    task: Task,
    network: Callable[[ArchSpec], Backbone],
    *,
    weights: str,
    percent: float = 100.0,
    seed: int = 0,
) -> ProbeEvaluator:
    """An evaluator for `metanet.searchers.search` that learns and scores on `task.train` alone.

    Each image is predicted by a fit to the others, so the score needs no images of its own, and `task.test` is never
    opened. The standard error takes images as independent and leaves out how networks differ by training.

    network   the network of an architecture, ready to be used
    weights   names where the networks have their weights from, such as the SHA-256 of a supernet's file: scores of
              different weights must not be mixed in one study
    percent   of `task.train`; a fidelity below 1 takes that share of it
    seed      of the drawn images

    Raises:
        MetanetError: the percentage is not in (0, 100], or a class has no image.
    """
    found = ProbeEvaluator(task, network, weights, percent, seed)
    found.ids()
    return found
