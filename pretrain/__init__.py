"""Stage trainers: each turns weights into better weights."""

from metanet.pretrain.expert import ExpertClassification, ExpertConfig
from metanet.pretrain.stage import Labelled, Stage, StageResult

STAGES: dict[str, Stage] = {"expert": ExpertClassification()}

__all__ = ["STAGES", "ExpertClassification", "ExpertConfig", "Labelled", "Stage", "StageResult"]
