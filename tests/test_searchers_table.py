"""A plain table of choices as a search space, small enough to enumerate; the other tests of searchers run on it."""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import Trial

from metanet.errors import MetanetError
from metanet.searchers import SearchResult
from metanet.searchers.space import SearchSpace


@dataclass(frozen=True)
class Row:
    """Choices by position. With `wide` off (first gene 0) the last gene has no effect and is 0."""

    choices: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.choices[0] == 0:
            object.__setattr__(self, "choices", (*self.choices[:-1], 0))

    @property
    def id(self) -> str:
        return "-".join(map(str, self.choices))


@dataclass(frozen=True)
class TableGene:
    name: str
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class TableSpace:
    """`genes` genes of `width` choices; MACs and parameters are sums over the choices."""

    count: int = 4
    width: int = 3
    priced: bool = True
    name: str = "table"

    @cached_property
    def genes(self) -> tuple[TableGene, ...]:
        values = ("wide", *(f"g{i}" for i in range(1, self.count)))
        return tuple(TableGene(name, tuple(10 * i for i in range(self.width))) for name in values)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @cached_property
    def everything(self) -> list[Row]:
        rows = itertools.product(range(self.width), repeat=self.count)
        return list(dict.fromkeys(Row(row) for row in rows))

    def price(self, spec: Row) -> Mapping[str, int]:
        if not self.priced:
            return {}
        return {
            "macs": sum((i + 1) * choice for i, choice in enumerate(spec.choices)),
            "params": sum(choice**2 for choice in spec.choices),
        }

    def feasible(self, spec: Row, constraints: str | None) -> bool:
        rules = [rule.split("<=") for rule in constraints.split(",")] if constraints else []
        return all(self.price(spec)[name.strip()] <= int(limit) for name, limit in rules)

    def allowed(self, constraints: str | None) -> list[Row]:
        return _allowed(self, constraints)

    def sample(self, n: int, constraints: str | None = None, *, seed: int | Sequence[int]) -> list[Row]:
        rows = self.allowed(constraints)
        return [rows[i] for i in np.random.default_rng(seed).integers(len(rows), size=n)]

    def near(self, spec: Row) -> list[Row]:
        """Every other row that one changed gene gives."""
        rows = [
            Row((*spec.choices[:i], choice, *spec.choices[i + 1 :]))
            for i in range(self.count)
            for choice in range(self.width)
        ]
        return [row for row in rows if row != spec]

    def mutate(self, spec: Row, rng: np.random.Generator, constraints: str | None = None) -> Row:
        rows = [row for row in self.near(spec) if self.feasible(row, constraints)]
        rows = rows or [row for row in self.allowed(constraints) if row != spec]
        return rows[rng.integers(len(rows))]

    def crossover(self, a: Row, b: Row, rng: np.random.Generator, constraints: str | None = None) -> Row:
        mixed = Row(tuple(rng.choice(pair) for pair in zip(a.choices, b.choices, strict=True)))
        return mixed if self.feasible(mixed, constraints) else a

    def encode(self, spec: Row) -> np.ndarray:
        return np.array(spec.choices)

    def decode(self, indices: Sequence[int] | np.ndarray) -> Row:
        return Row(tuple(int(i) for i in indices))

    def contains(self, spec: Row) -> bool:
        return spec in self.everything

    def distributions(self) -> dict[str, CategoricalDistribution]:
        return {gene.name: CategoricalDistribution(gene.choices) for gene in self.genes}

    def suggest(self, trial: Trial) -> Row:
        return Row(tuple(g.choices.index(trial.suggest_categorical(g.name, g.choices)) for g in self.genes))


@cache
def _allowed(space: TableSpace, constraints: str | None) -> list[Row]:
    rows = [row for row in space.everything if space.feasible(row, constraints)]
    if not rows:
        raise MetanetError(f"nothing keeps {constraints!r}: the smallest value is 0")
    return rows


def score(spec: Row) -> float:
    """A smooth hidden optimum at choice 1 of every gene, and a little noise of the architecture's own."""
    noise = int(hashlib.sha256(spec.id.encode()).hexdigest()[:4], 16) / 0xFFFF
    return 1 - sum((choice - 1) ** 2 for choice in spec.choices) / 10 + 0.01 * noise


class Recorder:
    """An evaluator that remembers what it was asked."""

    fingerprint = "recorder"

    def __init__(self, function: Callable[[Row], Any] = score) -> None:
        self.function = function
        self.asked: list[Row] = []

    def __call__(self, spec: Row, *, fidelity: float = 1.0) -> Mapping[str, float]:
        self.asked.append(spec)
        value = self.function(spec)
        return value if isinstance(value, Mapping) else {"accuracy": value}


def told(result: SearchResult[Row]) -> list[tuple[Any, ...]]:
    """What must not depend on interruptions."""
    frame = result.to_dataframe().query("state != 'ABANDONED'")
    return list(zip(map(int, frame["slot"]), frame["spec"], frame["state"], frame["accuracy"].fillna(-1), strict=True))


def test_the_table_is_a_search_space() -> None:
    space: SearchSpace[Row] = TableSpace()
    assert len(TableSpace().everything) == 81 - 27 + 9  # of the 27 with `wide` off 9 are distinct
    assert space.mutate(Row((0, 0, 0, 0)), np.random.default_rng(0), "macs <= 1") == Row((1, 0, 0, 0))
    with pytest.raises(MetanetError, match="nothing keeps"):
        space.sample(1, "macs <= -1", seed=0)
