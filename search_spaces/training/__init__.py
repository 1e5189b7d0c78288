"""Training of a supernet by rules that are chosen by name."""

from metanet.search_spaces.training.config import TrainingConfig
from metanet.search_spaces.training.loop import train_supernet
from metanet.search_spaces.training.parts import PARTS, Rule
from metanet.search_spaces.training.report import training_report
from metanet.search_spaces.training.rules import RULES

__all__ = ["PARTS", "RULES", "Rule", "TrainingConfig", "train_supernet", "training_report"]
