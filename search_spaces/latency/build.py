"""Measuring a latency table: every part that a space needs, and whole networks to know its error."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from metanet.errors import MetanetError
from metanet.inference import Fused, fuse
from metanet.model import MetaNet
from metanet.runs import atomic_write, manifest, open_run, plain
from metanet.search_spaces.latency.part_tables import parts_in
from metanet.search_spaces.latency.parts import Part, module_of
from metanet.search_spaces.latency.table import FORMAT, Error, LatencyTable, read
from metanet.search_spaces.latency.timing import DTYPES, Clock, Setting, Work, measure, stopwatch, threads
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

FITTING = 0.5  # networks that the factor is fitted on, for each one that the error is reported of


def build_latency(
    space: "Space",
    out: str | os.PathLike[str],
    *,
    setting: Setting | None = None,
    networks: int = 50,
    seed: int = 0,
    clock: Clock | None = None,
    quiet: bool | None = None,
) -> LatencyTable:
    """Measures the latency of every part of a space's networks, and of some networks whole; writes and returns a table.

    out        JSON file; written every few seconds, so that the same call goes on after an interruption
    networks   how many the error is reported of, drawn uniformly from the space; half as many others are measured for
               the factor. All are timed as parts are, in the same rounds. 0: none, and a factor of 1
    clock      nanoseconds of one call of a work; the device's own clock by default
    quiet      no progress bar; None: where stderr is not a terminal

    Raises MetanetError for a device that is not there, and a file that is not this call's or cannot be written.
    """
    setting = Setting() if setting is None else setting
    setting.check()
    if networks < 0 or networks == 1:
        raise MetanetError(f"the error of a latency table needs 0 networks (none) or at least 2, got {networks}")
    open_run(Path(out).parent)
    rated, fitted = _drawn(space, networks, seed)
    about = _about(space, setting, networks, seed)
    earlier = _earlier(out, about)
    if earlier is not None and earlier["complete"]:
        return LatencyTable.load(out)
    works = _works(parts_in(space), [*rated, *fitted], setting)
    times: dict[str, list[int]] = {} if earlier is None else earlier["times"]

    def keep() -> None:
        state = {"format": FORMAT, "complete": False, "about": about, "times": times}
        atomic_write(out, json.dumps(state) + "\n")

    measure(works, times, setting, seed=seed, clock=clock or stopwatch(setting), keep=keep, quiet=quiet)
    table = _finished(times, rated, fitted, setting, about)
    table.save(out)
    return table


def _drawn(space: "Space", networks: int, seed: int) -> tuple[list[ArchSpec], list[ArchSpec]]:
    """Distinct networks for the error and for the factor; fewer of each where the space has fewer."""
    wanted = networks + round(FITTING * networks)
    distinct = list(dict.fromkeys(space.sample(4 * wanted, seed=seed)))[:wanted]
    rated = round(len(distinct) / (1 + FITTING))
    return distinct[:rated], distinct[rated:]


def _about(space: "Space", setting: Setting, networks: int, seed: int) -> dict[str, Any]:
    """What a table is of, and the machine: all but the date must be equal to go on with a table."""
    with threads(setting.threads):
        found = manifest({"setting": asdict(setting), "networks": networks, "seed": seed, "clock": setting.clock})
    found["machine"]["processor"] = processor()
    untimed = replace(space, latency=None)
    named = {"space": space.name, "sha256": untimed.fingerprint, "architectures": untimed.size}
    return {**named, "choices": {gene.name: list(gene.choices) for gene in space.genes}, **found}


def processor() -> str:
    """The processor's name, as the system tells it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _earlier(out: str | os.PathLike[str], about: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier call of the same kind wrote."""
    if not Path(out).exists():
        return None
    found = read(out)
    differs = [name for name in about if name != "created" and found["about"].get(name) != plain(about[name])]
    if differs:
        raise MetanetError(
            f"the latency table {str(out)!r} was measured with another {' and '.join(differs)}: choose another file"
        )
    return found


def _works(parts: list[Part], specs: list[ArchSpec], setting: Setting) -> dict[str, Callable[[], Work]]:
    whole = {f"network {spec.id}": partial(_network_work, spec, setting) for spec in specs}
    return {**{part.name: partial(_part_work, part, setting) for part in parts}, **whole}


def _network(spec: ArchSpec, setting: Setting) -> MetaNet | Fused:
    net, dtype = MetaNet(spec, seed=0, device=setting.device).eval(), DTYPES[setting.dtype]
    return fuse(net, dtype=dtype) if setting.fused else net.to(dtype)


def _network_work(spec: ArchSpec, setting: Setting) -> Work:
    return Work(_network(spec, setting), _input(setting, 3, spec.resolution))


def _part_work(part: Part, setting: Setting) -> Work:
    x = _input(setting, part.width, part.side)
    if part.place != "stem":
        x = x.contiguous(memory_format=torch.channels_last)
    return Work(module_of(part, _network(part.bearer, setting)), x)


def _input(setting: Setting, channels: int, side: int) -> torch.Tensor:
    x = np.random.default_rng(0).standard_normal((setting.batch, channels, side, side))
    return torch.from_numpy(x).to(setting.device, DTYPES[setting.dtype])


def _finished(
    times: dict[str, list[int]],
    rated: list[ArchSpec],
    fitted: list[ArchSpec],
    setting: Setting,
    about: dict[str, Any],
) -> LatencyTable:
    """The table with its factor, a median of measured over summed, and its error."""
    whole = {spec: tuple(times[f"network {spec.id}"]) for spec in (*rated, *fitted)}
    networks = tuple(
        {"spec": spec.to_dict(), "for": "error" if spec in rated else "factor", "times": list(took)}
        for spec, took in whole.items()
    )
    parts = {name: tuple(took) for name, took in times.items() if not name.startswith("network ")}
    table = LatencyTable(setting, parts, networks, about=about)
    ratios = [float(np.median(whole[spec])) / table.nanoseconds(spec) for spec in fitted]
    final = replace(table, factor=float(np.median(ratios))) if ratios else table
    if len(rated) < 2:
        return final
    measured = np.array([np.median(whole[spec]) for spec in rated])
    return replace(final, error=_error(final, table, rated, measured))


def _error(table: LatencyTable, plain: LatencyTable, specs: list[ArchSpec], measured: np.ndarray) -> Error:
    from scipy.stats import kendalltau, spearmanr  # type: ignore[import-untyped]  # slow to import

    predicted = np.array([table.nanoseconds(spec) for spec in specs])
    off = 100 * (predicted - measured) / measured
    unfitted = 100 * (np.array([plain.nanoseconds(spec) for spec in specs]) - measured) / measured
    alike = len(np.unique(predicted)) < 2 or len(np.unique(measured)) < 2  # ranks say nothing
    return Error(
        networks=len(specs),
        median=float(np.median(abs(off))),
        worst=float(abs(off).max()),
        bias=float(np.median(off)),
        plain=float(np.median(abs(unfitted))),
        spearman=0.0 if alike else float(spearmanr(predicted, measured)[0]),
        kendall=0.0 if alike else float(kendalltau(predicted, measured)[0]),
    )
