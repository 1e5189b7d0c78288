"""The report of a study: a page, and a PNG file of each plot."""

from metanet.searchers.report.page import write_report

__all__ = ["write_report"]
