"""What limits a fused MN-B4 on a CPU: each operator call alone, again and again, against the whole network.

Called again and again an operator finds its weights and its input in the caches, and memory for its output at hand; the
sum over all calls is what the kernels can do. What the network takes beyond it is memory traffic and call overhead.
Beside it: multiply-accumulates at the rate of a large matrix product. Writes perf/results/limits.json; about a minute.
Command: `python perf/limits.py`.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import metanet
from metanet import Init
from metanet.runs import manifest, write_json

RESULTS = Path(__file__).parent / "results" / "limits.json"
SEED, SIDE, THREADS, PRODUCT, ROUNDS = 0, 224, 2, 2048, 9
KINDS = {
    "mkldnn._linear_pointwise": "linear layers and 1x1 convolutions, with GELU or addition",
    "mkldnn._convolution_pointwise": "other convolutions, with GELU or addition",
    "aten._scaled_dot_product": "attention",
    "aten.native_layer_norm": "LayerNorm",
    "aten.max_pool2d": "pooling",
}
OTHER = "squeeze-and-excitation, the rest"


class Recorder(TorchDispatchMode):
    """Keeps one call of each operator and shapes, and how often each comes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[tuple[str, ...], tuple[Any, Any, Any]] = {}
        self.count: Counter[tuple[str, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        if tensors and not torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            shapes = tuple(str(tuple(a.shape)) if isinstance(a, torch.Tensor) else str(a) for a in args)
            self.calls.setdefault((str(func), *shapes), (func, args, kwargs or {}))
            self.count[(str(func), *shapes)] += 1
        return out


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Median seconds of one call."""
    work()
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            work()
        took.append((time.perf_counter() - start) / times)
    return float(np.median(took))


def measure(batch: int) -> dict[str, Any]:
    """Seconds of the kernels by kind, of the network, and of as many multiply-accumulates in a matrix product."""
    options: dict[str, Any] = {"num_classes": 0, "seed": SEED, "init": Init(layer_scale=0.1, zero_gamma=False)}
    fused = metanet.fuse(metanet.create("MN-B4", **options).eval())
    x, recorder = torch.randn(batch, 3, SIDE, SIDE), Recorder()
    fused(x)
    with recorder:
        fused(x)
    kinds: Counter[str] = Counter()
    for key, (func, args, kwargs) in recorder.calls.items():
        own = [a.clone() if isinstance(a, torch.Tensor) and not a.is_mkldnn else a for a in args]
        took = recorder.count[key] * seconds(lambda f=func, a=own, k=kwargs: f(*a, **k), 5)  # type: ignore[misc]
        kinds[next((text for start, text in KINDS.items() if key[0].startswith(start)), OTHER)] += took
    tiny, weight = torch.randn(64, 32), torch.randn(32, 32)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, 64)
    a = torch.randn(PRODUCT, PRODUCT)
    rate = PRODUCT**3 / seconds(lambda: a @ a)
    row = {"batch": batch, "whole": seconds(lambda: fused(x)), "kernels": dict(kinds), "calls": recorder.count.total()}
    row["call"] = seconds(lambda: torch.ops.mkldnn._linear_pointwise(tiny, packed, None, "none", [], ""), 100)
    return row | {"product": batch * metanet.cost("MN-B4", resolution=SIDE).macs / rate, "rate": rate}


def main() -> None:
    """Measures and stores."""
    torch.set_num_threads(THREADS)
    with torch.no_grad():
        rows = [measure(batch) for batch in (8, 1)]
    for row in rows:
        print(row)
    write_json(RESULTS, manifest({"seed": SEED, "side": SIDE, "threads": THREADS}, rows=rows))


if __name__ == "__main__":
    main()
