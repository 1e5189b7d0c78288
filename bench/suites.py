"""Tasks that are scored together."""

from collections.abc import Callable

import numpy as np

from metanet.bench.task import Task
from metanet.data import job_split, load_images
from metanet.errors import unknown

SEED = 0  # of the splits, which are part of the tasks


def load_suite(name: str) -> tuple[Task, ...]:
    """The tasks of a suite by its name in SUITES.

    Raises:
        MetanetError: the name is unknown, or a package that holds images is not installed.
    """
    if name not in SUITES:
        raise unknown("suite", name, SUITES)
    return SUITES[name]()


def packaged() -> tuple[Task, ...]:
    """Real images from packages: two kinds of digits, and solar cells of which three in ten are defective.

    The test images, 30 % of each class, are those that `metanet search` with the seed 0 keeps for its test, so that its
    winner has seen none of them. All others are for training; a winner's weights learnt from five in seven of these.
    Cells that were cut from one module may lie on both sides: their package does not say which those are.
    """
    return (
        _task("mnist-5k", "accuracy", 64),
        _task("digits", "accuracy", 64),
        # A classifier that calls every cell sound is right for 69 %: the mean per class shows it as 50 %.
        _task("solar-cells", "mean_per_class", 112),
    )


def _task(name: str, metric: str, resolution: int) -> Task:
    images = load_images(name)
    test = job_split(images.labels, seed=SEED)["test"]
    train = np.setdiff1d(np.arange(len(images)), test)
    return Task(name, "classification", metric, images, train, test, resolution, fixed=True)


SUITES: dict[str, Callable[[], tuple[Task, ...]]] = {"packaged": packaged}
