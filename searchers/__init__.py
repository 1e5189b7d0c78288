"""The search: samplers that propose, studies that remember, executors that evaluate."""

from metanet.searchers.controls import Controls, controls
from metanet.searchers.evaluate import Evaluator
from metanet.searchers.executor import Executor, InProcess, Outcome
from metanet.searchers.result import Scored, SearchResult
from metanet.searchers.samplers import SAMPLERS, AgingEvolution, RandomFeasible
from metanet.searchers.search import load_result, search
from metanet.searchers.space import SearchSpace

__all__ = [
    "SAMPLERS",
    "AgingEvolution",
    "Controls",
    "Evaluator",
    "Executor",
    "InProcess",
    "Outcome",
    "RandomFeasible",
    "Scored",
    "SearchResult",
    "SearchSpace",
    "controls",
    "load_result",
    "search",
]
