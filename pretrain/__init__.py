"""Stage trainers: each turns weights into better weights."""

from metanet.pretrain.expert import ExpertClassification, ExpertConfig
from metanet.pretrain.stage import Stage, StageResult

STAGES: dict[str, type[Stage]] = {"expert": ExpertClassification}

__all__ = ["STAGES", "ExpertClassification", "ExpertConfig", "Stage", "StageResult"]
