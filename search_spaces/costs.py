"""Costs of arrays of encoded architectures: exact integer tables, summed over stages.

A stage costs its first block, which depends on the width before it, and depth - 1 equal blocks.
"""

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metanet.blocks import BLOCKS, Tally
from metanet.search_spaces.constraints import METRICS

if TYPE_CHECKING:
    from metanet.search_spaces.space import Indices, Space, StageChoices

Table = NDArray[np.int64]


class CostTable:
    """Costs for a space; each table's last axis holds METRICS.

    stem    (resolution, stem width)
    first   per stage: (resolution, width before, width, op, expansion, kernel, se): the first block
    rest    per stage: (resolution, width, op, expansion, kernel, se): each further block
    head    (resolution, last width, head width)
    """

    def __init__(self, space: "Space") -> None:
        self.space = space
        sides = {r: -(-r // 2) for r in space.resolution}
        self.stem = _fill((space.resolution, space.stem_width), lambda r, w: _conv_norm(r, 3, w, 3, 2))
        self.first, self.rest, before = [], [], space.stem_width
        for stage in space.stages:
            axes = (stage.op, stage.expansion, stage.kernel, stage.se)
            inner = {r: -(-side // stage.stride) for r, side in sides.items()}
            self.first.append(
                _fill(
                    (space.resolution, before, stage.width, *axes),
                    lambda r, w_in, *genes, s=stage, at=dict(sides): _block(space, s, at[r], w_in, genes, s.stride),
                )
            )
            self.rest.append(
                _fill(
                    (space.resolution, stage.width, *axes),
                    lambda r, *genes, s=stage, at=inner: _block(space, s, at[r], genes[0], genes, 1),
                )
            )
            sides, before = inner, stage.width
        self.head = _fill(
            (space.resolution, before, space.head_width),
            lambda r, w, head, at=dict(sides): _conv_norm(at[r], w, head, 1, 1),
        )

    def __call__(self, rows: "Indices") -> dict[str, NDArray[np.int64]]:
        """Costs of rows (n, genes): metric -> (n,), equal to `metanet.cost` of each architecture, to the integer."""
        column = self.space.column
        at = {name: rows[:, i] for name, i in column.items()}
        total = self.stem[at["resolution"], at["stem_width"]].copy()
        before = at["stem_width"]
        for i, stage in enumerate(self.space.stages):
            width = at[f"stage{i}.width"]
            genes = tuple(at[f"stage{i}.{gene}"] for gene in ("op", "expansion", "kernel", "se"))
            more = np.asarray(stage.depth)[at[f"stage{i}.depth"]] - 1
            total += self.first[i][(at["resolution"], before, width, *genes)]
            total += self.rest[i][(at["resolution"], width, *genes)] * more[:, None]
            before = width
        total += self.head[at["resolution"], before, at["head_width"]]
        return {metric: total[:, k] for k, metric in enumerate(METRICS)}

    def extremes(self, metric: str) -> tuple[int, int]:
        """The least and the greatest value of a metric in the space."""
        k = METRICS.index(metric)
        return self._best(k, np.min), self._best(k, np.max)

    def _best(self, k: int, pick: Callable[..., Any]) -> int:
        best = self.stem[..., k]  # (resolution, width so far)
        for i, stage in enumerate(self.space.stages):
            more = np.asarray(stage.depth) - 1
            first, rest = self.first[i][..., k], self.rest[i][..., k]
            stages = first[..., None] + rest[:, None, ..., None] * more  # depth is the last axis
            chain = best[:, :, None] + pick(stages.reshape(*stages.shape[:3], -1), axis=-1)
            best = pick(chain, axis=1)
        return int(pick(best[:, :, None] + self.head[..., k]))


def _fill(axes: tuple[tuple[object, ...], ...], price: Callable[..., Tally]) -> Table:
    tallies = [price(*genes) for genes in product(*axes)]
    values = [[getattr(tally, metric) for metric in METRICS] for tally in tallies]
    return np.array(values, dtype=np.int64).reshape(*(len(axis) for axis in axes), len(METRICS))


def _conv_norm(side: int, w_in: int, w_out: int, kernel: int, stride: int) -> Tally:
    tally = Tally(side, side)
    tally.conv(w_in, w_out, kernel, stride=stride)
    tally.norm(w_out)
    return tally


def _block(
    space: "Space", stage: "StageChoices", side: int, w_in: int, genes: tuple[object, ...], stride: int
) -> Tally:
    width, op, expansion, kernel, se = genes
    picked = {"width": width, "op": op, "expansion": expansion, "kernel": kernel, "se": se}
    spec = space.stage_spec(stage, picked)
    tally = Tally(side, side)
    BLOCKS[spec.op].cost(tally, w_in, spec, stride=stride)
    return tally
