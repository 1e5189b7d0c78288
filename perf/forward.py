"""Inference on a CPU: networks, fused and not, and others', against a literal transcription of the released code.

Everything of a cell runs in turns in a process of its own, 224 px, random weights; ratios are (seconds of the literal
network) / (seconds of this one) within a round. Writes perf/results/forward.json after each cell; what is there is not
measured again, so that a run that was ended goes on. Command: `python perf/forward.py` (about 20 minutes on two quiet
cores, half of it compiling; `--again` forgets what is stored, `--cells 1` stops after so many).
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from literal import literal
from torch import Tensor, nn
from turns import in_turns

import metanet
from metanet import Init, MetaNet
from metanet.runs import manifest, write_json

RESULTS = Path(__file__).parent / "results" / "forward.json"
SEED, SIDE, THREADS, PRODUCT = 0, 224, 2, 2048
HALF = torch.bfloat16
# Malloc that keeps what it got: no memory is fetched from the system during a forward pass.
KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
OURS = ("MN-B4", "UniNet-B1")
PEERS = ("resnet50", "tf_efficientnetv2_s", "coatnet_0_rw_224", "convnext_tiny", "regnety_032", "efficientnet_b2")

Way = tuple[Callable[[Tensor], Tensor], Tensor]  # what runs, on what


@dataclass(frozen=True)
class Cell:
    """What is measured in one process: a network's own variants, its compiled forms, or other networks (peers)."""

    kind: str
    network: str
    batch: int
    keeping: bool = False


def cells() -> list[Cell]:
    """All cells in the order in which they are measured."""
    own = [Cell("own", name, batch, k) for name in OURS for batch in (8, 1) for k in (False, True)]
    peers = [Cell("peers", "MN-B4", batch) for batch in (8, 1)]
    compiled = [Cell("compiled", "MN-B4", batch, k) for k in (False, True) for batch in (8, 1)]
    return [*compiled, *own, *peers, *(Cell("compiled", "UniNet-B1", batch) for batch in (8, 1))]


def ways(cell: Cell) -> dict[str, Way]:
    """What runs in turns; the first one is what ratios refer to."""
    options: dict[str, Any] = {"num_classes": 0, "seed": SEED, "init": Init(layer_scale=0.1, zero_gamma=False)}
    net = metanet.create(cell.network, **options).eval()
    assert isinstance(net, MetaNet)
    x = torch.randn(cell.batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(SEED))
    made: dict[str, Way] = {"literal": (literal(net), x)}
    if cell.kind == "own":
        made |= {"eager": (net, x), "fused": (metanet.fuse(net), x)}
        made["fused, bfloat16"] = (metanet.fuse(net, dtype=HALF), x.to(HALF))
    elif cell.kind == "compiled":
        made |= {name: compiled(net, dtype, x) for name, dtype in (("fused", torch.float32), ("fused, bfloat16", HALF))}
        made = {name + (", compiled" if "fused" in name else ""): way for name, way in made.items()}
    else:
        made |= peers(x)
    return made


def compiled(net: MetaNet, dtype: torch.dtype, x: Tensor) -> Way:
    """The fused network, compiled in its two parts."""
    fused = metanet.fuse(net, dtype=dtype)
    fused.compile(fullgraph=True, dynamic=False)
    return fused, x.to(dtype)


def peers(x: Tensor) -> dict[str, Way]:
    """timm's networks without classifier, in the faster layout on CPUs (torch.channels_last)."""
    import timm

    x, made = x.to(memory_format=torch.channels_last), {}
    for name in PEERS:
        net: nn.Module = timm.create_model(name, num_classes=0).eval()
        made[name] = (net.to(memory_format=torch.channels_last), x)
    return made


def product(dtype: torch.dtype) -> Callable[[], Tensor]:
    """A large matrix product: PRODUCT ** 3 multiply-accumulates."""
    a = torch.randn(PRODUCT, PRODUCT).to(dtype)
    return lambda: a @ a


def macs(name: str) -> int:
    """Multiply-accumulates of one image."""
    if name in metanet.list_models():
        return metanet.cost(name, resolution=SIDE).macs
    import timm
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        timm.create_model(name, num_classes=0).eval()(torch.empty(1, 3, SIDE, SIDE))
    return int(counter.get_total_flops() // 2)


def measure(cell: Cell) -> list[dict[str, Any]]:
    """One row a way; runs in the process of the cell."""
    torch.set_num_threads(THREADS)
    with torch.no_grad():
        made = ways(cell)
        outputs = {way: run(x).float() for way, (run, x) in made.items()}
        works = {way: lambda run=run, x=x: run(x) for way, (run, x) in made.items()}
        took = in_turns(works | {"product": product(torch.float32), "product16": product(HALF)})
    rows = []
    for way, (_, x) in made.items():
        peer = cell.kind == "peers" and way != "literal"
        speed, count = cell.batch / took.median(way), macs(way if peer else cell.network)
        rate = PRODUCT**3 / took.median("product16" if x.dtype == HALF else "product")
        row = {**asdict(cell), "way": way, "macs": count, "images": speed, "ratio": took.ratio("literal", way)}
        row |= {"matmul": speed * count / rate, "still": took.still, "rounds": took.rounds}
        if not peer and cell.batch > 1:  # against the spread between images: a common offset hides nothing
            spread = outputs["literal"].std(0).mean()
            row["error"] = float((outputs[way] - outputs["literal"]).abs().max() / spread)
        rows.append(row)
    return rows


def run(cell: Cell) -> list[dict[str, Any]]:
    """The rows of a cell, measured in a fresh process: an allocator is a setting of a whole process."""
    env = {**os.environ, "OMP_NUM_THREADS": str(THREADS), **(KEEPING if cell.keeping else {})}
    command = [sys.executable, __file__, "--child", json.dumps(asdict(cell))]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return list(json.loads(done.stdout.decode().strip().split("\n")[-1]))


def main() -> None:
    """Measures what is missing and stores it."""
    parser = argparse.ArgumentParser(description="Measures inference on a CPU.")
    parser.add_argument("--again", action="store_true", help="forget what is stored")
    parser.add_argument("--cells", type=int, default=1000, help="stop after so many")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print(json.dumps(measure(Cell(**json.loads(args.child)))))
        return
    rows = [] if args.again or not RESULTS.exists() else json.loads(RESULTS.read_text())["rows"]
    done = {Cell(*(row[key] for key in ("kind", "network", "batch", "keeping"))) for row in rows}
    for cell in [cell for cell in cells() if cell not in done][: args.cells]:
        print(cell, flush=True)
        new = run(cell)
        for row in new:
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        rows += new
        write_json(RESULTS, manifest({"seed": SEED, "side": SIDE, "threads": THREADS}, rows=rows))


if __name__ == "__main__":
    main()
