"""What bfloat16 costs in accuracy: trained networks, frozen, run in four ways and scored by the linear probe.

A network of convolutions, one of attention and one of both, from `metanet-tiny` at 28 px, are trained with three seeds
each as the main job retrains its winners: 2,500 digits of MNIST-5k. The probe learns from the features of 1,000 other
digits and is tested on 1,500 more, both in the same way of running. Differences are those to the eager network in
float32, paired by network and image. Nothing is timed, so that other programs do not matter. Writes
perf/results/precision.json. Command: `python perf/precision.py` (3 minutes on one core).
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import metanet
from metanet import ArchSpec, MetaNet
from metanet.bench import FeatureCache, LinearProbe, Task
from metanet.cli.job import JobOptions, Setting, prepare
from metanet.cli.phases import FRESH
from metanet.model import Backbone
from metanet.pretrain import ExpertClassification, ExpertConfig
from metanet.runs import manifest, write_json
from metanet.stats import paired_bootstrap, seeds_interval

RESULTS = Path(__file__).parent / "results" / "precision.json"
JOB, SEEDS, HALF = JobOptions(), (0, 1, 2), torch.bfloat16
COSTS = "macs in [1.5M, 2.5M], params <= 300k"
FAMILIES = {  # the operator of each stage
    "convolution": ("fused_mbconv", "mbconv", "mbconv", "mbconv"),
    "attention": ("channel_attention", "channel_attention", "self_attention", "self_attention"),
    "both": ("fused_mbconv", "mbconv", "channel_attention", "self_attention"),
}

Terms = npt.NDArray[np.float64]
Seen = dict[str, tuple[Terms, npt.NDArray[np.float32]]]  # by way: what each test image counts, and its features


class Autocast(nn.Module):
    """A backbone under torch.autocast to bfloat16."""

    def __init__(self, net: MetaNet) -> None:
        super().__init__()
        self.net, self.spec, self.feature_info = net, net.spec, net.feature_info

    def forward_features(self, x: Tensor) -> Tensor:
        """As the network's."""
        with torch.autocast(x.device.type, HALF):
            return self.net.forward_features(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """As the network's."""
        with torch.autocast(x.device.type, HALF):
            return self.net.forward_head(x, pre_logits)


def ways(net: MetaNet) -> dict[str, Backbone]:
    """The ways to run a network; the first one is what differences refer to."""
    fused, half = metanet.fuse(net), metanet.fuse(net, dtype=HALF)
    return {"eager": net, "fused": fused, "eager, autocast to bfloat16": Autocast(net), "fused, bfloat16": half}


def architectures(setting: Setting) -> dict[str, ArchSpec]:
    """One of each family, drawn from the space."""
    drawn = {}
    for name, ops in FAMILIES.items():
        family = setting.space.freeze(**{f"stage{i}.op": op for i, op in enumerate(ops)})
        drawn[name] = family.sample(1, COSTS, seed=JOB.seed)[0]
    return drawn


def trained(spec: ArchSpec, setting: Setting, seed: int) -> MetaNet:
    """A network after the Expert stage, in eval mode."""
    net = MetaNet(spec, init=FRESH, seed=seed)
    sources = {JOB.data: setting.data.weights}
    with TemporaryDirectory() as folder:
        ExpertClassification().run(net, sources, ExpertConfig(epochs=JOB.epochs, seed=seed, device="cpu"), Path(folder))
    return net


def seen(net: MetaNet, task: Task) -> Seen:
    """What the probe makes of each test image, and from what."""
    found = {}
    for way, backbone in ways(net).items():
        extract = FeatureCache()
        terms = LinearProbe(extract=extract).terms(backbone, task, task.train)
        found[way] = terms, extract(backbone, task.images, task.test, net.spec.resolution)
    return found


def row(network: str, way: str, runs: list[Seen]) -> dict[str, Any]:
    """The accuracy of several trained networks run in this way, and what differs from the first way.

    difference   of accuracy; `images` and `networks` are its 95 % intervals over test images and over trained networks
    changed      share of all answers that count otherwise: right for wrong or wrong for right
    error        of a feature, its root mean square and the largest one, over the root mean square of the features'
                 deviations from their means over images; of the worst network
    """
    first = next(iter(runs[0]))
    ours, theirs = (np.stack([run[key][0] for run in runs]) for key in (way, first))  # (networks, images)
    images = paired_bootstrap(ours.mean(axis=0), theirs.mean(axis=0))
    networks = seeds_interval((ours - theirs).mean(axis=1))
    errors = []
    for run in runs:
        exact = run[first][1].astype(np.float64)
        spread, apart = np.sqrt(exact.var(axis=0).mean()), np.abs(run[way][1] - exact)
        errors.append((float(np.sqrt((apart**2).mean()) / spread), float(apart.max() / spread)))
    return {
        "network": network,
        "way": way,
        "accuracy": float(ours.mean()),
        "difference": images.mean,
        "images": [images.low, images.high],
        "networks": [networks.low, networks.high],
        "changed": float((ours != theirs).mean()),
        "error": [max(column) for column in zip(*errors, strict=True)],
    }


def main() -> None:
    """Trains, scores and stores."""
    torch.set_num_threads(1)
    setting, runs = prepare(JOB), dict[str, list[Seen]]()
    drawn = architectures(setting)
    for name, spec in drawn.items():
        runs[name] = [seen(trained(spec, setting, seed), setting.data.task) for seed in SEEDS]
    runs["all three"] = [run for own in runs.values() for run in own]
    rows = [row(name, way, own) for name, own in runs.items() for way in own[0]]
    counts = {name: len(ids) for name, ids in setting.data.parts.items()}
    specs = {name: spec.to_dict() for name, spec in drawn.items()}
    write_json(RESULTS, manifest({"seeds": SEEDS, "epochs": JOB.epochs, "images": counts}, networks=specs, rows=rows))


if __name__ == "__main__":
    main()
