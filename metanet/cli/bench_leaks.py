"""`metanet bench leaks`: test images that were seen before, and the scores without them."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.bench import Task
    from metanet.bench.cells import Doubles, Point

COSINE = 0.99


def run(args: argparse.Namespace) -> int:
    """Looks for doubles, writes them down, and prints how many there are and what the scores are without them."""
    import pandas as pd

    from metanet.bench import check_limits, check_names, compared, leaks, read_known
    from metanet.bench.cells import doubles_of, doubles_table, without_table, write_leaks
    from metanet.cli.bench_run import check_device, tasks_of
    from metanet.cli.output import emit

    near, cosine = args.near, COSINE if args.cosine is None else args.cosine
    check_limits(near, cosine)
    check_device(args.device)
    features = _features(args)
    tasks = tasks_of(args)
    if not (args.suite or args.data_root):
        tasks = [_with_all(task) for task in tasks]
    points = _points(args.folder, tasks)
    against = [read_known(path) for path in args.against]
    check_names(against)
    looked = compared(against, features=bool(features))
    limits = {"dhash": {"near": near}, "features": {"cosine": cosine, "network": args.model}}
    pieces, doubles = [], []
    for task in tasks:
        found = leaks(task, against=against, near=near, least_cosine=cosine, **features)
        doubles += doubles_of(task, found, looked, limits)
        pieces.append(found.assign(task=task.name)[["task", *found]])
    path = write_leaks(args.out or args.folder or "runs/leaks", pd.concat(pieces, ignore_index=True), doubles)
    counts, scores = doubles_table(doubles), without_table(points, doubles)
    if args.json:
        return emit({"doubles": counts.to_dict("records"), "scores": scores.to_dict("records")})
    _show(doubles, scores)
    print(f"wrote {path}{_next(args, path)}")
    return 0


def _with_all(task: "Task") -> "Task":
    """The task with all images that are not for its test: besides the probe's those that train weights in a job."""
    from dataclasses import replace

    import numpy as np

    return replace(task, train=np.setdiff1d(np.arange(len(task.images)), task.test))


def _features(args: argparse.Namespace) -> dict[str, Any]:
    """What `leaks` compares features with; nothing where no network is given."""
    from metanet.bench import DiskCache, extract
    from metanet.cli.bench_networks import network
    from metanet.errors import MetanetError

    if args.model is None:
        if args.cosine is not None:
            raise MetanetError("--cosine is a limit of features, which are those of a network: give --model, too")
        return {}
    backbone = network(args.model, args.weights)
    return {"backbone": backbone, "extract": DiskCache(args.cache, extract=partial(extract, device=args.device))}


def _points(folder: str | None, tasks: "Sequence[Task]") -> "list[Point]":
    """The scores of a folder of cells; of them some must be of these test images."""
    from metanet.bench.cells import load_results, points_of
    from metanet.data import ids_sha256
    from metanet.errors import MetanetError

    if folder is None:
        return []
    points = points_of(load_results(folder))
    known = {(point.cells[0].about["images"], point.cells[0].about["test"]) for point in points}
    others = [task.name for task in tasks if (task.images.fingerprint, ids_sha256(task.test)) not in known]
    if len(others) == len(tasks):
        raise MetanetError(
            f"no cell in {folder!r} was tested on the test images of {', '.join(others)}: give the --suite, --data or "
            "--data-root, and the --seed, that its run had"
        )
    for name in others:
        print(f"metanet: no cell in {folder!r} was tested on the test images of {name}", file=sys.stderr)
    return points


def _show(doubles: "Sequence[Doubles]", scores: Any) -> None:
    """Both tables; of the scores those of the largest percentage."""
    from metanet.bench.leakage import EVIDENCE
    from metanet.cli.output import table

    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in doubles:
        empty = {"task": one.task, "among": one.of, "test images": one.n_test, **dict.fromkeys(EVIDENCE, "–")}
        rows.setdefault((one.task, one.of), empty)[one.by] = len(one.positions)
    table(list(rows.values()), title="test images that have a double among other images, by each evidence")
    if len(scores):
        largest = scores["percent"].max()
        shown = [
            {
                "backbone": row["backbone"],
                "task": row["task"],
                "doubles": f"{row['of']}, {row['by']}",
                "left out": row["left_out"],
                "with": _interval(row, "with"),
                "without": _interval(row, "without"),
            }
            for row in scores[scores["percent"] == largest].to_dict("records")
        ]
        title = f"test scores with {largest:g} % of the training images (%), with and without doubles, 95 % intervals"
        table(shown, title=title)


def _interval(row: Any, name: str) -> str:
    if row[name] != row[name]:
        return "–"
    return f"{100 * row[name]:.1f} ({100 * row[f'{name}_low']:.1f}–{100 * row[f'{name}_high']:.1f})"


def _next(args: argparse.Namespace, path: Path) -> str:
    """What to type next, where there is something."""
    beside = args.folder is not None and Path(args.folder) == path.parent
    return f", then type: metanet bench report {args.folder}" if beside else ""
