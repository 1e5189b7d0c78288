"""Native samplers under Optuna's own conformance tests, which it carries from version 4.8 on."""

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from test_searchers_table import TableSpace

from metanet.searchers.samplers import AgingEvolution, RandomFeasible

pytest.importorskip("optuna.testing.pytest_samplers")
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

SPACE = TableSpace()
LIMIT = "macs <= 14"


# Of RelativeSamplerTestCase one test applies: the others hand over a table of their own, and a native sampler's is
# that of its space.
class TestRandomFeasible(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    test_trial_relative_params = RelativeSamplerTestCase.test_trial_relative_params

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: RandomFeasible(space=SPACE, constraints=LIMIT)


class TestAgingEvolution(BasicSamplerTestCase, SingleOnlySamplerTestCase):
    test_trial_relative_params = RelativeSamplerTestCase.test_trial_relative_params

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: AgingEvolution(space=SPACE, constraints=LIMIT, population=3)
