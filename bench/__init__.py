"""GV-B: frozen backbones scored by probes on percentages of a task's training images."""

from metanet.bench.baselines import Constant, RawPixels, default_baselines, random_twin, timm_backbone
from metanet.bench.cache import DiskCache
from metanet.bench.evaluate import ProbeEvaluator, evaluator
from metanet.bench.features import FeatureCache, extract
from metanet.bench.packaged_weights import PACKAGED, packaged_backbone
from metanet.bench.probes import PROBES, LinearProbe, RidgeLoo
from metanet.bench.score import score
from metanet.bench.task import KINDS, Answers, Probe, Task, shown_at

__all__ = [
    "KINDS",
    "PACKAGED",
    "PROBES",
    "Answers",
    "Constant",
    "DiskCache",
    "FeatureCache",
    "LinearProbe",
    "Probe",
    "ProbeEvaluator",
    "RawPixels",
    "RidgeLoo",
    "Task",
    "default_baselines",
    "evaluator",
    "extract",
    "packaged_backbone",
    "random_twin",
    "score",
    "shown_at",
    "timm_backbone",
]
