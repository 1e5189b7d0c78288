"""How well latency adds up: a table for metanet-tiny at 28 pixels, and its error on networks measured whole.

All parts that its 2,002,422,624 networks are made of, on one thread, eager and fused. Writes perf/results/latency.json;
minutes on two cores. Command: `python perf/latency.py`.
"""

import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from metanet.runs import manifest, write_json
from metanet.search_spaces import LatencySetting, build_latency, load_space
from metanet.search_spaces.latency.build import processor

RESULTS = Path(__file__).parent / "results"
RESOLUTION, ROUNDS, NETWORKS, SEED = 28, 61, 50, 0


def row(fused: bool) -> dict[str, object]:
    """What one table is of, and its error."""
    space = load_space("metanet-tiny").freeze(resolution=RESOLUTION)
    setting = LatencySetting(fused=fused, rounds=ROUNDS)
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        table = build_latency(space, Path(folder) / "table.json", setting=setting, networks=NETWORKS, seed=SEED)
    assert table.error is not None
    low, high = space.timed(table).table.extremes("latency")
    return {
        "networks are": "fused" if fused else "eager",
        "parts": len(table.parts),
        "architectures": space.size,
        "seconds": round(time.monotonic() - start, 1),
        "fastest": low,
        "slowest": high,
        "factor": table.factor,
        "error": asdict(table.error),
    }


def main() -> None:
    """Measures and stores."""
    torch.set_num_threads(1)
    options = {"space": "metanet-tiny", "threads": 1, "batch": 1, "dtype": "float32", "processor": processor()}
    options |= {"resolution": RESOLUTION, "rounds": ROUNDS, "networks": NETWORKS, "seed": SEED}
    rows = [row(fused) for fused in (False, True)]
    write_json(RESULTS / "latency.json", manifest(options, rows=rows))


if __name__ == "__main__":
    main()
