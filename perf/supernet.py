"""What a supernet costs over the networks that are extracted from it, and how long an extraction takes.

A cell is a space, a size and a batch; in a process of its own a network's `supernet(x, spec, stats)` and the extracted
network run in turns, for several networks of the space one after the other. In the cells named "ever another" each
turn runs more networks than a supernet keeps skeletons for, so that each call builds its own. Paper scale is a part of
`metanet` with every operator and every downsampling module, in which MN-B4 is cut in each dimension; the whole space's
shared weights need more memory than most machines have. Writes perf/results/supernet.json after each cell; what is
there is not measured again. Command: `python perf/supernet.py` (about 15 minutes on two quiet cores; `--again` forgets
what is stored, `--cells 1` stops after so many).
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from turns import in_turns

import metanet
from metanet import ArchSpec, Init
from metanet.runs import manifest, write_json
from metanet.search_spaces import Space, Supernet, load_space
from metanet.search_spaces.skeletons import KEPT

RESULTS = Path(__file__).parent / "results" / "supernet.json"
SEED = 0
TINY = "macs <= 2M, params <= 200k"  # what `metanet search` asks for by default
WIDTHS = ((32, 48, 64), (64, 96, 128), (128, 192), (192, 256), (192, 256), (384, 512))
DEPTHS = ((1, 2), (2, 3), (4, 6), (4, 6), (4, 6), (8, 12))


@dataclass(frozen=True)
class Cell:
    """What is measured in one process.

    networks  drawn from the space; at paper scale MN-B4 is one more
    ever      every call asks for another network than the calls before
    """

    scale: str
    side: int
    batch: int
    networks: int
    threads: int
    ever: bool = False


CELLS = (
    Cell("tiny", 28, 128, 8, 1),
    Cell("tiny", 28, 8, 8, 1),
    Cell("tiny", 28, 1, 8, 1),
    Cell("tiny", 28, 128, KEPT + 4, 1, ever=True),
    Cell("paper", 224, 8, 4, 2),
    Cell("paper", 224, 1, 4, 2),
)


def space_of(scale: str) -> Space:
    """The space of a scale: see above."""
    if scale == "tiny":
        return load_space("metanet-tiny").freeze(resolution=28)
    space = load_space("metanet").where(kernel=(3, 5), stem_width=(32, 64), **{"stage5.kernel": (3,)})
    for i, (widths, depths) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
        space = space.where(**{f"stage{i}.width": widths, f"stage{i}.depth": depths})
    return space


def specs_of(cell: Cell, space: Space) -> list[ArchSpec]:
    """The networks of a cell."""
    if cell.scale == "tiny":
        return space.sample(cell.networks, TINY, seed=SEED)
    return [metanet.create("MN-B4", device="meta").spec, *space.sample(cell.networks, "macs in [2G, 5G]", seed=SEED)]


def measure(cell: Cell) -> list[dict[str, Any]]:
    """One row a network, or a single one where every call asks for another; runs in the process of the cell."""
    torch.set_num_threads(cell.threads)
    space = space_of(cell.scale)
    supernet = Supernet(space, init=Init(layer_scale=0.5, zero_gamma=False), seed=SEED)
    drawn = torch.Generator().manual_seed(SEED)
    x = torch.randn(cell.batch, 3, cell.side, cell.side, generator=drawn)
    few = torch.randn(8, 3, cell.side, cell.side, generator=drawn)
    specs = specs_of(cell, space)
    with torch.no_grad():
        groups = [specs] if cell.ever else [[spec] for spec in specs]
        return [asdict(cell) | row(supernet, group, x, few) for group in groups]


def row(supernet: Supernet, specs: list[ArchSpec], x: Tensor, few: Tensor) -> dict[str, Any]:
    """Several networks, one after the other, as one work."""
    stats = [supernet.calibrate(spec, [few]) for spec in specs]
    nets = [supernet.extract(spec, own) for spec, own in zip(specs, stats, strict=True)]
    works = {
        "network": lambda: [net(x) for net in nets],
        "supernet": lambda: [supernet(x, spec, own) for spec, own in zip(specs, stats, strict=True)],
        "extract": lambda: [supernet.extract(spec, own) for spec, own in zip(specs, stats, strict=True)],
    }
    pairs = zip(works["network"](), works["supernet"](), strict=True)
    took = in_turns(works, rounds=9, most=90)
    return {
        "specs": [spec.to_text() for spec in specs],
        "ops": sorted({stage.op for spec in specs for stage in spec.stages}),
        "downs": sorted({stage.down or "pooled" for spec in specs for stage in spec.stages}),
        "shared": sum(value.numel() for value in supernet.parameters()),
        "params": max(sum(value.numel() for value in net.parameters()) for net in nets),
        "milliseconds": {name: 1e3 * took.median(name) / len(specs) for name in works},
        "ratio": took.ratio("supernet", "network"),
        "processor_ratio": took.processor_ratio("supernet", "network"),
        "difference": max(float((a - b).abs().max()) for a, b in pairs),
        "still": took.still,
        "rounds": took.rounds,
    }


def cell_of(row: dict[str, Any]) -> Cell:
    """Where a row was measured."""
    return Cell(**{name: row[name] for name in Cell.__dataclass_fields__})


def run(cell: Cell) -> list[dict[str, Any]]:
    """The rows of a cell, measured in a fresh process."""
    env = {**os.environ, "OMP_NUM_THREADS": str(cell.threads)}
    command = [sys.executable, __file__, "--child", json.dumps(asdict(cell))]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return list(json.loads(done.stdout.decode().strip().split("\n")[-1]))


def main() -> None:
    """Measures what is missing and stores it."""
    parser = argparse.ArgumentParser(description="Measures what a supernet costs over extracted networks.")
    parser.add_argument("--again", action="store_true", help="forget what is stored")
    parser.add_argument("--cells", type=int, default=1000, help="stop after so many")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(Cell(**json.loads(args.child)))))
        return
    rows = [] if args.again or not RESULTS.exists() else json.loads(RESULTS.read_text())["rows"]
    done = {cell_of(row) for row in rows}
    for cell in [cell for cell in CELLS if cell not in done][: args.cells]:
        print(cell, flush=True)
        new = run(cell)
        for one in new:
            print({k: v for k, v in one.items() if k in ("milliseconds", "ratio", "difference", "still")}, flush=True)
        rows = sorted([*rows, *new], key=lambda row: CELLS.index(cell_of(row)))
        write_json(RESULTS, manifest({"seed": SEED, "constraints": TINY}, rows=rows))


if __name__ == "__main__":
    main()
