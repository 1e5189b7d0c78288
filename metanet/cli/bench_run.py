"""`metanet bench run`: networks on tasks, and what came out."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.bench import DiskCache, Task

SIDE, OFFICIAL_SIDE = 32, 224  # pixels, for packaged images and for those of GV-B
PERCENTS, OFFICIAL_PERCENTS = (
    (1.0, 10.0, 100.0),
    (10.0,),
)  # the paper reports 10 %; all of ImageNet takes a large machine


def run(args: argparse.Namespace) -> int:
    """Scores, writes the report, and prints tables, how many forward passes it took and what to type next."""
    from metanet.bench.cells import check_request, load_results, run_cells, tables_of, write_report
    from metanet.bench.suites import SEED
    from metanet.cli.bench_networks import baselines, entrants
    from metanet.cli.bench_results import show
    from metanet.cli.bench_seen import check_unseen
    from metanet.cli.output import emit

    seeds = tuple(range(args.seeds))
    percents = args.percents or (OFFICIAL_PERCENTS if args.data_root else PERCENTS)
    check_request(args.probe, percents, seeds)
    check_device(args.device)
    networks = entrants(args)
    tasks = tasks_of(args)
    if not args.data_root:
        check_unseen([*args.networks, *args.model], tasks, SEED if args.suite else args.seed or 0)
    summary = run_cells(
        networks,
        tasks,
        args.out,
        percents=percents,
        seeds=seeds,
        probe=args.probe,
        cache=_cache(args),
        baselines=baselines(networks),
        quiet=args.quiet or None,
    )
    found = tables_of(load_results(args.out))
    page = write_report(found)
    for name, reason in summary.failed.items():
        print(f"metanet: {name} failed, all else was scored: {reason}", file=sys.stderr)
    if args.json:
        print(summary, file=sys.stderr)
        emit(found.cells.to_dict("records"))
    else:
        show(found)
        print(summary)
        print(f"open {page}, then type: metanet bench compare {_pair(list(networks))} --in {args.out}")
    return 1 if summary.failed else 0


def _cache(args: argparse.Namespace) -> "DiskCache":
    from metanet.bench import DiskCache, extract

    return DiskCache(
        args.cache,
        dtype="float16" if args.half else "float32",
        limit_bytes=round(args.cache_limit * 1e9),
        extract=partial(extract, device=args.device),
    )


def check_device(name: str | None) -> None:
    """Raises MetanetError for a device that is not there."""
    import torch

    from metanet.errors import MetanetError

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):  # an unknown one, and one that this build of torch lacks
        raise MetanetError(f"there is no device {name!r} here: leave --device out to run on the cpu") from None


def _pair(names: list[str]) -> str:
    from shlex import quote

    return " ".join(quote(name) for name in [*names, "raw pixels"][:2])


def tasks_of(args: argparse.Namespace) -> "list[Task]":
    """What --suite, --data or --data-root and --tasks name."""
    from metanet.cli.bench_data import names_of
    from metanet.errors import MetanetError, unknown

    names = names_of(args.tasks)
    if args.data_root:
        _check_fixed(args, "GV-B")
        return _official_tasks(args.data_root, names, OFFICIAL_SIDE if args.resolution is None else args.resolution)
    if args.suite:
        from metanet.bench.suites import load_suite

        known = {task.name: task for task in load_suite(args.suite)}
        _check_fixed(args, f"the suite {args.suite!r}")
        if args.resolution is not None:
            raise MetanetError(f"the suite {args.suite!r} has resolutions of its own: leave --resolution out")
        if wrong := [name for name in names or () if name not in known]:
            raise unknown(f"task of the suite {args.suite!r}", wrong[0], known)
        return [known[name] for name in names or known]
    if names:
        raise MetanetError("--tasks names tasks of a suite or a data root: give --suite or --data-root, too")
    seed, side = args.seed or 0, SIDE if args.resolution is None else args.resolution
    return [_split_task(args.data or "mnist-5k", seed, side)]


def _check_fixed(args: argparse.Namespace, what: str) -> None:
    from metanet.errors import MetanetError

    if args.seed is not None:
        raise MetanetError(f"the splits of {what} are fixed, and --seed is that of --data: leave it out")


def _official_tasks(root: str, names: list[str] | None, resolution: int) -> "list[Task]":
    """The tasks that are there; the others are told, by name where they were asked for."""
    from metanet.bench.official import official_tasks

    tasks, states = official_tasks(root, names, resolution=resolution)
    for state in states:
        if state.state in ("partial", "wrong checksum") or (names and state.state == "missing"):
            scored = any(task.name == state.task for task in tasks)
            told = ", and is scored as it is: its numbers are not GV-B's" if scored else ""
            print(f"metanet: {state.task} is {state.state}: {state.detail}{told}", file=sys.stderr)
        elif state.state == "found" and all(task.name != state.task for task in tasks):
            print(f"metanet: {state.task} waits for its head: this version scores classification", file=sys.stderr)
    if len(tasks) < len(states):
        print(
            f"metanet: {len(tasks)} of {len(states)} tasks are scored; `metanet bench doctor --data-root {root}` says "
            "what to do about the others",
            file=sys.stderr,
        )
    return tasks


def _split_task(name: str, seed: int, resolution: int) -> "Task":
    """The images of that name; those that trained a winner of `metanet search` are neither learnt from nor tested."""
    from metanet.bench import Task
    from metanet.cli.setting import images_of, split

    images = images_of(name)
    parts = split(images, seed)
    return Task(images.name, "classification", "accuracy", images, parts["selection"], parts["test"], resolution)


@contextmanager
def warnings_as_sentences() -> Iterator[None]:
    """Shows our own warnings as one line each, as errors are shown."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], filename: str, *more: Any, **named: Any) -> None:
            if category is UserWarning and {"bench", "metanet"} & set(Path(filename).parts):
                print(f"metanet: {message}", file=sys.stderr)
            else:
                usual(message, category, filename, *more, **named)

        warnings.showwarning = show
        yield
