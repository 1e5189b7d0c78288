"""A cell: what one backbone answered on one task, with one percentage and seed, and all that this came from.

It is a JSON file that a person can read; its last field is the SHA-256 of the others, so that damage is noticed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import error as DeflateError

from metanet.bench.cells.pack import pack, unpack
from metanet.bench.task import Answers
from metanet.metrics import METRICS
from metanet.runs import fingerprint, plain, write_json

FORMAT = 2
# fields that stand in the file as they are
PLAIN = ("backbone", "task", "probe", "percent", "seed", "metric", "question", "about", "n_train", "record")
DRAWN = ("percent", "seed", "train")  # what differs between the cells of one backbone, task and probe


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell.

    backbone, task   their names, for tables
    probe            its name in PROBES
    metric           the task's, a name in METRICS; it decides no answer
    question         names what was asked, see `Row`
    percent, seed    of the drawn training images
    about            all that decides the answers: digests of weights, architecture, images, ids; view, probe, draw
    classes          names of the classes
    n_train          images learnt from
    answers          predicted and true classes of the test images, chosen hyper-parameters and the whole curve
    record           what else is worth knowing: when the test images were opened, versions, machine, seconds
    """

    backbone: str
    task: str
    probe: str
    percent: float
    seed: int
    metric: str
    question: str
    about: Mapping[str, Any]
    classes: tuple[str, ...]
    n_train: int
    answers: Answers
    record: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Names the cell by what decides its answers, and by nothing else."""
        return fingerprint(self.about)

    @property
    def value(self) -> float:
        """The task's metric on the test images."""
        return METRICS[self.metric].value(self.answers.predicted, self.answers.truth)


def setting_of(about: Mapping[str, Any]) -> str:
    """Names what the cells of one backbone, task and probe share; cells of different settings are not averaged."""
    return fingerprint({name: value for name, value in about.items() if name not in DRAWN})


def write_cell(path: Path, cell: Cell) -> None:
    """Writes a cell, wholly or not at all."""
    answers = cell.answers
    content = {
        "format": FORMAT,
        "backbone": cell.backbone,
        "task": cell.task,
        "probe": cell.probe,
        "percent": cell.percent,
        "seed": cell.seed,
        "metric": cell.metric,
        "question": cell.question,
        "metrics": {name: metric.value(answers.predicted, answers.truth) for name, metric in METRICS.items()},
        "chosen": answers.chosen,
        "transfer": answers.transfer,
        "n_train": cell.n_train,
        "n_test": len(answers.truth),
        "about": cell.about,
        "record": cell.record,
        "classes": cell.classes,
        "curve": answers.curve,
        "predicted": pack(answers.predicted),
        "truth": pack(answers.truth),
    }
    content = plain(content)
    write_json(path, {**content, "sha256": _digest(content)})


def read_cell(path: Path) -> Cell:
    """A cell as it was written.

    Raises:
        ValueError: the file is not a whole cell; OSError: it cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
        if content.pop("sha256") != _digest(content):
            raise ValueError("its SHA-256 is another one than it says")
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, known is {FORMAT}")
        chosen, curve, transfer = (content[name] for name in ("chosen", "curve", "transfer"))
        answers = Answers(unpack(content["predicted"]), unpack(content["truth"]), chosen, curve, transfer)
        fields = {name: content[name] for name in PLAIN}
        return Cell(**fields, classes=tuple(content["classes"]), answers=answers)
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, DeflateError, json.JSONDecodeError) as error:
        raise ValueError(f"it is not a whole cell: {type(error).__name__}") from None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
