"""What proposes. Native samplers propose feasible, canonical architectures that were never proposed before."""

from metanet.searchers.samplers.aging_evolution import AgingEvolution
from metanet.searchers.samplers.native import Exhausted, NativeSampler
from metanet.searchers.samplers.random_feasible import RandomFeasible

SAMPLERS: dict[str, type[NativeSampler]] = {
    "evolution": AgingEvolution,
    "random": RandomFeasible,
}

__all__ = ["SAMPLERS", "AgingEvolution", "Exhausted", "NativeSampler", "RandomFeasible"]
