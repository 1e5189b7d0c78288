"""A family that was made: as a table, as JSON, as files, as a plot."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from metanet.blocks import Cost
from metanet.cli.output import emit, table
from metanet.cli.space import stages_line
from metanet.cost import price
from metanet.report import ladder
from metanet.report.style import quantity
from metanet.runs import atomic_write
from metanet.search_spaces.family import Chosen, Family, Rung, as_zoo
from metanet.spec import ArchSpec


@dataclass(frozen=True)
class Made:
    """A family and the networks of its rungs."""

    family: Family
    rungs: Mapping[str, Rung]

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """Of all networks by name, anchors included, fewest parameters first."""
        specs = {**self.family.anchors, **{name: rung.spec for name, rung in self.rungs.items()}}
        costs = {name: price(spec) for name, spec in specs.items()}
        return dict(sorted(costs.items(), key=lambda item: item[1].params))

    @property
    def specs(self) -> dict[str, ArchSpec]:
        """All networks, in the same order."""
        anchors, rungs = self.family.anchors, self.rungs
        return {name: rungs[name].spec if name in rungs else anchors[name] for name in self.costs}


def show(made: Made, out: str | None, *, json: bool) -> int:
    """Prints the family as a table, or as JSON; `out` is the folder that it was written into."""
    rows: list[dict[str, Any]] = []
    for name, spec in made.specs.items():
        cost, rung = made.costs[name], made.rungs.get(name)
        row = {"name": name, "params": cost.params, "macs": cost.macs, "spec": spec.to_text()}
        rows.append(row | {"deviation": rung.deviation if rung else None})
    if json:
        return emit(rows)
    shown = [
        {
            "name": row["name"],
            "params": quantity(row["params"], zeros=True),
            "MACs": quantity(row["macs"], zeros=True),
            "off": "anchor" if row["deviation"] is None else f"{row['deviation']:.2%}",
            "stem and stages (depth x width)": f"stem {spec.stem_width}, {stages_line(spec)}",
        }
        for row, spec in zip(rows, made.specs.values(), strict=True)
    ]
    table(shown, title="totals without classifier; off: the largest deviation from the ladder's totals")
    if out:
        last = f"metanet show {out}/{rows[-1]['name']}.json"
        print(f"wrote {out} with family.json, family.png and a spec a network: {last}")
    return 0


def write(folder: Path, rungs: Mapping[str, Rung | Chosen], by: str, specs: Mapping[str, ArchSpec]) -> None:
    """family.json in the zoo's format, with how the rungs were made, and a spec file for each network."""
    for name, spec in specs.items():
        atomic_write(folder / f"{name}.json", spec.to_json() + "\n")
    atomic_write(folder / "family.json", as_zoo(rungs, by))


def draw(path: Path, made: Made) -> None:
    """Parameters over MACs of the networks, and what was asked for."""
    points = {name: (float(cost.params), float(cost.macs)) for name, cost in made.costs.items()}
    wanted = [rung.target for rung in made.rungs.values()]
    targets = [(target.params, target.macs) for target in wanted if target.macs is not None]
    ladder(points, anchors=list(made.family.anchors), targets=targets, words=("made", "anchor")).save_png(path)
