"""GV-B: frozen backbones scored by probes on percentages of a task's training images."""

from metanet.bench.baselines import Constant, RawPixels, default_baselines, random_twin, timm_backbone
from metanet.bench.evaluate import ProbeEvaluator, evaluator
from metanet.bench.features import FeatureCache, extract
from metanet.bench.probes import PROBES, LinearProbe, LogisticCv, LogisticProbe, Nearest, NearestProbe, RidgeLoo
from metanet.bench.score import score
from metanet.bench.task import KINDS, Answers, Probe, Task, shown_at

__all__ = [
    "KINDS",
    "PROBES",
    "Answers",
    "Constant",
    "FeatureCache",
    "LinearProbe",
    "LogisticCv",
    "LogisticProbe",
    "Nearest",
    "NearestProbe",
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
    "shown_at",
    "timm_backbone",
]
