"""The search: samplers that propose, studies that remember, executors that evaluate."""

from metanet.searchers.coefficients import CoefficientGrid, Growth, coefficient_grid
from metanet.searchers.controls import Controls, controls
from metanet.searchers.evaluate import Evaluator
from metanet.searchers.executors import Executor, InProcess, LocalProcesses, Outcome, RayTasks
from metanet.searchers.family import FamilySearch, RungSearch, search_family
from metanet.searchers.kept import Tried
from metanet.searchers.looks import AsynchronousHalving
from metanet.searchers.result import Scored, SearchResult
from metanet.searchers.samplers import (
    SAMPLERS,
    AgingEvolution,
    LocalSearch,
    ParetoEvolution,
    PolicyGradient,
    PredictorGuided,
    RandomFeasible,
    RepeatFree,
)
from metanet.searchers.search import load_result, search
from metanet.searchers.space import SearchSpace
from metanet.searchers.table import ChoiceTable
from metanet.searchers.watch import LiveTable

__all__ = [
    "SAMPLERS",
    "AgingEvolution",
    "AsynchronousHalving",
    "ChoiceTable",
    "CoefficientGrid",
    "Controls",
    "Evaluator",
    "Executor",
    "FamilySearch",
    "Growth",
    "InProcess",
    "LiveTable",
    "LocalProcesses",
    "LocalSearch",
    "Outcome",
    "ParetoEvolution",
    "PolicyGradient",
    "PredictorGuided",
    "RandomFeasible",
    "RayTasks",
    "RepeatFree",
    "RungSearch",
    "Scored",
    "SearchResult",
    "SearchSpace",
    "Tried",
    "coefficient_grid",
    "controls",
    "load_result",
    "search",
    "search_family",
]
