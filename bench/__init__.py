"""GV-B: frozen backbones scored by probes on percentages of a task's training images."""

from metanet.bench.adapters import Headless, headless, torchvision_backbone
from metanet.bench.baselines import Constant, RawPixels, default_baselines, random_twin, timm_backbone
from metanet.bench.cache import DiskCache
from metanet.bench.evaluate import ProbeEvaluator, evaluator
from metanet.bench.features import FeatureCache, extract
from metanet.bench.leakage import check_limits, check_names, compared, leaks, leave_out, without
from metanet.bench.packaged_weights import PACKAGED, packaged_backbone
from metanet.bench.prints import Prints, prints, read_known, read_prints, write_prints
from metanet.bench.probes import PROBES, LinearProbe, LogisticCv, LogisticProbe, Nearest, NearestProbe, RidgeLoo
from metanet.bench.score import score
from metanet.bench.suites import SUITES, load_suite
from metanet.bench.task import KINDS, Answers, Probe, Task, shown_at

__all__ = [
    "KINDS",
    "PACKAGED",
    "PROBES",
    "SUITES",
    "Answers",
    "Constant",
    "DiskCache",
    "FeatureCache",
    "Headless",
    "LinearProbe",
    "LogisticCv",
    "LogisticProbe",
    "Nearest",
    "NearestProbe",
    "Prints",
    "Probe",
    "ProbeEvaluator",
    "RawPixels",
    "RidgeLoo",
    "Task",
    "check_limits",
    "check_names",
    "compared",
    "default_baselines",
    "evaluator",
    "extract",
    "headless",
    "leaks",
    "leave_out",
    "load_suite",
    "packaged_backbone",
    "prints",
    "random_twin",
    "read_known",
    "read_prints",
    "score",
    "shown_at",
    "timm_backbone",
    "torchvision_backbone",
    "without",
    "write_prints",
]
