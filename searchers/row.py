"""What a table of choices is made of: genes with their values, and rows that pick one of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from metanet.errors import MetanetError

MOST = 2**53  # of one cost: sums of a thousand are whole numbers of 64 bits


@dataclass(frozen=True)
class TableGene:
    """A name and the values to choose from."""

    name: str
    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        for value in self.choices:
            if not isinstance(value, str | int | float | bool | None):
                raise MetanetError(f"a choice of {self.name!r} must be a text, a number or None, got {value!r}")
        if not self.choices or len(set(self.choices)) < len(self.choices):
            raise MetanetError(f"the choices of {self.name!r} must be distinct and at least one, got {self.choices}")


@dataclass(frozen=True)
class TableRow:
    """One choice of each gene: `row["op"]` is the value of a gene."""

    indices: tuple[int, ...]
    values: Mapping[str, Any] = field(compare=False)

    @property
    def id(self) -> str:
        """The positions of its choices."""
        return "-".join(map(str, self.indices))

    @property
    def key(self) -> tuple[Any, ...]:
        """Its values, in the order of the genes."""
        return tuple(self.values.values())

    def __getitem__(self, gene: str) -> Any:
        return self.values[gene]


def check_costs(metric: str, values: Iterable[Any]) -> None:
    """Raises MetanetError where a cost is no whole number, or too large a one."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise MetanetError(
                f"a cost of {metric} must be a whole number, got {value!r}: give it in its smallest unit, such as "
                "single MACs, not millions of them"
            )
        if abs(int(value)) > MOST:
            raise MetanetError(f"a cost of {metric} must be at most 2^53, so that sums are exact, got {value}")
