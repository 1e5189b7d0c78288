"""How good 120 networks of metanet-tiny are when each is trained alone: what scores of a supernet are compared with.

Forty are drawn uniformly in each of three bands of MACs, and trained on 5,000 images of Fashion-MNIST with two seeds by
the Expert stage; their accuracy is that on its 10,000 test images. Half of the networks of each band, by a hash of
their id, are there to choose by; the others are for the report.

Command: `python perf/truth.py --fashion-mnist FOLDER` (a minute or two a training, hours in all). It may be started
several times at once, and again after it was killed: each process takes the trainings that no other one has, and goes
on with those that were begun. Whatever is finished is in perf/results/truth.csv, with all settings in truth.json.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout

from metanet.bench import Task
from metanet.cli.phases import FRESH, Data
from metanet.data import Ids, fashion_mnist, ids_sha256, stratified_split
from metanet.metrics import METRICS
from metanet.model import MetaNet
from metanet.pretrain import ExpertClassification, ExpertConfig
from metanet.runs import atomic_write, fingerprint, manifest, open_run, replacing, write_json
from metanet.search_spaces import Space, load_space
from metanet.spec import ArchSpec

ROOT = Path(__file__).parents[1]
RUNS, RESULTS = ROOT / "runs" / "truth", ROOT / "perf" / "results"
SIDE = 28
# Octaves: the networks of 1 to 8 M MACs are the cheaper 64 % of the space, without the cheapest 0.06 %.
BANDS = ("macs >= 1M, macs < 2M", "macs >= 2M, macs < 4M", "macs >= 4M, macs < 8M")
EACH, SEEDS = 40, (0, 1)
HALVES = ("choose", "report")
IMAGES = {"weights": 5_000, "selection": 2_000}  # of the 60,000; the 10,000 are for the test
DRAWN, SPLIT = 1, 0  # seeds of the architectures and of the images
TRAINING = ExpertConfig(epochs=6, batch_size=32, peak_rate=2e-3, shift=1, device="cpu")


@dataclass(frozen=True)
class Drawn:
    """A network of the comparison.

    band   position in BANDS
    half   one of HALVES
    """

    band: int
    half: str
    spec: ArchSpec


@cache
def space() -> Space:
    """The space, at the images' own size."""
    return load_space("metanet-tiny").freeze(resolution=SIDE)


@cache
def networks() -> tuple[Drawn, ...]:
    """The networks, bands in turn, so that each beginning of the list has all bands."""
    return drawn_from(space(), BANDS, EACH)


