"""Doubles among the test images: how many there are, and what the stored answers give without them."""

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metanet.bench.cells.intervals import images_interval
from metanet.bench.cells.scores import Point
from metanet.bench.task import Task
from metanet.data import Ids, ids_sha256
from metanet.runs import atomic_write, open_run, write_json
from metanet.stats import Interval

FILE, PAIRS = "leaks.json", "leaks.csv"
FORMAT = 2
NONE = Interval(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Doubles:
    """The test images of a task that one list of images holds, too, by one kind of evidence.

    images, test   digests of the task's images and of its test ids, by which its cells are known
    n_test         test images of the task
    of, by         as the columns of `leaks`
    positions      of the doubles among the test images, sorted; none where it was looked for and nothing found
    limits         how far apart doubles may be, for whoever reads the file
    """

    task: str
    images: str
    test: str
    n_test: int
    of: str
    by: str
    positions: tuple[int, ...]
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> tuple[str, str, str, str]:
        """What it answers; of two answers the later one counts."""
        return self.images, self.test, self.of, self.by


def doubles_of(
    task: Task,
    pairs: pd.DataFrame,
    compared: Sequence[tuple[str, str]],
    limits: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Doubles]:
    """What `leaks` found on a task, image by image.

    compared   (of, by) that were looked at, found or not
    limits     of each kind of evidence
    """
    place = {image: position for position, image in enumerate(task.test.tolist())}
    about = (task.name, task.images.fingerprint, ids_sha256(task.test), len(task.test))
    found = []
    for of, by in compared:
        own = pairs.loc[(pairs["of"] == of) & (pairs["by"] == by), "test"]
        positions = tuple(sorted(place[image] for image in own.unique().tolist()))
        found.append(Doubles(*about, of, by, positions, (limits or {}).get(by, {})))
    return found


def write_leaks(folder: str | os.PathLike[str], pairs: pd.DataFrame, doubles: Sequence[Doubles]) -> Path:
    """Writes every pair as leaks.csv and what a report needs of them as leaks.json; returns the path of the pairs.

    What an earlier look found among other images, or by other evidence, stays.

    pairs   columns task, of and by at least

    Raises:
        MetanetError: the folder cannot be written.
    """
    place = open_run(folder)
    asked = {one.question for one in doubles}
    earlier = [one for one in read_leaks(place) if one.question not in asked]
    if earlier and (place / PAIRS).exists():
        known = pd.read_csv(place / PAIRS)
        kept = pd.MultiIndex.from_tuples([(one.task, one.of, one.by) for one in earlier])
        known = known[pd.MultiIndex.from_frame(known[["task", "of", "by"]]).isin(kept)]
        pairs = pd.concat([rows for rows in (known, pairs) if len(rows)] or [pairs], ignore_index=True)
    atomic_write(place / PAIRS, pairs.to_csv(index=False))
    write_json(place / FILE, {"format": FORMAT, "doubles": [asdict(one) for one in [*earlier, *doubles]]})
    return place / PAIRS


def read_leaks(folder: str | os.PathLike[str]) -> list[Doubles]:
    """What `write_leaks` wrote into a folder; nothing where it did not. A damaged file is told of and left aside."""
    path = Path(folder) / FILE
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, known is {FORMAT}")
        return [Doubles(**one | {"positions": tuple(map(int, one["positions"]))}) for one in content["doubles"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        warnings.warn(f"{str(path)!r} is damaged and left aside: run `metanet bench leaks` again", stacklevel=2)
        return []


def doubles_table(doubles: Iterable[Doubles]) -> pd.DataFrame:
    """One row a task, list of images and kind of evidence: task, of, by, doubles, n_test."""
    columns = ["task", "of", "by", "doubles", "n_test"]
    rows = [(one.task, one.of, one.by, len(one.positions), one.n_test) for one in doubles]
    return pd.DataFrame(rows, columns=columns)


def tested(points: Iterable[Point], doubles: Iterable[Doubles]) -> list[Doubles]:
    """Those of test images that cells were tested on."""
    known = {_known_by(point) for point in points}
    return [one for one in doubles if (one.images, one.test) in known]


def without_table(points: Iterable[Point], doubles: Iterable[Doubles]) -> pd.DataFrame:
    """Scores with and without the doubles, from stored answers alone: a row a backbone, task, probe, percentage, list
    of images and kind of evidence that found a double.

    Columns: backbone, baseline, task, probe, metric, percent, of, by, left_out, n_test, with, with_low, with_high,
    without, without_low, without_high (means over draws, 95 % intervals over test images; NaN where no image is left).
    A mean per class is over the classes that are left.
    """
    by_test: dict[tuple[str, str], list[Doubles]] = {}
    for one in doubles:
        if one.positions:
            by_test.setdefault((one.images, one.test), []).append(one)
    rows = []
    for point in points:
        for one in by_test.get(_known_by(point), []):
            kept = np.setdiff1d(np.arange(one.n_test), one.positions)
            about = {name: getattr(point, name) for name in ("backbone", "baseline", "task", "probe", "metric")}
            found = {"with": point.images, "without": _on(point, kept)}
            about |= {"percent": point.percent, "of": one.of, "by": one.by}
            about |= {"left_out": len(one.positions), "n_test": one.n_test}
            for name, own in found.items():
                about |= {name: own.mean, f"{name}_low": own.low, f"{name}_high": own.high}
            rows.append(about)
    return pd.DataFrame(rows)


def _on(point: Point, kept: Ids) -> Interval:
    """The point's mean over draws, and its interval, on these of its test images."""
    if not len(kept):
        return NONE
    draws = point.draws
    return images_interval(point.metric, [cell.answers.predicted[kept] for cell in draws], draws[0].answers.truth[kept])


def _known_by(point: Point) -> tuple[str, str]:
    about = point.cells[0].about
    return str(about["images"]), str(about["test"])
