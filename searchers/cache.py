"""Evaluations on disk, for all studies that have the same evaluator: a search, its controls, its next attempt."""

import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from metanet.errors import MetanetError
from metanet.runs import atomic_write, fingerprint, open_run
from metanet.searchers.evaluate import Evaluator, FunctionEvaluator
from metanet.searchers.space import S, SearchSpace


@dataclass(frozen=True)
class EvaluationCache:
    """What an evaluator returned, by space, evaluator, architecture and fidelity; one small file each, whole or not
    there, so that any number of processes and hosts may share the folder. Only finite numbers are kept.

    folder     of the files
    space      fingerprint of the space that ids of architectures belong to
    evaluator  fingerprint of the evaluator
    """

    folder: Path
    space: str
    evaluator: str

    def answer(self, spec: str, fidelity: float, evaluate: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """What is known of an architecture, by its id, else what `evaluate` returns, which is known from now on; an
        exception of `evaluate` passes."""
        about = {"space": self.space, "evaluator": self.evaluator, "spec": spec, "fidelity": float(fidelity)}
        path = self.folder / f"{fingerprint(about)}.json"
        known = _read(path)
        if known is not None:
            return known
        found = evaluate()
        # What is no score is for the search to judge, and a full disk for its study to tell: neither is for a cache.
        with suppress(MetanetError, TypeError, ValueError, AttributeError):
            metrics = {str(name): float(value) for name, value in found.items()}
            if all(map(math.isfinite, metrics.values())):
                atomic_write(path, json.dumps({**about, "metrics": metrics}) + "\n")
        return found


def cache_in(folder: str | os.PathLike[str], space: SearchSpace[S], evaluator: Evaluator[S]) -> EvaluationCache:
    """The cache in a folder, which is made.

    Raises MetanetError where nothing can be written in it, and for a plain function: its name does not tell what its
    results depend on.
    """
    if isinstance(evaluator, FunctionEvaluator):
        raise MetanetError(
            f"evaluations of a plain function ({evaluator.fingerprint}) cannot be cached, since nothing says what they "
            "depend on: give an evaluator with a `fingerprint`, or no `cache`"
        )
    return EvaluationCache(open_run(folder).absolute(), space.fingerprint, evaluator.fingerprint)


def _read(path: Path) -> dict[str, float] | None:
    """The metrics of a file; None where it is missing or no evaluation: it is then made anew."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["metrics"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
