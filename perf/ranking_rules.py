"""The rules of training that `perf/ranking.py` compares, in the library's terms."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metanet.search_spaces import TrainingConfig

WITHIN = "macs >= 1M, macs < 8M"  # what the bands hold together
PASSES = 2_400  # networks that a training runs, each on one batch: all rules but SHORTER have the same
# The rate and the two random networks a step were found on the half to choose by, too.
BASE = TrainingConfig(rules=("sandwich",), samples=2, lr=3e-3, constraints=WITHIN)
# Each of the library's rules beside the base, one at a time, then the two that gained most together.
COMBINED = (
    ("single-path",),
    ("single-path", "cost-band"),
    ("sandwich",),
    ("sandwich", "in-place-distillation"),
    ("sandwich", "alpha-divergence"),
    ("sandwich", "cost-band"),
    ("sandwich", "best-up"),
    ("sandwich", "worst-up"),
    ("sandwich", "gradient-projection"),
    ("sandwich", "best-up", "gradient-projection"),
)
RULES: dict[str, Mapping[str, Any]] = {"+".join(rules): {"rules": rules} for rules in COMBINED}
# Progressive shrinking begins with networks of full size, none of which is within the bands.
RULES["sandwich+progressive-shrinking, whole space"] = {
    "rules": ("sandwich", "progressive-shrinking"),
    "constraints": None,
}
# What a job can wait for, 1,500 passes.
SHORTER = {"sandwich+best-up, 250 steps": {"rules": ("sandwich", "best-up"), "steps": 250}}
RULES |= SHORTER


def training(rule: str, seed: int) -> TrainingConfig:
    """How a rule trains: for as many steps as PASSES allows, where it does not say for how many.

    Raises:
        SystemExit: the rule is unknown.
    """
    if rule not in RULES:
        raise SystemExit(f"unknown rule {rule!r}: known: {', '.join(RULES)}")
    config = replace(BASE, seed=seed, **RULES[rule])
    return config if "steps" in RULES[rule] else replace(config, steps=int(PASSES / networks_a_step(config)))


def networks_a_step(config: TrainingConfig) -> float:
    """How many networks an update runs forwards and backwards; a candidate that is only run forwards is a third."""
    drawn = 1 + (config.candidates / 3 if config.draw.pick else 0)
    return 2 + config.samples * drawn if "sandwich" in config.rules else drawn
