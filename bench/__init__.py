"""GV-B: frozen backbones scored by probes on percentages of a task's training images."""

from metanet.bench.baselines import Constant, RawPixels, default_baselines, random_twin, timm_backbone
from metanet.bench.cache import DiskCache
from metanet.bench.evaluate import ProbeEvaluator, evaluator
from metanet.bench.features import FeatureCache, extract
from metanet.bench.linear import PROBES, LinearProbe
from metanet.bench.ridge import RidgeLoo
from metanet.bench.score import score
from metanet.bench.task import Probe, Task

__all__ = [
    "PROBES",
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
    "random_twin",
    "score",
    "timm_backbone",
]
