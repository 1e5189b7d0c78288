"""Random tables to choose the settings of samplers by, so that they are not chosen by real benchmarks.

Each has single effects of unequal weight, effects of half of the pairs, and a residue of each row's own; every third
saturates towards its best, every third has cliffs (choices that ruin a row), and two of three are noisy: three runs a
row. Writes FOLDER/synthetic-N.json for `perf/samplers.py`. Command: `python perf/synthetic.py FOLDER --tables 60`.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np

SHAPES = ((8, 3), (6, 4), (5, 5), (12, 2), (7, 3))  # genes, choices
NOISES = (0.0, 0.15, 0.3)  # in standard deviations of the better half
CLIFF = 8.0  # in standard deviations of all


def table(number: int) -> dict[str, dict[str, list[float]]]:
    """One table: {row: {"score": runs}}."""
    rng = np.random.default_rng([99, number])
    genes, choices = SHAPES[number % len(SHAPES)]
    rows = np.array(list(itertools.product(range(choices), repeat=genes)))
    weight = rng.lognormal(0, 0.8, size=genes)
    single = rng.normal(size=(genes, choices)) * weight[:, None]
    value = single[np.arange(genes), rows].sum(1)
    for i, j in itertools.combinations(range(genes), 2):
        if rng.random() < 0.5:
            pair = rng.normal(size=(choices, choices)) * 0.5 * np.sqrt(weight[i] * weight[j])
            value = value + pair[rows[:, i], rows[:, j]]
    value = (value - value.mean()) / value.std() + 0.1 * rng.normal(size=len(rows))
    if number % 3 == 1:
        value = -np.exp(-value)
    if number % 3 == 2:
        bad, (i, j) = rng.integers(choices, size=genes), rng.choice(genes, 2, replace=False)
        after = (j + 1) % genes
        ruined = (rows[:, i] == bad[i]) | ((rows[:, j] == bad[j]) & (rows[:, after] == bad[after]))
        value = np.where(ruined, value - CLIFF, value)
    noise = NOISES[number // 3 % 3] * np.sort(value)[len(value) // 2 :].std()
    runs = value[:, None] + noise * rng.normal(size=(len(rows), 3 if noise else 1))
    return {"".join(map(str, row)): {"score": seen} for row, seen in zip(rows.tolist(), runs.tolist(), strict=True)}


def main() -> None:
    """Writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", type=int, default=60)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for number in range(options.tables):
        (options.folder / f"synthetic-{number}.json").write_text(json.dumps(table(number)))


if __name__ == "__main__":
    main()
