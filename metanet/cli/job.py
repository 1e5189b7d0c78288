"""The main job, phase after phase; each phase is resumable by itself, so the whole is."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from metanet.bench import Task, evaluator, score
from metanet.blocks.initial import Init
from metanet.cli.setting import space_of, split
from metanet.data import Ids, ImageSource, Labelled, ids_sha256, load_images
from metanet.errors import MetanetError, unknown
from metanet.model import MetaNet
from metanet.pretrain import ExpertClassification, ExpertConfig
from metanet.runs import atomic_write, manifest, open_run, write_json
from metanet.search_spaces import SandwichConfig, Space, Supernet, train_supernet
from metanet.searchers import SAMPLERS, Controls, SearchResult, controls, load_result, search
from metanet.spec import ArchSpec
from metanet.training import state_sha256

CALIBRATION = (2, 250)  # batches, and images a batch, for a sub-network's BatchNorm statistics
FRESH = Init(layer_scale=0.1)  # attention is handicapped by the released 1e-6 in short runs


@dataclass(frozen=True)
class JobOptions:
    """What `metanet search` is asked for; a resolution of None is searched, too; latency: the file of a table."""

    space: str = "metanet-tiny"
    data: str = "mnist-5k"
    resolution: int | None = 28
    constraints: str = "macs <= 2M, params <= 200k"
    sampler: str = "evolution"
    trials: int = 60
    supernet_steps: int = 350
    epochs: int = 5
    retrain_seeds: int = 3
    percents: tuple[float, ...] = (1, 10, 100)
    seed: int = 0
    latency: str | None = None

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise unknown("sampler", self.sampler, SAMPLERS)
        if self.retrain_seeds < 2:
            raise MetanetError(
                f"`retrain_seeds` must be at least 2, got {self.retrain_seeds}: intervals over seeds need that many"
            )
        if self.trials < 1:
            raise MetanetError(f"`trials` must be at least 1, got {self.trials}")


@dataclass(frozen=True)
class Setting:
    """The space and the images that the options mean."""

    space: Space
    images: ImageSource
    parts: dict[str, Ids]
    task: Task


@dataclass(frozen=True)
class Outcome:
    """Everything that the report tells: the studies, the frozen winners, their test scores, the training histories."""

    options: JobOptions
    setting: Setting
    result: SearchResult[ArchSpec]
    controls: Controls[ArchSpec]
    winners: dict[str, ArchSpec]
    nets: dict[str, list[MetaNet]]
    cells: pd.DataFrame
    histories: dict[str, pd.DataFrame]
    seconds: dict[str, float] = field(default_factory=dict)


def prepare(options: JobOptions) -> Setting:
    """Checks the options against space and data before anything is written."""
    space = space_of(options.space, options.resolution, options.latency)
    space.sample(1, options.constraints, seed=options.seed)  # an unsatisfiable request ends here
    images = load_images(options.data)
    parts = split(images, options.seed)
    side = options.resolution or max(space.resolution)
    task = Task(options.data, "classification", "accuracy", images, parts["selection"], parts["test"], side)
    return Setting(space, images, parts, task)


def run_job(options: JobOptions, out: str | Path, *, quiet: bool | None = None) -> str:
    """Runs every phase, writes the run folder and returns the verdict in one sentence.

    Raises MetanetError for options that cannot be met, a folder that cannot be written, and damaged files of an
    earlier run.
    """
    from metanet.cli.job_report import write_report

    setting = prepare(options)
    folder = open_run(out)
    seconds = _earlier_seconds(folder)
    for store in ("search.journal", "random.journal"):
        if (folder / store).exists():
            load_result(folder / store, setting.space)  # a damaged study ends here, before any work
    with _timed(seconds, "supernet"):
        supernet = _supernet(options, setting, folder, quiet)
    with _timed(seconds, "search"):
        result, control = _searches(options, setting, supernet, folder, quiet)
    winners = {
        "search": result.best.spec,
        "random search": control.random.best.spec,
        "most MACs": control.most_macs.spec,
    }
    with _timed(seconds, "retraining"):
        nets, histories = _retrain(options, setting, winners, folder)
    _freeze(folder, winners)
    with _timed(seconds, "testing"):
        backbones = {f"{name}, seed {k}": net for name, own in nets.items() for k, net in enumerate(own)}
        cells = score(backbones, setting.task, percents=options.percents)
        atomic_write(folder / "scores.csv", cells.to_csv(index=False))
    outcome = Outcome(options, setting, result, control, winners, nets, cells, histories, seconds)
    _keep_winner(folder, outcome)
    return write_report(outcome, folder)


def _earlier_seconds(folder: Path) -> dict[str, float]:
    """What each phase took when the run was finished before: a repetition finds most of the work done."""
    path = folder / "manifest.json"
    return dict(json.loads(path.read_text())["seconds"]) if path.exists() else {}


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[phase] = max(seconds.get(phase, 0.0), round(time.monotonic() - start, 1))


def _supernet(options: JobOptions, setting: Setting, folder: Path, quiet: bool | None) -> Supernet:
    config = SandwichConfig(steps=options.supernet_steps, constraints=options.constraints, seed=options.seed)
    data = Labelled(setting.images, setting.parts["weights"])
    supernet = Supernet(setting.space, len(setting.images.classes), seed=options.seed)
    return train_supernet(supernet, data, config, out=folder / "supernet", quiet=quiet)


def _searches(
    options: JobOptions, setting: Setting, supernet: Supernet, folder: Path, quiet: bool | None
) -> tuple[SearchResult[ArchSpec], Controls[ArchSpec]]:
    """The search and its controls, on one evaluator at one budget."""
    evaluate = evaluator(setting.task, _networks(setting, supernet), weights=state_sha256(supernet))
    shared: dict[str, Any] = {
        "constraints": options.constraints,
        "trials": options.trials,
        "seed": options.seed,
        "quiet": quiet,
    }
    result = search(setting.space, evaluate, sampler=options.sampler, store=folder / "search.journal", **shared)
    return result, controls(setting.space, evaluate, store=folder / "random.journal", **shared)


def _networks(setting: Setting, supernet: Supernet) -> Callable[[ArchSpec], MetaNet]:
    """An architecture's network with the shared weights, calibrated on images that trained them."""
    count, size = CALIBRATION
    ids = setting.parts["weights"][: count * size]
    batches: dict[int, list[Tensor]] = {}

    def network(spec: ArchSpec) -> MetaNet:
        side = spec.resolution
        if side not in batches:
            shown = setting.images.batch(ids, side).contiguous(memory_format=torch.channels_last)
            batches[side] = [shown[i : i + size] for i in range(0, len(shown), size)]
        return supernet.extract(spec, supernet.calibrate(spec, batches[side]))

    return network


