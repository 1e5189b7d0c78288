"""What proposes. Native samplers propose feasible, canonical architectures that were never proposed before."""

from metanet.searchers.history import Exhausted
from metanet.searchers.samplers.aging_evolution import AgingEvolution
from metanet.searchers.samplers.local_search import LocalSearch
from metanet.searchers.samplers.native import NativeSampler
from metanet.searchers.samplers.pareto_evolution import ParetoEvolution
from metanet.searchers.samplers.policy_gradient import PolicyGradient
from metanet.searchers.samplers.predictor_guided import PredictorGuided
from metanet.searchers.samplers.random_feasible import RandomFeasible
from metanet.searchers.samplers.repeat_free import RepeatFree

SAMPLERS: dict[str, type[NativeSampler]] = {
    "evolution": AgingEvolution,
    "local": LocalSearch,
    "pareto": ParetoEvolution,
    "policy": PolicyGradient,
    "predictor": PredictorGuided,
    "random": RandomFeasible,
}

__all__ = [
    "SAMPLERS",
    "AgingEvolution",
    "Exhausted",
    "LocalSearch",
    "NativeSampler",
    "ParetoEvolution",
    "PolicyGradient",
    "PredictorGuided",
    "RandomFeasible",
    "RepeatFree",
]
