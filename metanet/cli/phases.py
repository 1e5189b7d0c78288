"""Phases that jobs share: shared weights, evaluators, retraining; each is resumable by itself."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, channels_last

from metanet.bench import ProbeEvaluator, Task, evaluator
from metanet.blocks.initial import Init
from metanet.cli.setting import batch_of, images_of, split
from metanet.data import Ids, ImageSource, Labelled, ids_sha256
from metanet.errors import MetanetError, check_whole
from metanet.model import MetaNet
from metanet.pretrain import ExpertClassification, ExpertConfig
from metanet.runs import fingerprint, manifest, write_json
from metanet.search_spaces import Space, Supernet, TrainingConfig, train_supernet
from metanet.searchers import load_result
from metanet.searchers.stores import has_study
from metanet.spec import ArchSpec
from metanet.training import CHECKPOINT, state_sha256

CALIBRATION = (2, 250)  # batches, and images a batch, for a sub-network's BatchNorm statistics
CLIMBED = {"r2": "maximize"}  # what searches climb: the accuracy of a thousand images is as noisy as networks differ
CLIMBED_WORDS = "r2, the share of the labels' variance that the linear probe explains of selection images left out"
FRESH = Init(layer_scale=0.1)  # attention is handicapped by the released 1e-6 in short runs

Start = Callable[[ArchSpec], MetaNet]


@dataclass(frozen=True)
class Data:
    """The images of a job, which of them are for what, and the task that they make."""

    images: ImageSource
    parts: dict[str, Ids]
    task: Task

    @property
    def weights(self) -> Labelled:
        """The images that train weights."""
        return Labelled(self.images, self.parts["weights"])


def data_of(name: str, side: int, seed: int) -> Data:
    """The labelled images of that name, split; networks without a resolution of their own see them at `side`."""
    images = images_of(name)
    parts = split(images, seed)
    task = Task(images.name, "classification", "accuracy", images, parts["selection"], parts["test"], side)
    return Data(images, parts, task)


def begin(folder: Path, images: ImageSource) -> None:
    """Writes down whose images a run is of. Raises MetanetError where work with others was begun."""
    path, now = folder / "images.json", {"name": images.name, "images": len(images), "sha256": images.fingerprint}
    worked = any(next(folder.rglob(name), None) for name in (CHECKPOINT, "*.journal"))
    if not (path.exists() and worked):  # a broken image that ends the first try must not end the next ones
        return write_json(path, now)
    try:
        then = json.loads(path.read_text())
        same, count, name = then["sha256"] == now["sha256"], int(then["images"]), then["name"]
    except (ValueError, KeyError, TypeError):
        raise MetanetError(f"{str(path)!r} is damaged: delete it to go on with the images of {images.name!r}") from None
    if not same:
        raise MetanetError(
            f"the run in {str(folder)!r} was begun with other images ({count:,} of {name!r} then, {len(images):,} of "
            f"{images.name!r} now): put them back as they were, or choose another folder for the run"
        )


def check_budget(trials: int, retrain_seeds: int, epochs: int, seed: int) -> None:
    """Raises MetanetError for what no job can be run with, before it has worked for hours."""
    check_whole("seed", seed, 0)
    ExpertConfig(epochs=epochs)
    if retrain_seeds < 2:
        raise MetanetError(
            f"`retrain_seeds` must be at least 2, got {retrain_seeds}: intervals over seeds need that many"
        )
    if trials < 1:
        raise MetanetError(f"`trials` must be at least 1, got {trials}")


def check_studies(stores: Iterable[str | Path], space: Space) -> None:
    """Raises MetanetError, before any work, where a study of an earlier run is damaged or another space's, or its
    store cannot be reached."""
    for store in stores:
        if has_study(store):
            load_result(store, space)


def earlier_seconds(folder: Path) -> dict[str, float]:
    """What each phase took when the run was finished before: a repetition finds most of the work done."""
    path = folder / "manifest.json"
    try:
        return {str(phase): float(took) for phase, took in json.loads(path.read_text())["seconds"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MetanetError(f"{str(path)!r} is damaged: delete it, the run writes it again") from None


@contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Keeps the wall time of a `with` block, where it is more than what an earlier, finished run took."""
    start = time.monotonic()
    yield
    seconds[phase] = max(seconds.get(phase, 0.0), round(time.monotonic() - start, 1))


def shared_weights(
    space: Space,
    data: Data,
    folder: Path,
    *,
    rules: Sequence[str],
    steps: int,
    constraints: str,
    seed: int,
    quiet: bool | None,
) -> Supernet:
    """A supernet of the space, trained on networks that keep the constraints."""
    batch = batch_of(len(data.parts["weights"]))
    config = TrainingConfig(rules=tuple(rules), steps=steps, batch_size=batch, constraints=constraints, seed=seed)
    supernet = Supernet(space, len(data.images.classes), seed=seed)
    return train_supernet(supernet, data.weights, config, out=folder / "supernet", quiet=quiet)


