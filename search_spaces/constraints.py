"""The language of constraints: `macs <= 5M, params in [100k, 400k], memory < 2GB, latency <= 12ms`.

rules  := rule { ("," | "and") rule }
rule   := metric ("<=" | "<" | ">=" | ">" | "=" | "==") number | metric "in" "[" number "," number "]"
        | number ("<=" | "<") metric ("<=" | "<") number
number := digits [suffix]
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NoReturn

from metanet.errors import MetanetError, unknown

METRICS = ("macs", "params", "activations", "memory", "latency")
_COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_BYTES = {"": 1, "B": 1, **{f"{k}{b}": n for k, n in _COUNTS.items() if k not in ("", "B") for b in ("", "B")}}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_TIMES = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9}
# What one of each suffix is worth, in the whole numbers that costs are counted in: bytes of memory, nanoseconds.
SUFFIXES: Mapping[str, Mapping[str, int]] = {"memory": _BYTES, "latency": _TIMES}

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?P<suffix>[a-zA-Zµ]*)"
    r"|(?P<name>[a-zA-Z_]\w*)|(?P<sign><=|>=|==|<|>|=|[][,]))"
)
_SIGNS = ("<=", "<", ">=", ">", "=", "==")


@dataclass(frozen=True)
class Constraint:
    """low <= metric <= high, both ends included; metrics are whole numbers (memory: bytes, latency: nanoseconds)."""

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
        unit = "ns" if self.metric == "latency" else ""
        if self.low == -math.inf:
            return f"{self.metric} <= {self.high:_.0f}{unit}"
        if self.high == math.inf:
            return f"{self.metric} >= {self.low:_.0f}{unit}"
        return f"{self.metric} in [{self.low:_.0f}{unit}, {self.high:_.0f}{unit}]"


def window(rules: Sequence[Constraint], metric: str, low: float, high: float) -> tuple[float, float]:
    """What all rules on a metric leave of the values from low to high; empty where the first is the greater one."""
    own = [rule for rule in rules if rule.metric == metric]
    return max([low, *(rule.low for rule in own)]), min([high, *(rule.high for rule in own)])


Constraints = str | Sequence[Constraint] | None


def parse_constraints(text: Constraints) -> tuple[Constraint, ...]:
    """Reads constraints, separated by commas or `and`, all of which must hold; parsed ones pass through, None is none.

    Counts may carry k, M, G (or B) and T, powers of 1,000; memory is in bytes (kB, MB, GB, or KiB, MiB, GiB), latency
    needs a unit (ns, us, ms, s). Raises MetanetError that points at the character.
    """
    if text is None:
        return ()
    return _parse(text) if isinstance(text, str) else tuple(text)


@lru_cache(maxsize=64)
def _parse(text: str) -> tuple[Constraint, ...]:
    reader = _Reader(text)
    found: list[Constraint] = []
    while not reader.ended():
        if found and not (reader.takes(",") or reader.takes("and")):
            reader.fail("expected a comma before the next rule")
        if not reader.ended():  # a comma may end the text
            found.append(_rule(reader))
    return tuple(found)


def _rule(reader: "_Reader") -> Constraint:
    start = reader.at
    if first := reader.number():
        low_sign = reader.sign(("<=", "<"))
        metric = reader.metric()
        ends = [_ends(low_sign.replace("<", ">"), first(metric))]
        ends.append(_ends(reader.sign(("<=", "<")), reader.value(metric)))
    else:
        metric = reader.metric()
        if reader.takes("in"):
            reader.expects("[")
            low = reader.value(metric)
            reader.expects(",")
            ends = [(low, reader.value(metric))]
            reader.expects("]")
        else:
            ends = [_ends(reader.sign(_SIGNS), reader.value(metric))]
    low, high = max(end[0] for end in ends), min(end[1] for end in ends)
    if low > high:
        reader.fail(f"the range of {metric} is empty, got [{low:,.0f}, {high:,.0f}]: put the smaller end first", start)
    return Constraint(metric, low, high)


def _ends(sign: str, value: float) -> tuple[float, float]:
    """The least and the greatest whole number that a sign allows."""
    if sign in ("=", "=="):
        return value, value
    if sign in ("<=", "<"):
        return -math.inf, value if sign == "<=" else math.ceil(value) - 1
    return (value if sign == ">=" else math.floor(value) + 1), math.inf


class _Reader:
    """A text and the place where reading goes on."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def ended(self) -> bool:
        return not self.text[self.at :].strip()

    def fail(self, why: str, at: int | None = None) -> NoReturn:
        """Points at the character where reading stopped."""
        at = self.at if at is None else at
        at += len(self.text[at:]) - len(self.text[at:].lstrip())
        raise MetanetError(
            f"cannot read the constraints at character {at + 1}: {why}\n  {self.text}\n  {' ' * at}^\n"
            "write them as 'macs <= 5M', 'params > 100k', '1M <= macs < 5M' or 'macs in [1M, 5M]', separated by commas"
        )

    def _next(self) -> "re.Match[str] | None":
        return _TOKEN.match(self.text, self.at)

    def takes(self, word: str) -> bool:
        """Goes past a word or sign if it stands here."""
        match = self._next()
        if match is None or word not in (match["name"], match["sign"]):
            return False
        self.at = match.end()
        return True

    def expects(self, sign: str) -> None:
        if not self.takes(sign):
            self.fail(f"expected `{sign}`")

    def sign(self, allowed: Sequence[str]) -> str:
        match = self._next()
        if match is None or match["sign"] not in allowed:
            self.fail(f"expected one of {', '.join(allowed)}" + (" or in [low, high]" if len(allowed) > 2 else ""))
        self.at = match.end()
        return match["sign"]

    def metric(self) -> str:
        match = self._next()
        if match is None or not match["name"]:
            self.fail("expected a metric: " + ", ".join(METRICS))
        if match["name"] not in METRICS:
            self.fail(str(unknown("metric", match["name"], METRICS)))
        self.at = match.end()
        return match["name"]

    def value(self, metric: str) -> float:
        if not (number := self.number()):
            self.fail("expected a number")
        return number(metric)

    def number(self) -> Callable[[str], float] | None:
        """What a number is worth, once its metric is known; None where none stands here."""
        match = self._next()
        if match is None or not match["number"]:
            return None
        at, self.at = self.at, match.end()

        def worth(metric: str) -> float:
            suffixes = SUFFIXES.get(metric, _COUNTS)
            if match["suffix"] not in suffixes:
                known = ", ".join(suffix for suffix in suffixes if suffix)
                got = f"the unit {match['suffix']!r}" if match["suffix"] else "no unit"
                self.fail(f"{metric} knows the units {known}, got {got}", at)
            return float(Decimal(match["number"].replace("_", "")) * suffixes[match["suffix"]])

        return worth
