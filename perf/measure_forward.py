"""Inference on the CPU: our network, fused and not, against a literal transcription of the released code's steps.

Each variant runs in turns with the others in one process, 224 px, random weights; ratios are medians over rounds of
(seconds of the literal network) / (seconds of the variant). Writes perf/results/forward.json; about five minutes on two
quiet cores. Command: `python perf/measure_forward.py`.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from literal import literal
from torch import Tensor, nn

import metanet
from metanet import Init
from metanet.runs import manifest, write_json

RESULTS = Path(__file__).parent / "results"
ROUNDS, SEED, SIDE = 7, 0, 224


def seconds(network: nn.Module, x: Tensor) -> float:
    """Wall-clock seconds of one forward pass."""
    start = time.perf_counter()
    network(x)
    return time.perf_counter() - start


def gemm_rate(dtype: torch.dtype) -> float:
    """Multiply-accumulates a second of a large matrix product."""
    n = 2048
    a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
    a @ b
    times = []
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return float(n**3 / np.median(times))


def variants(name: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """The ways to run one network; all but bfloat16 agree to 1e-3 of the spread between images."""
    net = metanet.create(name, num_classes=0, seed=SEED, init=Init(layer_scale=0.1, zero_gamma=False)).eval()
    half = metanet.fuse(net, dtype=torch.bfloat16)
    return {
        "literal": literal(net),
        "eager": net,
        "fused": metanet.fuse(net),
        "fused, bfloat16": lambda x: half(x.bfloat16()),
    }


def measure(name: str, batch: int) -> list[dict[str, object]]:
    """One row a variant: images a second, ratio to the first one with its quartiles, share of the matmul rate."""
    ways, x = variants(name), torch.randn(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        outputs = {way: run(x).float() for way, run in ways.items()}
        spread = outputs["eager"].std(0).mean() if batch > 1 else outputs["eager"].std()
        took = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, run in ways.items():
                took[way].append(seconds(run, x))
    macs = metanet.cost(name, resolution=SIDE).macs * batch
    rates = {way: gemm_rate(torch.bfloat16 if "bfloat16" in way else torch.float32) for way in ways}
    base = np.array(took["literal"])
    return [
        {
            "network": name,
            "batch": batch,
            "way": way,
            "images": float(batch / np.median(times)),
            "ratio": [float(q) for q in np.quantile(base / np.array(times), (0.25, 0.5, 0.75))],
            "matmul": float(macs / np.median(times) / rates[way]),
            "error": float((outputs[way] - outputs["eager"]).abs().max() / spread),
        }
        for way, times in took.items()
    ]


def main() -> None:
    """Measures and stores."""
    torch.set_num_threads(2)
    rows = [row for name in ("MN-B4", "UniNet-B1") for batch in (8, 1) for row in measure(name, batch)]
    for row in rows:
        print({key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()})
    write_json(RESULTS / "forward.json", manifest({"seed": SEED, "rounds": ROUNDS, "side": SIDE}, rows=rows))


if __name__ == "__main__":
    main()
