"""Where a job's candidates are evaluated and where its studies are kept: nothing of it changes what is searched for."""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanet.errors import MetanetError, check_whole, unknown

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

    from metanet.searchers import Executor

EXECUTORS = ("process", "processes", "ray")
RAYS = {"address": "ray-address", "cpus": "cpus", "gpus": "gpus"}  # what Ray alone knows, and its option


@dataclass(frozen=True)
class Execution:
    """How a job runs its searches.

    executor      one of EXECUTORS; None: processes where `workers` or `timeout` is given, else this process
    workers       evaluations at once
    timeout       seconds after which an evaluation is killed and counts as failed
    store         postgresql://USER@HOST/DATABASE#NAME, for several hosts; None keeps the studies in the run folder
    max_failures  so many failed evaluations in a row end a search
    address       HOST:PORT of a node of the Ray cluster; None: that of RAY_ADDRESS, else one started here
    cpus, gpus    that Ray sets aside for an evaluation
    """

    executor: str | None = None
    workers: int | None = None
    timeout: float | None = None
    store: str | None = None
    max_failures: int = 5
    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        if self.executor is not None and self.executor not in EXECUTORS:
            raise unknown("executor", self.executor, EXECUTORS)
        if self.store is not None and "://" not in self.store:
            raise MetanetError(
                f"--store takes the address of a database, postgresql://USER@HOST/DATABASE#NAME, got {self.store!r}: "
                "without it the studies are files of the run folder (--out)"
            )
        check_whole("max_failures", self.max_failures, 1)
        given = self._given(("workers", "timeout"))
        if self.executor == "process" and given:
            raise MetanetError(
                f"one process evaluates one candidate at a time and cannot end it: leave out --{next(iter(given))}, or "
                "take --executor processes"
            )
        if self.executor != "ray" and (asked := self._given(RAYS)):
            raise MetanetError(f"--{RAYS[next(iter(asked))]} is Ray's affair: add --executor ray, or leave it out")

    def _given(self, names: Iterable[str]) -> dict[str, Any]:
        """Of these options those that were given."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def made(self) -> "Executor":
        """The executor. Raises MetanetError for what it refuses."""
        from metanet.searchers import InProcess, LocalProcesses, RayTasks

        given = self._given(("workers", "timeout"))
        if self.executor == "ray":
            return RayTasks(**given, **self._given(RAYS))
        if self.executor == "processes" or given:
            return LocalProcesses(**given)
        return InProcess()

    def study(self, folder: Path, name: str) -> str | Path:
        """Where a study of the job is kept: NAME.journal of its folder, or of the database "#JOB-NAME"."""
        if self.store is None:
            return folder / f"{name}.journal"
        address, _, job = self.store.partition("#")
        return f"{address}#{job}-{name}" if job else f"{address}#{name}"


def execution_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds where candidates are evaluated and studies are kept."""
    group: _ArgumentGroup = parser.add_argument_group("where it runs")
    group.add_argument(
        "--executor",
        metavar="NAME",
        help=f"{', '.join(EXECUTORS[:-1])} or {EXECUTORS[-1]} (default: process; where --workers or --timeout is given "
        "processes)",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="evaluations at once (default: 2 processes; with ray as many as the cluster has room for)",
    )
    group.add_argument("--timeout", type=float, metavar="S", help="seconds after which an evaluation counts as failed")
    group.add_argument(
        "--store",
        metavar="URL",
        help="postgresql://USER@HOST/DATABASE#NAME: the same command on several hosts shares the search",
    )
    group.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="a node of the Ray cluster (default: RAY_ADDRESS, else one made here)",
    )
    for name in ("cpus", "gpus"):
        about = f"{name[:-1].upper()}s that Ray sets aside for an evaluation, parts of one allowed"
        group.add_argument(f"--{name}", type=float, metavar="N", help=f"{about} (default: {int(name == 'cpus')})")
    failures = "failed evaluations in a row that end the search (default: %(default)s)"
    group.add_argument("--max-failures", type=int, default=Execution.max_failures, metavar="N", help=failures)


def execution_of(args: argparse.Namespace) -> Execution:
    """What the arguments say. Raises MetanetError where they contradict each other."""
    where = (args.executor, args.workers, args.timeout, args.store, args.max_failures)
    return Execution(*where, args.ray_address, args.cpus, args.gpus)
