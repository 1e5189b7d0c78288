"""Fills a folder with cells: backbones and baselines, on tasks, with percentages and seeds. A finished cell is read."""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from metanet.bench.cells.cell import Cell
from metanet.bench.cells.folder import CellFolder
from metanet.bench.cells.plan import Draw, Plan, plans_of
from metanet.bench.features import FeatureCache, Features
from metanet.bench.probes import PROBES
from metanet.bench.task import Answers, Probe, Task, shown_at
from metanet.data import Ids, ImageSource, View
from metanet.errors import MetanetError
from metanet.model import Backbone
from metanet.runs import manifest, track

SCORED = ("classification",)  # kinds of tasks that have a head


class Cache(Protocol):
    """Reads features and counts; `DiskCache` and `FeatureCache` are such."""

    forwards: int
    hits: int

    def __call__(self, backbone: Backbone, images: ImageSource, ids: Ids, view: View | int) -> Features: ...


@dataclass(frozen=True)
class Summary:
    """What a run did.

    computed, read    cells
    forwards, hits    images that went through a backbone, and images whose features were known
    waiting           names of the tasks whose kind has no head yet
    failed            why, by what failed: "TASK", whose images cannot be read, or "BACKBONE on TASK"
    """

    computed: int
    read: int
    forwards: int
    hits: int
    waiting: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.computed:
            return f"0 forward passes: all {self.read} cells were finished before"
        cells = f"{self.computed} cells computed, {self.read} read"
        if not self.forwards:
            return f"0 forward passes: all features were in the cache; {cells}"
        return f"{self.forwards:,} forward passes of an image, {self.hits:,} features from the cache; {cells}"


def run_cells(
    entrants: Mapping[str, Backbone],
    tasks: Sequence[Task],
    out: str | os.PathLike[str],
    *,
    percents: Sequence[float] = (1, 10, 100),
    seeds: Sequence[int] = (0, 1, 2),
    probe: str = "linear",
    cache: Cache | None = None,
    baselines: Mapping[str, Backbone] | None = None,
    quiet: bool | None = None,
) -> Summary:
    """Writes a cell for each backbone and baseline, task, percentage and seed into a folder.

    Killed at any moment and called again it goes on where it was. Hyper-parameters are chosen on training images
    alone; test images are asked for once a cell, and when that was stands in the cell. Where a task's images cannot be
    read, or a backbone fails on a task, all others are scored, and the summary says what failed.

    cache      None keeps features in memory while the call lasts
    baselines  backbones that are there for comparison alone, such as `default_baselines(entrants)`

    Raises:
        MetanetError: as `plans_of`; the folder cannot be written, or holds other tasks of these names; everything
            failed.
    """
    scored = [task for task in tasks if task.kind in SCORED]
    read: Cache = FeatureCache() if cache is None else cache
    dtype = getattr(read, "dtype", "float32")
    plans, failed = plans_of(
        entrants, baselines or {}, scored, percents=percents, seeds=seeds, probe=probe, dtype=dtype
    )
    forwards, hits, computed, known = read.forwards, read.hits, 0, 0
    if plans:
        folder = CellFolder(out)
        folder.plan([plan.row(draw) for plan in plans for draw in plan.draws])
    for plan in track(plans, "scoring", quiet=quiet):
        missing = [draw for draw in plan.draws if folder.read(plan.row(draw).key) is None]
        known += len(plan.draws) - len(missing)
        try:
            cells = _cells(plan, missing, read, folder)
        except MetanetError as error:
            failed[f"{plan.name} on {plan.task.name}"] = str(error)
            continue
        for cell in cells:
            folder.write(cell)
        computed += len(cells)
    if failed and not computed + known:
        raise MetanetError(next(iter(failed.values())))
    waiting = tuple(task.name for task in tasks if task.kind not in SCORED)
    return Summary(computed, known, read.forwards - forwards, read.hits - hits, waiting, failed)


class Watched:
    """Reads features, and has it written down, before it does, when those of a task's test images are asked for.

    opening  writes it down, and says when that was
    """

    def __init__(self, extract: Callable[..., Features], task: Task, opening: Callable[[], str]) -> None:
        self.extract, self.task, self.opening = extract, task, opening
        self.opened: list[str] = []

    def __call__(self, backbone: Backbone, images: ImageSource, ids: Ids, view: View | int) -> Features:
        """As `extract`."""
        if np.isin(ids, self.task.test).any():
            self.opened.append(self.opening())
        return self.extract(backbone, images, ids, view)

    def only(self) -> str:
        """When the test images were opened. Raises MetanetError where that was not once."""
        if len(self.opened) != 1:
            raise MetanetError(f"a probe must open the test images once a cell, got {len(self.opened)} times")
        return self.opened[0]


def _cells(plan: Plan, draws: Sequence[Draw], extract: Cache, folder: CellFolder) -> list[Cell]:
    """The cells of the draws. Draws of the same images share their answers: 100 % is one draw for all seeds."""
    if not draws:
        return []
    start = time.monotonic()
    try:
        ids = np.unique(np.concatenate([draw.ids for draw in draws]))
        extract(plan.backbone, plan.task.images, ids, shown_at(plan.backbone, plan.task))  # all at once is fastest
        found = _answers(plan, draws, extract, folder)
    except MetanetError as error:
        raise MetanetError(f"backbone {plan.name!r} on {plan.task.name!r}: {error}") from None
    seconds = {"seconds": round(time.monotonic() - start, 3), "cells in these seconds": len(draws)}
    record = {"baseline": plan.baseline, **seconds, **manifest({})}
    return [_cell(plan, draw, *found[draw.sha256], record) for draw in draws]


def _answers(plan: Plan, draws: Sequence[Draw], extract: Cache, folder: CellFolder) -> dict[str, tuple[Answers, str]]:
    """By the digest of each different draw its answers, and when the test images were opened for it: a probe that can,
    answers all together.

    Raises:
        MetanetError: the probe opened them more than once for a cell, or never.
    """
    distinct = {draw.sha256: draw.ids for draw in draws}

    def probe(own: Collection[str]) -> tuple[Probe, Watched]:
        rows = [plan.row(draw) for draw in draws if draw.sha256 in own]
        watched = Watched(extract, plan.task, lambda: folder.opening(rows))
        return PROBES[plan.probe](extract=watched), watched

    all_at_once, watched = probe(distinct)
    if many := getattr(all_at_once, "many", None):
        together = many(plan.backbone, plan.task, list(distinct.values()))
        return {name: (answers, watched.only()) for name, answers in zip(distinct, together, strict=True)}
    found = {}
    for name, ids in distinct.items():
        alone, watched = probe([name])
        found[name] = alone.answers(plan.backbone, plan.task, ids), watched.only()
    return found


def _cell(plan: Plan, draw: Draw, answers: Answers, opened: str, record: Mapping[str, Any]) -> Cell:
    return Cell(
        backbone=plan.name,
        task=plan.task.name,
        probe=plan.probe,
        percent=float(draw.percent),
        seed=draw.seed,
        metric=plan.task.metric,
        question=plan.question,
        about=plan.about_cell(draw),
        classes=plan.task.images.classes,
        n_train=len(draw.ids),
        answers=answers,
        record={"test images opened": opened, **record},
    )
