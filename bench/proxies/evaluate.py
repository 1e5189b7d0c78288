"""Proxies as what a search climbs: scores of networks that nobody has trained."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from metanet.bench.proxies.registry import check_proxies, proxy_scores
from metanet.bench.task import Task, shown_at
from metanet.blocks.initial import Init
from metanet.data import Ids, Labelled, batch_ids, ids_sha256
from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.runs import fingerprint
from metanet.spec import ArchSpec

Build: TypeAlias = Callable[[ArchSpec, int], nn.Module]
"""The untrained network of an architecture with the initial values of a seed."""

# Behind a factor of zero or almost zero, as trainings start with, gradients do not depend on what a branch is.
PLAIN = Init(layer_scale=1.0, zero_gamma=False)


@dataclass(frozen=True)
class Fresh:
    """Builds MetaNets with a classifier.

    init   initial values; by default all branches count in full
    """

    classes: int
    init: Init = PLAIN

    def __call__(self, spec: ArchSpec, seed: int) -> MetaNet:
        """A network."""
        return MetaNet(spec, self.classes, init=self.init, seed=seed)


@dataclass(frozen=True, eq=False)
class ProxyEvaluator:
    """Scores architectures by proxies, each the mean over several initialisations; see `proxy_evaluator`."""

    names: tuple[str, ...]
    data: Labelled | Task
    build: Build
    seed: int
    batch: int
    repeats: int

    @property
    def ids(self) -> Ids:
        """The images that batches are drawn from: of a task those for training."""
        return self.data.train if isinstance(self.data, Task) else self.data.ids

    @property
    def fingerprint(self) -> str:
        """Names all that a score depends on besides the architecture: data, proxies, settings, how networks are built
        (a function by its name: its code is not looked at)."""
        about = {
            "proxies": self.names,
            "images": self.data.images.fingerprint,
            "ids": ids_sha256(self.ids),
            "task": [self.data.resolution, self.data.fixed] if isinstance(self.data, Task) else None,
            "build": _named(self.build),
            "seed": self.seed,
            "batch": self.batch,
            "repeats": self.repeats,
        }
        return fingerprint(about)

    def __call__(self, spec: ArchSpec, *, fidelity: float = 1.0) -> Mapping[str, float]:
        """Each proxy's mean and, over two initialisations and more, its standard error: {"naswot": ..., "naswot.se":
        ...}. A fidelity below 1 takes that share of the initialisations, the first ones.

        Raises:
            MetanetError: the fidelity is not in (0, 1], or a proxy cannot score the network.
        """
        if not 0 < fidelity <= 1:
            raise MetanetError(f"a fidelity must be above 0 and at most 1, got {fidelity}")
        count = math.ceil(fidelity * self.repeats - 1e-9)
        try:
            drawn = [self._scores(spec, i) for i in range(count)]
        except MetanetError as error:
            raise MetanetError(f"architecture {spec.id}: {error}") from None
        found = {}
        for name in self.names:
            values = np.array([one[name] for one in drawn])
            found[name] = float(values.mean())
            if count > 1:
                found[f"{name}.se"] = float(values.std(ddof=1) / math.sqrt(count))
        return found

    def _scores(self, spec: ArchSpec, i: int) -> dict[str, float]:
        """The scores of initialisation i, on images of its own."""
        images, network = self.data.images, self.build(spec, self.seed + i)
        ids = batch_ids(self.ids, self.batch, seed=self.seed, step=i)
        view = shown_at(network, self.data) if isinstance(self.data, Task) else spec.resolution  # type: ignore[arg-type]
        labels = torch.from_numpy(images.labels[ids])
        return proxy_scores(network, images.batch(ids, view), labels, self.names, seed=self.seed + i)


def proxy_evaluator(
    names: str | Sequence[str],
    data: Labelled | Task,
    *,
    build: Build | None = None,
    seed: int = 0,
    batch: int = 64,
    repeats: int = 3,
) -> ProxyEvaluator:
    """An evaluator for `metanet.searchers.search` that trains nothing: `search(space, proxy_evaluator("naswot", data),
    objectives={"naswot": "maximize"})`.

    All architectures are scored on the same images, with the initial values of the same seeds.

    names     of PROXIES: one or several, which are then computed of the same network
    data      labelled images; of a task those for training
    build     the untrained network of an architecture and a seed; None: a MetaNet whose branches all count in full
    seed      of the images, and of the first initialisation; those after it have the seeds after it
    batch     images for each initialisation, others for each
    repeats   initialisations

    Raises:
        MetanetError: a name is unknown or given twice, there are fewer images than a batch, or fewer than four in it,
            or no repeats.
    """
    given = check_proxies((names,) if isinstance(names, str) else names)
    if repeats < 1 or batch < 4:
        raise MetanetError(
            f"a proxy needs at least 1 initialisation and 4 images for each, got repeats={repeats} and batch={batch}"
        )
    built = Fresh(len(data.images.classes)) if build is None else build
    found = ProxyEvaluator(given, data, built, seed, batch, repeats)
    batch_ids(found.ids, batch, seed=seed, step=0)  # says where there are too few
    return found


def _named(build: Build) -> Any:
    kind = type(build)
    name = getattr(build, "__qualname__", kind.__qualname__)
    settings = asdict(build) if is_dataclass(build) else None
    return [getattr(build, "__module__", kind.__module__), name, settings]
