"""Measured latency: what each part of a network takes on one machine, and whole networks by the sum of their parts."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metanet.errors import MetanetError
from metanet.runs import atomic_write, fingerprint, plain
from metanet.search_spaces.latency.parts import Part, parts_of
from metanet.search_spaces.latency.timing import Setting
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from metanet.search_spaces.space import Space

FORMAT = "metanet latency 1"


@dataclass(frozen=True)
class Error:
    """How far predictions are from networks that were measured whole, and that nothing was fitted on.

    networks          how many
    median, worst     of |predicted - measured| / measured, per cent
    bias              the median of (predicted - measured) / measured, per cent
    plain             the median of |sum of the parts - measured| / measured, without `factor`, per cent
    spearman, kendall rank correlation
    """

    networks: int
    median: float
    worst: float
    bias: float
    plain: float
    spearman: float
    kendall: float


@dataclass(frozen=True)
class LatencyTable:
    """The time of each part, one number a round, in nanoseconds, and what they mean.

    setting    how it was measured
    parts      part's name -> times
    networks   networks that were measured whole: {"spec", "for": "error" or "factor", "times"}
    factor     what sums of parts are multiplied by: fitted on the networks for it, which no error is reported of
    error      of the others; None where none were measured
    about      the space, the seed, the machine, versions and date
    """

    setting: Setting
    parts: Mapping[str, tuple[int, ...]] = field(hash=False, repr=False)
    networks: tuple[Mapping[str, Any], ...] = field(default=(), hash=False, repr=False)
    factor: float = 1.0
    error: Error | None = None
    about: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)

    @cached_property
    def _known(self) -> dict[str, int]:
        return {name: round(self.factor * float(np.median(times))) for name, times in self.parts.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Differs where a prediction may differ, or where what it means does."""
        return fingerprint({"setting": asdict(self.setting), "parts": self._known})

    def of(self, part: Part) -> int:
        """Nanoseconds that a part adds to a network, whole. Raises MetanetError where the table lacks it."""
        found = self._known.get(part.name)
        if found is None:
            raise MetanetError(
                f"the latency table of {self.about.get('space', 'this machine')} lacks the part {part.name!r}: build "
                "one of a space that has it (metanet latency build), or narrow the space to what was measured "
                "(Space.freeze, Space.where)"
            )
        return found

    def nanoseconds(self, spec: ArchSpec) -> int:
        """A network's latency at its own resolution, without classifier: a sum over its parts."""
        return sum(map(self.of, parts_of(spec)))

    def predict(self, spec: ArchSpec) -> float:
        """The same in seconds."""
        return self.nanoseconds(spec) / 1e9

    def narrowed(self, space: "Space") -> "Space":
        """What was measured of a space, with latency as one more cost (`Space.timed`)."""
        return space.where(**self.about.get("choices", {})).timed(self)

    def spread(self, name: str) -> tuple[float, float, float]:
        """Quartiles of a part's measured times, in nanoseconds."""
        low, middle, high = np.quantile(self.parts[name], (0.25, 0.5, 0.75))
        return float(low), float(middle), float(high)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table as JSON, wholly or not at all. Raises MetanetError where it cannot be written."""
        atomic_write(path, json.dumps({"format": FORMAT, "complete": True, **plain(self)}, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LatencyTable":
        """Reads what `save` wrote. Raises MetanetError for other files and for a table that is not finished."""
        values = read(path)
        if not values.get("complete"):
            raise MetanetError(
                f"the latency table {str(path)!r} is not finished: run the same metanet latency build again, it goes on"
            )
        try:
            found = values["error"]
            return cls(
                setting=Setting(**values["setting"]),
                parts={name: tuple(times) for name, times in values["parts"].items()},
                networks=tuple(values["networks"]),
                factor=values["factor"],
                error=None if found is None else Error(**found),
                about=values["about"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise MetanetError(
                f"the latency table {str(path)!r} is damaged ({error!r}): build it again into another file"
            ) from None


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The values of a table's file, finished or not. Raises MetanetError where it is none."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MetanetError(f"cannot read the latency table {str(path)!r}: {error}") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise MetanetError(f"{str(path)!r} is no latency table: give a file that metanet latency build wrote")
    return values


def latency_of(space: "Space") -> LatencyTable:
    """The table of a space. Raises MetanetError where it has none."""
    if space.latency is None:
        raise MetanetError(
            f"space {space.name} has no latency table, which a rule on latency needs: measure one with "
            f"`metanet latency build {space.name} --out table.json`, then take space.timed(LatencyTable.load(file)), "
            "--latency table.json at the shell"
        )
    return space.latency
