"""How exact prices are: random architectures of every space by table, by `metanet.cost`, and by torch on the network.

All are priced by table and by `metanet.cost`. As many as there is time for are built on the meta device and run there
once: MACs are FlopCounterMode's, halved, parameters the sum over the network's own; this takes about a second each. The
spaces take turns, and a run goes on where the last one stopped. Writes perf/results/exact.json; an hour or two on one
core. Command: `python perf/exact.py` (or with fewer networks a space: `python perf/exact.py 100`).
"""

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import metanet
from metanet.runs import manifest, write_json
from metanet.search_spaces import SPACES, Space
from metanet.spec import ArchSpec

RESULTS = Path(__file__).parent / "results"
SEED, DRAWN, STEP = 0, 1_000, 10
SILENT = (torch.nn.BatchNorm2d, torch.nn.LayerNorm, torch.nn.GELU)
COSTS = ("macs", "params", "activations", "memory")


def counted(spec: ArchSpec) -> tuple[int, int]:
    """MACs and parameters of the network by torch, on the meta device.

    Norms and GELU, which the counter leaves out, are left out of the pass, too: it takes half the time.
    """
    net = metanet.create(spec, device="meta").eval()
    params = sum(p.numel() for p in net.parameters())
    for module in net.modules():
        if isinstance(module, SILENT):
            module.forward = torch.nn.Identity().forward
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _Whole()  # who called an operator is not asked for: a fifth of the time less
    with counter, torch.no_grad():
        net(torch.zeros(1, 3, spec.resolution, spec.resolution, device="meta"))
    return counter.get_total_flops() // 2, params


class _Whole(nullcontext[None]):
    """In place of the tracker of modules: every operator is the network's own."""

    parents = frozenset({"Global"})


def drawn(space: Space) -> tuple[list[ArchSpec], list[dict[str, int]]]:
    """The seeded architectures of a space, and their costs by table."""
    rows = space.sampler().draw(DRAWN, np.random.default_rng(SEED))
    columns = space.table(rows, COSTS)
    return space.specs(rows), [{metric: int(columns[metric][i]) for metric in COSTS} for i in range(DRAWN)]


def priced(name: str) -> dict[str, Any]:
    """A row: how many architectures `metanet.cost` prices otherwise than the table; none is built yet."""
    differ = 0
    for spec, table in zip(*drawn(SPACES[name]), strict=True):
        cost = metanet.cost(spec)
        own = {"macs": cost.macs, "params": cost.params, "activations": cost.activations, "memory": cost.memory()}
        differ += table != own
    return {"space": name, "priced": DRAWN, "cost": differ, "built": 0, "torch": 0, "seconds": 0.0}


def built(row: dict[str, Any], end: int) -> dict[str, Any]:
    """A row with the architectures up to `end` built and counted, too."""
    specs, tables = (part[row["built"] : end] for part in drawn(SPACES[row["space"]]))
    start = time.process_time()
    pairs = zip(specs, tables, strict=True)
    differ = sum((table["macs"], table["params"]) != counted(spec) for spec, table in pairs)
    took = row["seconds"] + time.process_time() - start
    return {**row, "built": end, "torch": row["torch"] + differ, "seconds": took}


def main() -> None:
    """Compares and stores, after each STEP."""
    torch.set_num_threads(1)
    path, wanted = RESULTS / "exact.json", int(sys.argv[1]) if len(sys.argv) > 1 else DRAWN
    options = {"seed": SEED, "drawn": DRAWN, "spaces": {name: space.fingerprint for name, space in SPACES.items()}}
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = {row["space"]: row for row in stored["rows"]} if stored.get("options") == options else {}
    rows = {name: rows[name] if name in rows else priced(name) for name in SPACES}
    for end in range(STEP, wanted + 1, STEP):
        for name in (name for name in SPACES if rows[name]["built"] < end):
            rows[name] = built(rows[name], end)
            write_json(path, manifest(options, rows=list(rows.values())))


if __name__ == "__main__":
    main()
