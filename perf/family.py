"""How well the families' rule gives published networks, what its members cost to create, and others' costs beside them.

Retrodiction: `perf/retrodiction.py`. Creation: the fastest of three fresh processes each. Each piece is stored when it
is done, and a later run goes on from there; `python perf/family.py creation` measures anew what is named.
Writes perf/results/family.json and docs/img/family.png; ten minutes on one core. Command: `python perf/family.py`.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import timm
import torch
from retrodiction import DRAWN, SEED, cases
from torch.utils.flop_counter import FlopCounterMode

import metanet
from metanet.factory import MODELS
from metanet.report import ladder
from metanet.runs import manifest, track, write_json
from metanet.search_spaces.family import metanet_family
from metanet.search_spaces.family.family import VERSION
from metanet.search_spaces.family.members import CLASSES, POINTS
from metanet.search_spaces.family.rungs import TOLERANCE

ROOT = Path(__file__).parents[1]
RESULTS, PLOT = ROOT / "perf" / "results" / "family.json", ROOT / "docs" / "img" / "family.png"
TRIES = 3
REFERENCES = {
    "ResNet": {layers: f"resnet{layers}" for layers in ("18", "34", "50", "101", "152")},
    "ViT/16": {size[0].upper(): f"vit_{size}_patch16_224" for size in ("tiny", "small", "base", "large")},
    "EfficientNet": {f"B{i}": f"tf_efficientnet_b{i}" for i in range(8)},
    "CoAtNet": {str(i): f"coatnet_{i}_224" for i in range(5)},
}


def peak() -> int:
    """Bytes that this process had resident at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def once(name: str, device: str) -> dict[str, float]:
    """What `metanet.create` takes in this process."""
    before, clock, processor = peak(), time.perf_counter(), time.process_time()
    net = metanet.create(name, device=device)
    took = {"seconds": time.perf_counter() - clock, "processor": time.process_time() - processor}
    return {**took, "bytes": peak() - before, "numbers": sum(p.numel() for p in net.parameters())}


def created(name: str) -> dict[str, Any]:
    """What `metanet.create` takes, by device, in the fastest of TRIES.

    seconds     on the clock, which also counts the time of other programs
    processor   seconds of processor time
    bytes       peak of resident memory above that of the import
    numbers     parameters
    """
    row: dict[str, Any] = {"network": name}
    for device in ("cpu", "meta"):
        tries = []
        for _ in range(TRIES):
            with get_context("fork").Pool(1) as fresh:  # a process that has imported everything and made nothing
                tries.append(fresh.apply(once, (name, device)))
        row[device] = min(tries, key=lambda one: one["processor"])
    return row


def counted(family: str, short: str, name: str) -> dict[str, Any]:
    """Parameters and MACs of one of timm's networks, with 1,000 classes at its own resolution, by torch."""
    with torch.device("meta"):
        net = timm.create_model(name, num_classes=CLASSES).eval()
    cfg: Any = timm.get_pretrained_cfg(name)
    side = cfg.input_size[-1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.empty(1, 3, side, side, device="meta"))
    params, macs = sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2
    return {"family": family, "short": short, "timm": name, "resolution": side, "params": params, "macs": macs}


def pieces() -> dict[str, dict[str, Callable[[], Any]]]:
    """All that is measured: part -> key -> work."""
    lines = [(family, short, name) for family, own in REFERENCES.items() for short, name in own.items()]
    return {
        "retrodiction": dict(cases()),
        "creation": {name: lambda name=name: created(name) for name in MODELS},  # type: ignore[misc]
        "references": {line[-1]: lambda line=line: counted(*line) for line in lines},  # type: ignore[misc]
    }


def draw(stored: Mapping[str, Any]) -> None:
    """The plot of the ladder."""
    family = metanet_family()
    members = {name: metanet.cost(name, num_classes=CLASSES) for name in metanet.list_models("MN-*")}
    references: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in REFERENCES}
    for row in stored["references"].values():
        references[row["family"]][row["short"]] = row["params"], row["macs"]
    asked = [*POINTS.values(), *((target.params, target.macs or 0.0) for target in family.ladder.values())]
    plot = ladder(
        {name: (cost.params, cost.macs) for name, cost in members.items()},
        anchors=list(family.anchors),
        targets=asked,
        references=references,
        title="MN",
        label="MACs of one image; MN at 224 pixels, the others at their own",
    )
    print(plot.save_png(PLOT))


def main() -> None:
    """Measures what is not stored, stores each piece, and draws."""
    torch.set_num_threads(1)  # processes cannot be forked behind threads
    versions = {"timm": timm.__version__, "torch": torch.__version__}
    options = {"rule": VERSION, "seed": SEED, "drawn": DRAWN, "tolerance": TOLERANCE, "tries": TRIES} | versions
    parts = pieces()
    if unknown := set(sys.argv[1:]) - set(parts):
        raise SystemExit(f"parts are {', '.join(parts)}, got {', '.join(unknown)}")
    old = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept = old if old.get("options") == options else {}
    stored = {part: {} if part in sys.argv else dict(kept.get(part, {})) for part in parts}
    missing = [(part, key) for part, own in parts.items() for key in own if key not in stored[part]]
    for part, key in track(missing, "family"):
        stored[part][key] = parts[part][key]()
        write_json(RESULTS, manifest(options, **stored))
    draw(stored)


if __name__ == "__main__":
    main()
