"""Which cells a run consists of, and what decides each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

from metanet.bench.cells.cell import setting_of
from metanet.bench.cells.folder import Row
from metanet.bench.features import as_module
from metanet.bench.identity import architecture_sha256
from metanet.bench.probes import PROBES
from metanet.bench.task import Task, groups_sha256, shown_at
from metanet.data import Ids, ids_sha256, percent_subset
from metanet.errors import MetanetError, unknown
from metanet.model import Backbone
from metanet.runs import fingerprint
from metanet.training import state_sha256

METHODS: Mapping[str, int] = {}  # by probe, one more where its answers change, so that cells are computed again


@dataclass(frozen=True, eq=False)
class Draw:
    """The training images of a percentage and seed; their digest names them in the results."""

    percent: float
    seed: int
    ids: Ids
    sha256: str


@dataclass(frozen=True, eq=False)
class Plan:
    """The cells of one backbone on one task, which share its features.

    about   all that decides their answers besides the draw
    """

    name: str
    baseline: bool
    backbone: Backbone
    task: Task
    probe: str
    draws: tuple[Draw, ...]
    about: Mapping[str, Any]

    def about_cell(self, draw: Draw) -> dict[str, Any]:
        """All that decides the answers of a cell."""
        return {**self.about, "percent": float(draw.percent), "seed": draw.seed, "train": draw.sha256}

    @cached_property
    def question(self) -> str:
        """Names what is asked of every backbone: results of one question stand in one table."""
        task = self.task
        about = {"images": self.about["images"], "test": self.about["test"], "train": ids_sha256(task.train)}
        return fingerprint({**about, "resolution": task.resolution, "fixed": task.fixed})

    def row(self, draw: Draw) -> Row:
        """The place of a cell in the tables."""
        about = self.about_cell(draw)
        return Row(
            backbone=self.name,
            task=self.task.name,
            probe=self.probe,
            percent=float(draw.percent),
            seed=draw.seed,
            metric=self.task.metric,
            question=self.question,
            baseline=self.baseline,
            setting=setting_of(about),
            key=fingerprint(about),
        )


def plans_of(
    entrants: Mapping[str, Backbone],
    baselines: Mapping[str, Backbone],
    tasks: Sequence[Task],
    *,
    percents: Sequence[float],
    seeds: Sequence[int],
    probe: str,
    dtype: str,
) -> tuple[list[Plan], dict[str, str]]:
    """The plans of all backbones and baselines on all tasks, backbone by backbone; and of the tasks whose images cannot
    be read or drawn from, by name, why.

    dtype   how features are kept

    Raises:
        MetanetError: an unknown probe, a wrong percentage, a name twice, nothing to score, or what is no backbone, with
            its name.
    """
    check_request(probe, percents, seeds)
    _check(entrants, baselines, tasks)
    draws, of_task, bad = {}, {}, {}
    for task in tasks:
        try:
            draws[task.name], of_task[task.name] = _draws(task, percents, seeds), _of_task(task)
        except MetanetError as error:
            bad[task.name] = str(error)
    found = []
    for name, backbone in {**entrants, **baselines}.items():
        own = {**_of_backbone(name, backbone), "probe": probe, "method": METHODS.get(probe, 1), "dtype": dtype}
        for task in tasks:
            if task.name in bad:
                continue
            about = {**own, **of_task[task.name], "view": asdict(shown_at(backbone, task))}
            found.append(Plan(name, name in baselines, backbone, task, probe, draws[task.name], about))
    return found, bad


def _draws(task: Task, percents: Sequence[float], seeds: Sequence[int]) -> tuple[Draw, ...]:
    labels, groups = task.images.labels, task.groups
    found = []
    for percent in percents:
        for seed in seeds:
            ids = percent_subset(labels, task.train, percent, seed=seed, groups=groups)
            found.append(Draw(percent, seed, ids, ids_sha256(ids)))
    return tuple(found)


def _of_backbone(name: str, backbone: Backbone) -> dict[str, Any]:
    try:
        module = as_module(backbone)
    except MetanetError as error:
        raise MetanetError(f"backbone {name!r}: {error}") from None
    device = next((p.device.type for p in module.parameters()), "cpu")
    autocast = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else None
    return {"weights": state_sha256(module), "architecture": architecture_sha256(module), "autocast": autocast}


def _of_task(task: Task) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "images": task.images.fingerprint,
        "test": ids_sha256(task.test),
        "groups": groups_sha256(task),
    }


def check_request(probe: str, percents: Sequence[float], seeds: Sequence[int]) -> None:
    """Raises MetanetError for an unknown probe, a percentage outside (0, 100], and what is missing or given twice."""
    if probe not in PROBES:
        raise unknown("probe", probe, PROBES)
    _each_once("percentage", percents)
    _each_once("seed", seeds)
    if wrong := [percent for percent in percents if not 0 < percent <= 100]:
        raise MetanetError(f"a percentage must be above 0 and at most 100, got {wrong[0]:g}")


def _check(entrants: Mapping[str, Backbone], baselines: Mapping[str, Backbone], tasks: Sequence[Task]) -> None:
    if not {**entrants, **baselines}:
        raise MetanetError("a run scores at least one backbone, got none: name one")
    if twice := sorted(set(entrants) & set(baselines)):
        raise MetanetError(f"a backbone must not have the name of a baseline, got {twice[0]!r}: rename it")
    _each_once("task", [task.name for task in tasks])


def _each_once(what: str, values: Sequence[Any]) -> None:
    if not values:
        raise MetanetError(f"a run scores at least one {what}, got none: name one")
    if len(set(values)) < len(values):
        again = next(value for value in values if list(values).count(value) > 1)
        raise MetanetError(f"each {what} of a run must be given once, got {again!r} twice: leave one out")
