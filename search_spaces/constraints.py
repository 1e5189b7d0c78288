"""The language of constraints: `macs <= 5M, params in [100k, 400k]`."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from metanet.errors import MetanetError, unknown

METRICS = ("macs", "params", "activations", "memory", "latency")
SUFFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}

_NUMBER = r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*([kMGBT]?)"
_RULE = re.compile(
    rf"\s*(?P<metric>\w+)\s*(?:(?P<op><=|>=|==|<|>)\s*(?P<value>{_NUMBER})"
    rf"|in\s*\[\s*(?P<low>{_NUMBER})\s*,\s*(?P<high>{_NUMBER})\s*\])\s*(?:,|$)"
)


@dataclass(frozen=True)
class Constraint:
    """low <= metric <= high, both ends included; the metrics are whole numbers."""

    metric: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise unknown("metric in a constraint", self.metric, METRICS)
        if not self.low <= self.high:
            raise MetanetError(
                f"the range of {self.metric} is empty, got [{self.low:,.0f}, {self.high:,.0f}]: "
                "put the smaller end first"
            )

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether an architecture with these costs satisfies the constraint."""
        return self.low <= values[self.metric] <= self.high

    def __str__(self) -> str:
        """The constraint in the language that `parse_constraints` reads."""
        if self.low == -math.inf:
            return f"{self.metric} <= {self.high:_.0f}"
        if self.high == math.inf:
            return f"{self.metric} >= {self.low:_.0f}"
        return f"{self.metric} in [{self.low:_.0f}, {self.high:_.0f}]"


Constraints = str | Sequence[Constraint] | None


def parse_constraints(text: Constraints) -> tuple[Constraint, ...]:
    """Reads constraints, separated by commas, all of which must hold; parsed ones pass through, None is none.

    Numbers may carry k, M, G (or B) and T, powers of 1,000. Raises MetanetError that points at the character.
    """
    if text is None:
        return ()
    return _parse(text) if isinstance(text, str) else tuple(text)


@lru_cache(maxsize=64)
def _parse(text: str) -> tuple[Constraint, ...]:
    found, at = [], 0
    while text[at:].strip():
        match = _RULE.match(text, at)
        if match is None:
            raise MetanetError(
                f"cannot read the constraint at character {at + 1}, {text[at:].strip()!r}: "
                "write it as 'macs <= 5M', 'params > 100k' or 'macs in [1M, 5M]', several separated by commas"
            )
        found.append(_constraint(match))
        at = match.end()
    return tuple(found)


def _constraint(match: "re.Match[str]") -> Constraint:
    metric = match["metric"]
    if match["op"] is None:
        return Constraint(metric, _number(match["low"]), _number(match["high"]))
    value = _number(match["value"])
    return {
        "<=": lambda: Constraint(metric, high=value),
        ">=": lambda: Constraint(metric, low=value),
        "==": lambda: Constraint(metric, value, value),
        "<": lambda: Constraint(metric, high=math.ceil(value) - 1),
        ">": lambda: Constraint(metric, low=math.floor(value) + 1),
    }[match["op"]]()


def _number(text: str) -> float:
    digits, suffix = re.fullmatch(_NUMBER, text).groups()  # type: ignore[union-attr]  # matched by _RULE
    return float(digits.replace("_", "")) * SUFFIXES[suffix]
