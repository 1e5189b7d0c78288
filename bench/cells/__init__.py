"""Results: cells on disk, runs that fill them, tables and comparisons that are made of them alone."""

from metanet.bench.cells.cell import Cell
from metanet.bench.cells.compare import compare
from metanet.bench.cells.curves import area, data_needed, efficiency_table
from metanet.bench.cells.folder import CellFolder, Results, Row, load_results
from metanet.bench.cells.leaked import Doubles, doubles_of, doubles_table, read_leaks, without_table, write_leaks
from metanet.bench.cells.named import compare_named
from metanet.bench.cells.plan import check_request
from metanet.bench.cells.report import Tables, tables_of, write_report
from metanet.bench.cells.run import Summary, run_cells
from metanet.bench.cells.scores import Point, averages_table, cells_table, points_of, summary_table
from metanet.bench.cells.transfer import agreement_table, transfer_table

__all__ = [
    "Cell",
    "CellFolder",
    "Doubles",
    "Point",
    "Results",
    "Row",
    "Summary",
    "Tables",
    "agreement_table",
    "area",
    "averages_table",
    "cells_table",
    "check_request",
    "compare",
    "compare_named",
    "data_needed",
    "doubles_of",
    "doubles_table",
    "efficiency_table",
    "load_results",
    "points_of",
    "read_leaks",
    "run_cells",
    "summary_table",
    "tables_of",
    "transfer_table",
    "without_table",
    "write_leaks",
    "write_report",
]