def _retrain(
    options: JobOptions, setting: Setting, winners: dict[str, ArchSpec], folder: Path
) -> tuple[dict[str, list[MetaNet]], dict[str, pd.DataFrame]]:
    """Each winner from scratch with each seed; controls that found the same architecture share its networks."""
    sources = {options.data: Labelled(setting.images, setting.parts["weights"])}
    done: dict[ArchSpec, list[MetaNet]] = {}
    histories: dict[str, pd.DataFrame] = {}
    for name, spec in winners.items():
        if spec in done:
            continue
        done[spec] = []
        for k in range(options.retrain_seeds):
            net = MetaNet(spec, init=FRESH, seed=options.seed + k)
            config = ExpertConfig(epochs=options.epochs, seed=options.seed + k)
            stage = ExpertClassification().run(net, sources, config, folder / "retrain" / f"{spec.id}-{k}")
            done[spec].append(net)
            histories.setdefault(name, stage.history)
    return {name: done[spec] for name, spec in winners.items()}, histories


def _freeze(folder: Path, winners: dict[str, ArchSpec]) -> None:
    """Writes down who won, once, before the test images are opened for the first time."""
    path = folder / "frozen.json"
    if not path.exists():
        opened = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_json(path, {"winners": {n: s.id for n, s in winners.items()}, "test images opened": opened})


def _keep_winner(folder: Path, outcome: Outcome) -> None:
    """The winner's spec and first network, and what all of it came from."""
    from metanet.weights import save

    options, setting = outcome.options, outcome.setting
    spec, net = outcome.winners["search"], outcome.nets["search"][0]
    atomic_write(folder / "winner.json", spec.to_json() + "\n")
    provenance = {"command": "metanet search", "options": str(asdict(options)), "stage": "expert", "seed": "0"}
    save(net, folder / "winner.safetensors", provenance)
    about = manifest(
        asdict(options),
        seeds={"job": options.seed, "retraining": [options.seed + k for k in range(options.retrain_seeds)]},
        splits={name: {"images": len(ids), "sha256": ids_sha256(ids)} for name, ids in setting.parts.items()},
        data={"name": setting.images.name, "sha256": setting.images.fingerprint},
        space={"name": setting.space.name, "size": setting.space.size, "sha256": setting.space.fingerprint},
        winners={name: spec.id for name, spec in outcome.winners.items()},
        seconds=outcome.seconds,
    )
    write_json(folder / "manifest.json", about)
