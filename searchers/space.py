"""What a search needs of a space: a table of choices that can be drawn, varied, priced and written to a study."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.trial import Trial


class Spec(Hashable, Protocol):
    """One architecture: a hashable value with a short name."""

    @property
    def id(self) -> str:
        """Equal for equal architectures and for no others."""


S = TypeVar("S", bound=Spec)


class Gene(Protocol):
    """One row of the table: a name and the values to choose from."""

    @property
    def name(self) -> str:
        """Unique within its space."""

    @property
    def choices(self) -> Sequence[Any]:
        """The values; a genome holds the position of one of them."""


class SearchSpace(Protocol[S]):
    """A table of genes, with or without additive costs, whose architectures are canonical: equal ones are one value.

    Constraints are the space's own affair: a searcher passes the user's text on and never reads it.
    """

    @property
    def name(self) -> str:
        """How the space is called in tables and messages."""

    @property
    def fingerprint(self) -> str:
        """Differs where genes, choices or costs do; a study belongs to one fingerprint."""

    @property
    def genes(self) -> Sequence[Gene]:
        """The rows, in the order of `encode`."""

    def sample(self, n: int, constraints: str | None = None, *, seed: int | Sequence[int]) -> list[S]:
        """`n` feasible architectures, possibly with repeats. Raises MetanetError where there are none."""

    def mutate(self, spec: S, rng: np.random.Generator, constraints: str | None = None) -> S:
        """A feasible architecture near `spec` and different from it."""

    def crossover(self, a: S, b: S, rng: np.random.Generator, constraints: str | None = None) -> S:
        """A feasible mix of both, possibly equal to one of them."""

    def encode(self, spec: S) -> NDArray[np.int64]:
        """Position of the canonical choice of each gene, (genes,)."""

    def decode(self, row: Sequence[int], /) -> S:
        """The architecture of these choices, canonical or not."""

    def contains(self, spec: S) -> bool:
        """Whether the genes can express it."""

    def feasible(self, spec: S, constraints: str | None) -> bool:
        """Whether it keeps the constraints."""

    def price(self, spec: S) -> Mapping[str, int]:
        """Exact costs such as {"macs": …, "params": …}; empty where the space has none."""

    def distributions(self) -> dict[str, CategoricalDistribution]:
        """Every gene that has a choice, as Optuna knows it."""

    def suggest(self, trial: Trial) -> S:
        """Asks an Optuna trial for every gene; the canonical architecture, feasible or not."""
