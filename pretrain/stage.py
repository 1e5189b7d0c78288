"""What a training stage is: it takes a network with weights and images with labels, and leaves better weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from metanet.data import Labelled

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StageResult:
    """What a stage leaves behind.

    weights  a .safetensors file
    history  one row a step
    """

    weights: Path
    history: "pd.DataFrame"


class Stage(Protocol):
    """One way to train; each stage is a file of its own, with a frozen dataclass of its options."""

    def run(self, backbone: nn.Module, sources: Mapping[str, Labelled], config: Any, out: Path) -> StageResult:
        """Trains `backbone` in place on `sources` (by task) and writes into `out`; goes on where it was killed."""