def calibration_ids(ids: Ids) -> list[Ids]:
    """The batches of images that BatchNorm statistics are from, of all classes alike in each: sources are often sorted
    by class, and the statistics of a few classes are not those of all."""
    count, size = CALIBRATION
    drawn = ids[np.linspace(0, len(ids) - 1, min(len(ids), count * size)).round().astype(np.int64)]
    batches = math.ceil(len(drawn) / size)
    return [drawn[i::batches] for i in range(batches)]  # none has one image alone, which has no variance


def shared_evaluator(data: Data, supernet: Supernet) -> ProbeEvaluator:
    """Scores architectures of the supernet's space on the selection images, with the shared weights."""
    batches = calibration_ids(data.parts["weights"])
    weights = fingerprint([state_sha256(supernet), [ids_sha256(ids) for ids in batches]])
    return evaluator(data.task, _shared_networks(data, supernet, batches), weights=weights)


def _shared_networks(data: Data, supernet: Supernet, calibration: Sequence[Ids]) -> Start:
    """An architecture's network with the shared weights, calibrated on images that trained them."""
    batches: dict[int, list[Tensor]] = {}

    def network(spec: ArchSpec) -> MetaNet:
        side = spec.resolution
        if side not in batches:
            shown = (data.images.batch(ids, side) for ids in calibration)
            batches[side] = [images.contiguous(memory_format=channels_last) for images in shown]
        return supernet.extract(spec, supernet.calibrate(spec, batches[side]))

    return network


def trained_evaluator(data: Data, folder: Path, *, epochs: int, seed: int) -> ProbeEvaluator:
    """Scores any architecture on the selection images, each trained alone from scratch for some epochs."""
    about = {
        "stage": "expert",
        "config": asdict(ExpertConfig(epochs=epochs, seed=seed)),
        "init": asdict(FRESH),
        "ids": ids_sha256(data.parts["weights"]),
    }

    def network(spec: ArchSpec) -> MetaNet:
        return trained(spec, data, folder / spec.id, epochs=epochs, seed=seed)[0]

    return evaluator(data.task, network, weights=fingerprint(about))


def trained(
    spec: ArchSpec, data: Data, folder: Path, *, epochs: int, seed: int, start: Start | None = None
) -> tuple[MetaNet, pd.DataFrame]:
    """A network trained by the Expert stage, and its history: from scratch, or from the weights of `start`.

    The rate is the same for both: of inherited weights, lower ones were behind after as many epochs (docs/supernet.md).
    """
    net = MetaNet(spec, init=FRESH, seed=seed) if start is None else start(spec)
    config = ExpertConfig(epochs=epochs, seed=seed)
    stage = ExpertClassification().run(net, {data.task.name: data.weights}, config, folder)
    return net, stage.history


def retrained(
    winners: Mapping[str, ArchSpec],
    data: Data,
    folder: Path,
    *,
    epochs: int,
    seeds: Sequence[int],
    start: Start | None = None,
) -> tuple[dict[str, list[MetaNet]], dict[str, pd.DataFrame]]:
    """Each winner, from scratch or from the weights of `start`, with each seed; winners with the same architecture
    share its networks."""
    done: dict[ArchSpec, list[MetaNet]] = {}
    histories: dict[str, pd.DataFrame] = {}
    for name, spec in winners.items():
        if spec in done:
            continue
        done[spec] = []
        for k, seed in enumerate(seeds):
            own = folder / "retrain" / f"{spec.id}-{k}"
            net, history = trained(spec, data, own, epochs=epochs, seed=seed, start=start)
            done[spec].append(net)
            histories.setdefault(name, history)
    return {name: done[spec] for name, spec in winners.items()}, histories


def by_seed(nets: Mapping[str, Sequence[MetaNet]]) -> dict[str, MetaNet]:
    """The networks of all winners, as "NAME, seed K"."""
    return {f"{name}, seed {k}": net for name, own in nets.items() for k, net in enumerate(own)}


def about_job(
    options: Mapping[str, Any],
    data: Data,
    space: Space,
    winners: Mapping[str, ArchSpec],
    seeds: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The manifest of a job."""
    return manifest(
        options,
        seeds=seeds,
        splits={name: {"images": len(ids), "sha256": ids_sha256(ids)} for name, ids in data.parts.items()},
        data={"name": data.images.name, "sha256": data.images.fingerprint},
        space={"name": space.name, "size": space.size, "sha256": space.fingerprint},
        winners={name: spec.id for name, spec in winners.items()},
        seconds=seconds,
    )
