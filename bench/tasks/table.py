"""The table of tasks, `gvb.yaml`, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("gvb.yaml")


@dataclass(frozen=True)
class Download:
    """A file to get: where from, its name and MD5 where one is published, and the folder that it belongs into, below
    that of its task."""

    url: str
    into: str
    md5: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file or self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class GvbTask:
    """A task of the benchmark without its data; what the fields mean is said at the top of gvb.yaml."""

    name: str
    title: str
    kind: str
    metric: str
    train: int
    test: int
    splits: str
    reader: str
    folder: str
    layout: Mapping[str, str]
    home: str
    licence: str
    classes: int | None = None
    parts: tuple[str, ...] = ()
    groups: str = ""
    md5: Mapping[str, str] = field(default_factory=dict)
    downloads: tuple[Download, ...] = ()
    hint: str = ""
    exact: bool = True

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of its scores in tables of results: one, or one for each part."""
        return tuple(f"{self.name}/{part}" for part in self.parts) or (self.name,)

    @property
    def lower_is_better(self) -> bool:
        """Whether its metric is an error."""
        return self.metric in ("MR-2", "RMSE")


def _load() -> dict[str, GvbTask]:
    import yaml  # type: ignore[import-untyped]

    # CSafeLoader is ten times as fast where libyaml is there
    table: dict[str, dict[str, Any]] = yaml.load(
        TABLE.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return {name: _task(name, fields) for name, fields in table.items()}


def _task(name: str, fields: dict[str, Any]) -> GvbTask:
    downloads = tuple(Download(**each) for each in fields.pop("downloads"))
    return GvbTask(name, parts=tuple(fields.pop("parts", ())), downloads=downloads, **fields)


GVB: dict[str, GvbTask] = _load()


def task_rows() -> list[dict[str, Any]]:
    """One row a task, for tables."""
    return [
        {
            "task": task.name,
            "kind": task.kind,
            "metric": task.metric,
            "classes": task.classes,
            "train": task.train,
            "test": task.test,
            "splits": task.splits,
            "groups": task.groups,
            "folder": task.folder,
            "reader": task.reader,
            "licence": task.licence,
            "home": task.home,
        }
        for task in GVB.values()
    ]
