"""The score table: backbones and baselines on percentages of a task's training images."""

from collections.abc import Mapping, Sequence

import pandas as pd

from metanet.bench.baselines import default_baselines
from metanet.bench.features import FeatureCache
from metanet.bench.probes import PROBES
from metanet.bench.task import Probe, Task
from metanet.data import Ids, ids_sha256, percent_subset
from metanet.errors import MetanetError, unknown
from metanet.model import Backbone
from metanet.runs import track


def score(
    backbones: Mapping[str, Backbone],
    task: Task,
    *,
    percents: Sequence[float] = (1, 10, 100),
    seeds: Sequence[int] = (0, 1, 2),
    probe: str = "linear",
    baselines: Mapping[str, Backbone] | None = None,
) -> pd.DataFrame:
    """One row a backbone, percentage and seed, tested on the task's test images; each image is seen once a backbone.

    baselines   by name; `default_baselines(backbones)` where None

    Columns: backbone, task, percent, seed (of the drawn training images), metric, value, se, ci_low, ci_high
    (95 % bootstrap over test images), what the probe chose (lambda of the linear one), n_train, ids_sha256 (of the
    drawn ids).

    Raises:
        MetanetError: an unknown probe, a wrong percentage, a name twice, or what a backbone did wrong, with its name.
    """
    if probe not in PROBES:
        raise unknown("probe", probe, PROBES)
    baselines = default_baselines(backbones) if baselines is None else baselines
    if twice := sorted(set(backbones) & set(baselines)):
        raise MetanetError(f"a backbone must not have the name of a baseline, got {twice[0]!r}: rename it")
    labels, groups = task.images.labels, task.groups
    draws = [(p, s, percent_subset(labels, task.train, p, seed=s, groups=groups)) for p in percents for s in seeds]
    rows = []
    for name, backbone in track([*backbones.items(), *baselines.items()], f"scoring on {task.name}"):
        measure = PROBES[probe](extract=FeatureCache())
        results: dict[str, dict[str, float]] = {}  # 100 % is the same draw for all seeds
        for percent, seed, ids in draws:
            drawn = ids_sha256(ids)
            if drawn not in results:
                results[drawn] = _result(name, measure, backbone, task, ids)
            row = {"backbone": name, "task": task.name, "percent": percent, "seed": seed, "metric": task.metric}
            rows.append({**row, **results[drawn], "ids_sha256": drawn})
    return pd.DataFrame(rows)


def _result(name: str, measure: Probe, backbone: Backbone, task: Task, ids: Ids) -> dict[str, float]:
    try:
        found = dict(measure.run(backbone, task, ids))
    except MetanetError as error:
        raise MetanetError(f"backbone {name!r}: {error}") from None
    columns = {"": "value", ".se": "se", ".low": "ci_low", ".high": "ci_high"}
    row = {column: found.pop(f"{task.metric}{part}") for part, column in columns.items()}
    return {**row, **found, "n_train": len(ids)}
