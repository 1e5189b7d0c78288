"""`metanet bench run`: which networks on which tasks, and what came out."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.bench import Task
    from metanet.model import Backbone

BESIDE = ("mobilenet_v2", "MN-B4")  # what a suite has beside the given networks: packaged weights, random ones
SIDE, OFFICIAL_SIDE = 32, 224  # pixels, for packaged images and for those of GV-B


def run(args: argparse.Namespace) -> int:
    """Scores, writes the report, and prints tables, how many forward passes it took and what to type next."""
    from metanet.bench import DiskCache, extract
    from metanet.bench.cells import check_request, load_results, run_cells, tables_of, write_report
    from metanet.bench.suites import SEED
    from metanet.cli.bench_results import show
    from metanet.cli.bench_seen import check_unseen
    from metanet.cli.output import emit

    seeds = tuple(range(args.seeds))
    check_request(args.probe, args.percents, seeds)
    check_device(args.device)
    entrants = _entrants(args)
    tasks = tasks_of(args)
    if not args.data_root:
        check_unseen([*args.networks, *args.model], tasks, SEED if args.suite else args.seed)
    cache = DiskCache(
        args.cache, dtype="float16" if args.half else "float32", extract=partial(extract, device=args.device)
    )
    summary = run_cells(
        entrants,
        tasks,
        args.out,
        percents=args.percents,
        seeds=seeds,
        probe=args.probe,
        cache=cache,
        baselines=_baselines(entrants),
        quiet=args.quiet or None,
    )
    found = tables_of(load_results(args.out))
    page = write_report(found)
    for name in summary.waiting:
        print(f"{name} waits for its head: this version scores classification", file=sys.stderr)
    if args.json:
        print(summary, file=sys.stderr)
        return emit(found.cells.to_dict("records"))
    show(found)
    print(summary)
    print(f"open {page}, then type: metanet bench compare {_pair(list(entrants))} --in {args.out}")
    return 0


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


def _entrants(args: argparse.Namespace) -> "dict[str, Backbone]":
    """The networks by name. Two networks may have one name and other weights, so the name says which they have."""
    from metanet.bench import PACKAGED
    from metanet.errors import MetanetError

    given = [*args.networks, *args.model]
    if given and args.weights != "random" and not any(n.startswith("timm:") or n in PACKAGED for n in given):
        raise MetanetError(
            f"--weights {args.weights} is for networks of timm, named timm:NAME, got {', '.join(given)}: leave it out"
        )
    found: dict[str, Any] = {}
    for name in given:
        told = f"{name} ({args.weights})" if name.startswith("timm:") and args.weights != "random" else name
        if told in found:
            raise MetanetError(f"each network must be given once, got {name!r} twice: leave one out")
        found[told] = network(name, args.weights)
    if args.suite and not args.alone:
        for name in BESIDE:
            packaged = name == BESIDE[0]
            told = f"{name} (packaged)" if packaged else f"{name} (random)"
            if told not in found and name not in found:
                found[told] = network(name, "packaged" if packaged else "random")
    if not found:
        raise MetanetError("a run scores at least one network, got none: name one, as in `metanet bench run MN-B4`")
    return found


def _baselines(entrants: "dict[str, Backbone]") -> "dict[str, Backbone]":
    """The usual ones; a random initialisation is named after the architecture, not after its weights."""
    from metanet.bench import default_baselines

    short = {
        name.removeprefix("timm:").removesuffix(" (packaged)").removesuffix(" (pretrained)"): name for name in entrants
    }
    if len(short) < len(entrants):  # one architecture with several weights
        return default_baselines(entrants)
    return default_baselines({name: entrants[told] for name, told in short.items()})


def network(name: str, weights: str) -> Any:
    """A network ready to be scored.

    weights   of one of timm's: "random", "packaged" or "pretrained"
    """
    from metanet.bench import PACKAGED, packaged_backbone, timm_backbone
    from metanet.factory import create

    if weights == "packaged" and (name.startswith("timm:") or name in PACKAGED):
        return packaged_backbone(name)
    if name.startswith("timm:"):
        return timm_backbone(name.removeprefix("timm:"), pretrained=weights == "pretrained")
    return create(name) if name.endswith(".safetensors") else create(name, seed=0)


def tasks_of(args: argparse.Namespace) -> "list[Task]":
    """What --suite, --data or --data-root and --tasks name."""
    from metanet.cli.bench_data import names_of
    from metanet.errors import MetanetError, unknown

    names = names_of(args.tasks)
    if args.data_root:
        return _official_tasks(args.data_root, names, OFFICIAL_SIDE if args.resolution is None else args.resolution)
    if args.suite:
        from metanet.bench.suites import load_suite

        known = {task.name: task for task in load_suite(args.suite)}
        if wrong := [name for name in names or () if name not in known]:
            raise unknown(f"task of the suite {args.suite!r}", wrong[0], known)
        return [known[name] for name in names or known]
    if names:
        raise MetanetError("--tasks names tasks of a suite or a data root: give --suite or --data-root, too")
    return [_packaged_task(args.data or "mnist-5k", args.seed, SIDE if args.resolution is None else args.resolution)]


def _official_tasks(root: str, names: list[str] | None, resolution: int) -> "list[Task]":
    """The tasks that are there; the others are told, by name where they were asked for."""
    from metanet.bench.official import official_tasks

    tasks, states = official_tasks(root, names, resolution=resolution)
    for state in states:
        if state.state in ("partial", "wrong checksum") or (names and state.state == "missing"):
            print(f"metanet: {state.task} is {state.state}: {state.detail}", file=sys.stderr)
    if len(tasks) < len(states):
        print(
            f"metanet: {len(tasks)} of {len(states)} tasks are scored; `metanet bench doctor --data-root {root}` says "
            "what to do about the others",
            file=sys.stderr,
        )
    return tasks


def _packaged_task(name: str, seed: int, resolution: int) -> "Task":
    """The images of one package; those that trained a winner of `metanet search` are neither learnt from nor tested."""
    from metanet.bench import Task
    from metanet.cli.setting import split
    from metanet.data import load_images

    images = load_images(name)
    parts = split(images, seed)
    return Task(name, "classification", "accuracy", images, parts["selection"], parts["test"], resolution)


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
