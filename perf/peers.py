"""pymoo's NSGA-II as a sampler of Optuna's, so that it runs through the same code as all others.

J. Blank and K. Deb, "pymoo: Multi-Objective Optimization in Python", IEEE Access 8, 2020 (pymoo is under Apache 2.0).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metanet.searchers import ChoiceTable
from metanet.searchers.samplers import Exhausted

POPULATION = 20  # as Optuna's NSGA-II has here


class PymooNSGA2(BaseSampler):
    """Positions of choices as whole numbers, with pymoo's operators for these (simulated binary crossover and
    polynomial mutation, rounded), no doubles within a population, and the limit as a constraint of pymoo's own."""

    def __init__(self, table: ChoiceTable, limit: str | None, seed: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        self.table, self.limit, self.seed = table, limit, seed
        whole: dict[str, Any] = {"vtype": float, "repair": RoundingRepair()}
        self.algorithm: Any = NSGA2(
            pop_size=POPULATION,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=15, **whole),
            mutation=PM(eta=20, **whole),
            eliminate_duplicates=True,
        )
        self.asked: Any = None
        self.values: list[Sequence[float]] = []

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every gene."""
        return dict(self.table.distributions())

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next of the generation; a new generation where all were told."""
        if self.asked is None:
            self._next(len(study.directions))
        row = self.asked[len(self.values)].X.astype(int)
        return {gene.name: gene.choices[i] for gene, i in zip(self.table.genes, row, strict=True)}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A table has no other parameters."""
        raise ValueError(f"{param_name!r} is no gene of {self.table.name!r}")

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Keeps the result; tells the algorithm when its generation is complete."""
        assert values is not None
        signs = [-1 if direction is StudyDirection.MAXIMIZE else 1 for direction in study.directions]
        self.values.append([sign * value for sign, value in zip(signs, values, strict=True)])
        if len(self.values) < len(self.asked):
            return
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        found: dict[str, Any] = {"F": np.array(self.values)}
        if self.limit is not None:
            rows = [self.table.decode(one.X.astype(int)) for one in self.asked]
            found["G"] = np.array([[0.0 if self.table.feasible(row, self.limit) else 1.0] for row in rows])
        Evaluator().eval(StaticProblem(self.algorithm.problem, **found), self.asked)
        self.algorithm.tell(infills=self.asked)
        self.asked, self.values = None, []

    def _next(self, objectives: int) -> None:
        """Asks for a generation; sets the algorithm up at the first time. Raises Exhausted where there is none."""
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination

        if self.algorithm.problem is None:
            highest = [count - 1 for count in self.table.counts]
            rules = int(self.limit is not None)
            problem = Problem(len(highest), objectives, n_ieq_constr=rules, xl=0, xu=np.array(highest), vtype=int)
            self.algorithm.setup(problem, termination=NoTermination(), seed=self.seed, verbose=False)
        self.asked = self.algorithm.ask()
        if self.asked is None or not len(self.asked):
            raise Exhausted("pymoo's operators make nothing new from this population")