def drawn_from(space: Space, bands: Sequence[str], each: int) -> tuple[Drawn, ...]:
    """So many different networks of each band, drawn uniformly, half of them to choose by, bands in turn.

    Raises:
        ValueError: a band has too few networks.
    """
    drawn = []
    for i, rules in enumerate(bands):
        different = list(dict.fromkeys(space.sample(2 * each, rules, seed=[DRAWN, i])))[:each]
        by_hash = sorted(different, key=lambda spec: hashlib.sha256(f"half {spec.id}".encode()).hexdigest())
        chosen = set(by_hash[: each // 2])
        drawn.append([Drawn(i, HALVES[spec not in chosen], spec) for spec in different])
    if short := [rules for rules, own in zip(bands, drawn, strict=True) if len(own) < each]:
        raise ValueError(f"each band needs {each} different networks, got fewer with {short[0]}: draw more")
    return tuple(one for row in zip(*drawn, strict=True) for one in row)


def data(folder: str | None = None) -> Data:
    """Fashion-MNIST in three parts: its test images, and of its training images some for weights, some to select by."""
    found = fashion_mnist(folder)
    labels, total = found.images.labels[found.train], len(found.train)
    shares = {name: count / total for name, count in IMAGES.items()}
    drawn = stratified_split(labels, {**shares, "unused": 1 - sum(shares.values())}, seed=SPLIT)
    parts = {**{name: found.train[drawn[name]] for name in IMAGES}, "test": found.test}
    name = found.images.name
    task = Task(name, "classification", "accuracy", found.images, parts["selection"], parts["test"], SIDE)
    return Data(found.images, parts, task)


def settings(own: Data) -> dict[str, Any]:
    """All that a row depends on besides its architecture and its seed."""
    return {
        "space": {"name": space().name, "sha256": space().fingerprint},
        "bands": BANDS,
        "images": {"name": own.images.name, "sha256": own.images.fingerprint},
        "parts": {name: {"images": len(ids), "sha256": ids_sha256(ids)} for name, ids in own.parts.items()},
        "init": asdict(FRESH),
        "training": {name: value for name, value in asdict(TRAINING).items() if name != "seed"},
    }


def trained(drawn: Drawn, seed: int, own: Data, folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """A row of the truth, and which test images are right, (n,) of booleans. Goes on where it was killed."""
    began = time.process_time()
    net = MetaNet(drawn.spec, init=FRESH, seed=seed)
    config = ExpertConfig(**{**asdict(TRAINING), "seed": seed})
    ExpertClassification().run(net, {own.task.name: own.weights}, config, folder)
    logits, labels = answers(net, own.images, own.parts["test"]), torch.from_numpy(own.images.labels[own.parts["test"]])
    predicted = logits.argmax(1).numpy()
    right = predicted == labels.numpy()
    price = space().price(drawn.spec)
    row = {
        "band": drawn.band,
        "half": drawn.half,
        "id": drawn.spec.id,
        "seed": seed,
        "params": price["params"],
        "macs": price["macs"],
        "accuracy": METRICS["accuracy"].value(predicted, labels.numpy()),
        "correct": int(right.sum()),
        "cross_entropy": round(float(torch.nn.functional.cross_entropy(logits, labels)), 6),
        "seconds": round(time.process_time() - began, 1),
        "settings": fingerprint(settings(own)),
        "spec": drawn.spec.to_text(),
    }
    return row, right


@torch.no_grad()
def answers(net: MetaNet, images: Any, ids: Ids) -> torch.Tensor:
    """A network's logits of images, (n, classes)."""
    net.eval()
    return torch.cat([net(images.batch(ids[i : i + 250], SIDE)) for i in range(0, len(ids), 250)])


def work(own: Data, runs: Path, results: Path) -> None:
    """Trains what nobody has trained or is training, first all networks with the first seed. What is stored is trained,
    wherever that was."""
    home = open_run(runs / fingerprint(settings(own)))
    known = {(row["id"], row["seed"]) for row in stored(results, home.name)}
    for seed in SEEDS:
        for drawn in networks():
            name = f"{drawn.spec.id}-{seed}"
            with alone(home / f"{name}.lock") as mine:
                if not mine or (drawn.spec.id, seed) in known or (home / f"{name}.json").exists():
                    continue
                row, right = trained(drawn, seed, own, home / name)
                with replacing(home / f"{name}.npy") as file:
                    np.save(file, np.packbits(right))
                write_json(home / f"{name}.json", row)
                (home / name / "checkpoint.pt").unlink(missing_ok=True)
            print(f"{time.strftime('%H:%M:%S')} {len(list(home.glob('*.json')))}: {row}", flush=True)
            collect(own, runs, results)


@contextmanager
def alone(lock: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether no other process has the lock; it is held within the block, and let go by a kill.

    wait   until none has
    """
    try:
        with FileLock(lock, timeout=-1 if wait else 0):
            yield True
    except Timeout:
        yield False


def collect(own: Data, runs: Path, results: Path) -> pd.DataFrame:
    """Stores the rows that there are, in the order of the networks, with all settings beside them."""
    home, order = runs / fingerprint(settings(own)), {one.spec.id: i for i, one in enumerate(networks())}
    with FileLock(home / "collect.lock"):
        own_rows = [json.loads(path.read_text()) for path in home.glob("*.json")]
        rows = {(row["id"], row["seed"]): row for row in [*stored(results, home.name), *own_rows]}.values()
        table = pd.DataFrame(sorted(rows, key=lambda row: (row["seed"], order[row["id"]])))
        atomic_write(results / "truth.csv", table.to_csv(index=False))
        write_json(results / "truth.json", manifest(settings(own), digest=home.name, seeds=SEEDS, rows=len(table)))
    return table


def stored(results: Path, digest: str) -> list[dict[str, Any]]:
    """The rows of these settings that truth.csv holds."""
    path = results / "truth.csv"
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    return [row for row in rows if row["settings"] == digest]


def main() -> None:
    """Trains and stores, or only stores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fashion-mnist", metavar="FOLDER", help="of the images (default: see fashion_mnist)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="of the trainings (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="of truth.csv (default: %(default)s)")
    parser.add_argument("--collect", action="store_true", help="only store what is trained")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    own = data(chosen.fashion_mnist)
    (collect if chosen.collect else work)(own, chosen.runs, chosen.results)


if __name__ == "__main__":
    main()
