"""What the basics cost, as ratios of two things run in turn: importing, building, pricing, running in the supernet.

Writes perf/results/basics.json; about a minute on two cores. Command: `python perf/basics.py`.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import metanet
from metanet.runs import manifest, write_json
from metanet.search_spaces import Supernet, load_space

RESULTS = Path(__file__).parent / "results"
SEED = 0


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(rounds: int, **works: Callable[[], object]) -> dict[str, float]:
    """The median seconds of each work, one after the other in each round."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            took[name].append(seconds(work))
    return {name: float(np.median(values)) for name, values in took.items()}


def imports() -> float:
    """Seconds of `import metanet` over seconds of `import torch`, each in a fresh process."""

    def fresh(module: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    took = in_turns(5, torch=fresh("torch"), metanet=fresh("metanet"))
    return took["metanet"] / took["torch"]


def pricing() -> float:
    """Architectures a second by the table over architectures a second by `metanet.cost`, on the same ones."""
    space = load_space("metanet-tiny")
    rows = space.sampler().draw(20_000, np.random.default_rng(SEED))
    specs = [space.decode(row) for row in rows[:500]]
    space.table(rows)
    took = in_turns(5, table=lambda: space.table(rows), single=lambda: [metanet.cost(spec) for spec in specs])
    return (took["single"] / len(specs)) / (took["table"] / len(rows))


def sharing() -> float:
    """Seconds of `supernet(x, spec, stats)` over those of the extracted network, 28 px, batch 128: median of 10."""
    space = load_space("metanet-tiny").freeze(resolution=28)
    supernet, ratios = Supernet(space), []
    x = torch.randn(128, 3, 28, 28).contiguous(memory_format=torch.channels_last)
    for spec in space.sample(10, "macs in [2M, 5M]", seed=SEED):
        stats = supernet.calibrate(spec, [x])
        net = supernet.extract(spec, stats)
        with torch.no_grad():
            took = in_turns(5, shared=lambda s=spec, t=stats: supernet(x, s, t), own=lambda n=net: n(x))  # type: ignore[misc]
        ratios.append(took["shared"] / took["own"])
    return float(np.median(ratios))


def main() -> None:
    """Measures and stores."""
    meta = min(seconds(lambda: metanet.create("MN-B15", device="meta")) for _ in range(3))
    rows = [
        {"what": "`import metanet` over `import torch`, seconds", "value": imports(), "unit": "x"},
        {"what": "`metanet.create('MN-B15', device='meta')`", "value": meta, "unit": "s"},
        {"what": "pricing by table over `metanet.cost`, architectures a second", "value": pricing(), "unit": "x"},
        {"what": "`supernet(x, spec, stats)` over the extracted network, seconds", "value": sharing(), "unit": "x"},
    ]
    write_json(RESULTS / "basics.json", manifest({"seed": SEED}, rows=rows))


if __name__ == "__main__":
    main()
