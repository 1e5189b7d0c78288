"""The plots that a study has besides its trajectory and its front: the volume that it dominates and its times."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from metanet.report.chart import Chart, Series
from metanet.report.plots import Plot
from metanet.report.style import colours

if TYPE_CHECKING:
    import pandas as pd

WIDE = 50  # largest over smallest time from which the axis is logarithmic


def volume(curves: "Mapping[str, pd.Series[float]]", *, label: str, axis: str = "evaluations") -> Plot:
    """What grows with the number of evaluations, one line a run.

    curves   by run; their index is the number
    """
    colour = colours(list(curves))
    series = [
        Series(name, curve.index.tolist(), curve.tolist(), colour[name], "steps") for name, curve in curves.items()
    ]
    return Plot(Chart(axis, label, series))


def durations(seconds: Mapping[str, Sequence[float]], *, axis: str = "evaluation") -> Plot:
    """The time of each evaluation, and the median of a twentieth of them around it.

    seconds   by run, in the order of the evaluations; NaN where it is not known
    """
    import pandas as pd

    colour, series = colours(list(seconds)), []
    for name, values in seconds.items():
        numbers, times = list(range(1, len(values) + 1)), pd.Series(values, dtype=float)
        middle = times.rolling(max(5, len(times) // 20), min_periods=1, center=True).median()
        series.append(Series(name, numbers, times.tolist(), colour[name], "dots", legend=False))
        series.append(Series(f"{name}, running median", numbers, middle.tolist(), colour[name]))
    known = [time for values in seconds.values() for time in values if math.isfinite(time) and time > 0]
    wide = bool(known) and max(known) > WIDE * min(known)
    return Plot(Chart(axis, "seconds an evaluation", series, log_y=wide))
