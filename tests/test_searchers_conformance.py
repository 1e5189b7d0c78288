"""Native samplers under Optuna's own conformance tests, which it carries from version 4.8 on."""

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler, TPESampler
from test_searchers_table import TableSpace

from metanet.searchers.samplers import (
    AgingEvolution,
    LocalSearch,
    ParetoEvolution,
    PolicyGradient,
    PredictorGuided,
    RandomFeasible,
    RepeatFree,
)

pytest.importorskip("optuna.testing.pytest_samplers")
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

SPACE = TableSpace()
LIMIT = "macs <= 14"


MAKE: dict[str, Callable[[], BaseSampler]] = {
    "random": lambda: RandomFeasible(space=SPACE, constraints=LIMIT),
    "pareto": lambda: ParetoEvolution(space=SPACE, constraints=LIMIT, first=3),
    "predictor": lambda: PredictorGuided(space=SPACE, constraints=LIMIT, first=3),
    "repeat-free": lambda: RepeatFree(sampler=TPESampler(seed=0, n_startup_trials=3), space=SPACE, constraints=LIMIT),
    "evolution": lambda: AgingEvolution(space=SPACE, constraints=LIMIT, first=3),
    "local": lambda: LocalSearch(space=SPACE, constraints=LIMIT, first=3),
    "policy": lambda: PolicyGradient(space=SPACE, constraints=LIMIT, batch=3),
}
SEVERAL = ("random", "pareto", "predictor", "repeat-free")


# Of RelativeSamplerTestCase one test applies: the others hand over a table of their own, and a native sampler's is
# that of its space.
class TestOfAnyNumberOfObjectives(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    test_trial_relative_params = RelativeSamplerTestCase.test_trial_relative_params

    @pytest.fixture(params=SEVERAL)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return MAKE[request.param]


class TestOfOneObjective(BasicSamplerTestCase, SingleOnlySamplerTestCase):
    test_trial_relative_params = RelativeSamplerTestCase.test_trial_relative_params

    @pytest.fixture(params=[name for name in MAKE if name not in SEVERAL])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return MAKE[request.param]
