"""What NNI needs to see of a space: importing this imports NNI. Made by `metanet.search_spaces.nni.to_nni`."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import nni
import numpy as np
from nni.mutable import (
    Categorical,
    ConstraintViolation,
    SampleValidationError,
)
from nni.nas.evaluator import Evaluator
from nni.nas.space import ExecutableModelSpace, Metrics, ModelStatus

from metanet.errors import MetanetError
from metanet.search_spaces.constraints import Constraints
from metanet.search_spaces.feasible.enumeration import feasible_rows
from metanet.search_spaces.nni import Sample, from_sample, row_of, to_sample
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec


class SpecEvaluator(Evaluator):  # type: ignore[misc]  # NNI has no types
    """Calls a function of an architecture once for each architecture and reports one of its numbers to NNI.

    known   what the function returned, by architecture, in the order of the calls
    """

    def __init__(self, function: Callable[[ArchSpec], float | Mapping[str, float]], objective: str) -> None:
        if not callable(function):
            raise MetanetError(f"`evaluate` must be a function of an architecture, got {function!r}")
        self.function, self.objective = function, objective
        self.known: dict[ArchSpec, dict[str, float]] = {}

    def evaluate(self, model: ArchSpec) -> float:
        """The number that NNI climbs. Raises MetanetError where it is missing or not finite."""
        if model not in self.known:
            result = self.function(model)
            numbers = dict(result) if isinstance(result, Mapping) else {self.objective: result}
            if self.objective not in numbers:
                raise MetanetError(f"the evaluator returned no {self.objective!r}, only {', '.join(numbers)}")
            value = numbers[self.objective]
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise MetanetError(f"the evaluator returned {self.objective} = {value!r}, which is no finite number")
            self.known[model] = numbers
        value = float(self.known[model][self.objective])
        nni.report_final_result(value)
        return value

    def extra_repr(self) -> str:
        """What NNI prints of it."""
        return f"{self.function!r}, objective={self.objective!r}"


class SpecModelSpace(ExecutableModelSpace):  # type: ignore[misc]  # NNI has no types
    """A space of ours as a model space of NNI; frozen by a sample it is one architecture.

    sample   of a frozen one: the canonical sample of its architecture, which satisfies the constraints

    `contains` says whether a sample itself satisfies them. `freeze` refuses none for that (TPE would end there, and
    RegularizedEvolution gives up after 500 refusals) but takes an architecture near it that does (`Space.repair`).
    `random` draws uniformly from all that do, `grid` walks through them, each once.
    """

    def __init__(self, space: Space, constraints: Constraints, evaluator: SpecEvaluator | None) -> None:
        super().__init__()
        self.space, self.constraints, self.evaluator = space, constraints, evaluator
        self.sample: Sample | None = None
        self.genes = [Categorical(gene.choices, label=gene.name) for gene in space.genes if len(gene.choices) > 1]

    def leaf_mutables(self, is_leaf: Callable[[Any], bool]) -> Iterable[Any]:
        """The genes that have a choice, as NNI knows them."""
        yield from self.genes

    def check_contains(self, sample: Sample) -> Any:
        """None for a sample that makes an architecture within the constraints; otherwise NNI's exception, to be raised
        by the caller: SampleMissingError, SampleValidationError, ConstraintViolation."""
        if fault := self._fault(sample):
            return fault
        try:
            spec = from_sample(self.space, self._own(sample))
        except MetanetError as error:
            return ConstraintViolation(str(error))
        if not self.space.feasible(spec, self.constraints):
            return ConstraintViolation(f"architecture {spec.id} is outside the constraints {self.constraints}")
        return None

    def _fault(self, sample: Sample) -> Any:
        """NNI's exception where genes are missing or have values that they cannot have."""
        for gene in self.genes:
            if fault := gene.check_contains(sample):
                return type(fault)(f"{gene.label}: {fault.msg}") if type(fault) is SampleValidationError else fault
        return None

    def _own(self, sample: Sample) -> Sample:
        return {gene.label: sample[gene.label] for gene in self.genes}

    def freeze(self, sample: Sample) -> "SpecModelSpace":
        """The architecture of a sample, or the nearest within the constraints; the same for equal samples.

        Raises NNI's SampleValidationError for genes that are missing or have values that they cannot have.
        """
        if fault := self._fault(sample):
            raise fault
        return self._frozen(self.space.repair(row_of(self.space, self._own(sample)), self.constraints))

    def _frozen(self, spec: ArchSpec) -> "SpecModelSpace":
        if self.status is not ModelStatus.Initialized:
            raise MetanetError("this model is frozen: freeze the space that it came from")
        model = copy.copy(self)
        model.status, model.metrics, model.sample = ModelStatus.Frozen, Metrics(), to_sample(self.space, spec)
        return model

    def random(self, memo: Sample | None = None, random_state: np.random.RandomState | None = None) -> "SpecModelSpace":
        """An architecture drawn uniformly from those within the constraints; `memo` takes its sample."""
        state = np.random.RandomState() if random_state is None else random_state
        spec = self.space.sample(1, self.constraints, seed=state.randint(2**31, size=4).tolist())[0]
        model = self._frozen(spec)
        if memo is not None:
            memo.update(model.sample or {})
        return model

    def grid(self, memo: Sample | None = None, granularity: int | None = None) -> Iterable["SpecModelSpace"]:
        """Every architecture within the constraints, each once; `memo` takes the sample of the present one."""
        for rows in feasible_rows(self.space, self.constraints):
            for spec in self.space.specs(rows):
                model = self._frozen(spec)
                if memo is not None:
                    memo.update(model.sample or {})
                yield model

    def executable_model(self) -> ArchSpec:
        """The architecture of a frozen model."""
        if self.sample is None:
            raise MetanetError(
                "a model space is no architecture before it is frozen: freeze(sample), random() or grid()"
            )
        return from_sample(self.space, self.sample)

    def extra_repr(self) -> str:
        """What NNI prints of it."""
        rules = "" if self.constraints is None else f", constraints={self.constraints!r}"
        return f"{self.space.name!r}{rules}, status={self.status.value!r}" + (f", {self.sample}" if self.sample else "")
