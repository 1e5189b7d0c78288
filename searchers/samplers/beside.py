"""What cheap scores say of architectures, as numbers that a process reads beside the bits of the genes."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metanet.searchers.history import Genome
from metanet.searchers.predictor import Floats
from metanet.searchers.samplers.told import Rows
from metanet.searchers.space import SearchSpace

FAR = 4.0  # standard deviations beyond which a score counts no more

Proxies = Callable[[Any], Mapping[str, float]]
"""Cheap scores of an architecture by name, the same whenever it is asked; names that end in ".se" are left out."""
Known = dict[Genome, Mapping[str, float]]


@dataclass(frozen=True)
class Scored:
    """The scores of a space's architectures, each computed once."""

    proxies: Proxies
    space: SearchSpace[Any]
    known: Known = field(default_factory=dict)

    def standard(self, rows: Rows) -> Callable[[Rows], Floats]:
        """What turns architectures (n, genes) into scores (n, names) with mean 0 and variance 1 over these rows; a
        score that is missing is 0."""
        told = [self.of(row) for row in rows.tolist()]
        names = sorted({name for one in told for name in one})
        values = {name: [one[name] for one in told if name in one] for name in names}
        scale = {name: (float(np.mean(own)), float(np.std(own)) or 1.0) for name, own in values.items()}

        def standardised(rows: Rows) -> Floats:
            scores = [self.of(row) for row in rows.tolist()]
            table = [[(one.get(name, mean) - mean) / unit for name, (mean, unit) in scale.items()] for one in scores]
            return np.asarray(np.clip(np.array(table, float).reshape(len(scores), len(names)), -FAR, FAR))

        return standardised

    def of(self, row: list[int]) -> Mapping[str, float]:
        """The finite scores of an architecture; none where the proxies fail, which is warned of."""
        found = self.known.get(key := tuple(row))
        if found is None:
            try:
                scores = self.proxies(self.space.decode(key))
            except Exception as error:  # whatever it is, the search goes on by what the genes say
                warnings.warn(f"the proxies failed: {type(error).__name__}: {error}", stacklevel=2)
                scores = {}
            kept = {name: float(value) for name, value in scores.items() if not name.endswith(".se")}
            found = self.known[key] = {name: value for name, value in kept.items() if math.isfinite(value)}
        return found
