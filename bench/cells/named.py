"""A comparison of two backbones that are named as one types them: in one folder of cells, or in two."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from metanet.bench.cells.compare import compare
from metanet.bench.cells.folder import load_results
from metanet.bench.cells.scores import Point, points_of
from metanet.errors import MetanetError, unknown


def compare_named(a: str, b: str, folder: str | os.PathLike[str]) -> pd.DataFrame:
    """`compare` for two backbones, with the columns first, second and probe.

    a, b   a backbone of `folder`, or FOLDER, or FOLDER#BACKBONE. Of two folders without a name, the backbones of the
           same name are compared; where each holds only one besides the baselines, these

    Raises:
        MetanetError: as `compare`, no such backbone, or it is not clear which.
    """
    (ours, mine), (theirs, yours) = _side(a, folder), _side(b, folder)
    own, others = _entrants(ours), _entrants(theirs)
    if mine or yours or len(own) == len(others) == 1:
        pairs = [(mine or _only(own, a), yours or _only(others, b))]
    else:
        pairs = [(name, name) for name in own if name in others]
    if not pairs:
        raise MetanetError(f"{a!r} and {b!r} have no backbone of the same name: name them, as in {a}#{own[0]}")
    found = []
    for first, second in pairs:
        left, right = _by_probe(ours, first), _by_probe(theirs, second)
        for probe in [probe for probe in left if probe in right] or [*left][:1]:
            row = compare(left[probe], right.get(probe, []))
            found.append(row.assign(first=first, second=second, probe=probe))
    return pd.concat(found, ignore_index=True)


def _side(text: str, folder: str | os.PathLike[str]) -> tuple[list[Point], str]:
    """The points of a folder, and the name that was given, "" where none was."""
    path, _, name = text.partition("#")
    if not Path(path).is_dir():
        path, name = os.fspath(folder), text
    points = points_of(load_results(path))
    if name and name not in (known := dict.fromkeys(point.backbone for point in points)):
        raise unknown("backbone", name, known)
    return points, name


def _by_probe(points: Sequence[Point], backbone: str) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in points:
        if point.backbone == backbone:
            found.setdefault(point.probe, []).append(point)
    return found


def _entrants(points: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(point.backbone for point in points if not point.baseline))


def _only(names: Sequence[str], text: str) -> str:
    if len(names) != 1:
        raise MetanetError(f"{text!r} holds {len(names)} backbones: say which, as in {text}#{[*names, 'NAME'][0]}")
    return names[0]
