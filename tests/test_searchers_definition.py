"""A study tells its space: what is written is what is read, or the space has to be named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import SMALL
from test_searchers_table import TableSpace, score

from metanet.errors import MetanetError
from metanet.search_spaces import SPACES, LatencySetting, LatencyTable, load_space
from metanet.searchers import ChoiceTable, definition, load_result, search

TABLE = ChoiceTable(
    "cells",
    {"op": ("none", "conv", None), "width": (8, 1.5), "se": (True, False)},
    {"macs": {"op": (np.int64(0), 9, 1), "width": (1, 2)}},
)
KINDS = {
    **{name: load_space(name) for name in SPACES},
    "alternatives": SMALL,
    "frozen": load_space("metanet-tiny").freeze(resolution=28),
    "union": load_space("metanet-tiny") | SMALL,
    "shared": load_space("metanet-tiny").shared("kernel"),
    "table": TABLE,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind: str) -> None:
    space: Any = KINDS[kind]
    text = json.dumps(definition.written(space))
    assert len(text) < 20_000
    read: Any = definition.read(json.loads(text))
    assert type(read) is type(space)
    assert (read.name, read.fingerprint) == (space.name, space.fingerprint)
    assert [(gene.name, tuple(gene.choices)) for gene in read.genes] == [
        (gene.name, tuple(gene.choices)) for gene in space.genes
    ]


def test_a_space_of_a_users_own_kind_is_not_written(tmp_path: Path) -> None:
    assert definition.written(TableSpace()) is None
    search(TableSpace(), score, trials=2, store=tmp_path / "s")
    with pytest.raises(MetanetError, match=r"does not tell the choices of 'table', .* give the space \(`load_result"):
        load_result(tmp_path / "s")
    assert len(load_result(tmp_path / "s", TableSpace()).scored) == 2


def test_measured_latencies_are_left_out() -> None:
    timed = SMALL.timed(LatencyTable(LatencySetting(), {}))
    assert timed.fingerprint != SMALL.fingerprint
    assert definition.read(definition.written(timed) or {}) == SMALL
    union: Any = definition.read(definition.written(timed | load_space("metanet-tiny")) or {})
    assert union.fingerprint == (SMALL | load_space("metanet-tiny")).fingerprint


def test_costs_of_rows_are_left_out(tmp_path: Path) -> None:
    costs = {row: index for index, row in enumerate((a, b) for a in "xy" for b in (1, 2))}
    table = ChoiceTable("rows", {"a": ("x", "y"), "b": (1, 2)}, row_costs={"macs": costs})
    search(table, lambda row: float(row["b"]), constraints="macs <= 2", trials=3, store=tmp_path / "s")
    result = load_result(tmp_path / "s")
    assert result.space.price(result.best.spec) == {} and result.best.costs == {"macs": 1}
    assert load_result(tmp_path / "s", table).best.costs == {"macs": 1}


def test_a_search_goes_on_where_the_study_tells_its_space(tmp_path: Path) -> None:
    def evaluate(row: Any) -> float:
        return float(row["width"])

    search(TABLE, evaluate, trials=4, store=tmp_path / "s")
    content = (tmp_path / "s").read_bytes()
    lines = [line for line in content.splitlines(keepends=True) if b'"fingerprint"' not in line]
    assert len(lines) == content.count(b"\n") - 1
    (tmp_path / "s").write_bytes(b"".join(lines))  # as an older version left it
    with pytest.raises(MetanetError, match="does not tell the choices"):
        load_result(tmp_path / "s")
    search(TABLE, evaluate, trials=5, store=tmp_path / "s")
    result = load_result(tmp_path / "s")
    assert len(result.scored) == 5 and result.space.fingerprint == TABLE.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "0"},
        {"spaces": ["name: [nonsense"]},
        {"spaces": ["name: x\nbetter: [1]"]},
        {"spaces": []},
        {"spaces": None},
        {"spaces": None, "choices": 3},
    ],
)
def test_a_space_that_is_not_understood_has_to_be_named(change: dict[str, Any]) -> None:
    written = {**(definition.written(SMALL) or {}), **change}
    with pytest.raises(MetanetError, match="is not understood, another version of metanet may have made it: name the"):
        definition.read(written)
