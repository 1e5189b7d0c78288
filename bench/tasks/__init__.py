"""The 26 tasks of GV-B as data, what was published for them, and the averages of the paper."""

from metanet.bench.tasks.published import AGGREGATES, averages, published
from metanet.bench.tasks.table import GVB, Download, GvbTask, task_rows

__all__ = ["AGGREGATES", "GVB", "Download", "GvbTask", "averages", "published", "task_rows"]
