"""What the tables on zero-cost proxies say."""

from ranking_tables import TOLD, order_rows
from rows import ROOT, markdown, stored
from rows import note as source

COMMAND = "python perf/proxies.py"


def proxies() -> str:
    """How untrained scores order the half of the networks that rules of training are compared on."""
    return _half("proxies", COMMAND)


def proxies_report() -> str:
    """How they order the other half."""
    return _half("proxies_report", f"{COMMAND} --report")


def _half(name: str, command: str) -> str:
    if not (ROOT / "perf" / "results" / f"{name}.json").exists():
        return f"Not measured yet: `{command}`.\n\n"
    about = stored(name)
    known, whole = (about["trainings"][name] for name in ("known", "whole"))
    part = "" if known == whole else f"; from {known} of {whole} trainings"
    rows = order_rows(about, {by: by for by in about["options"]["scores"]})
    return markdown(rows, f"{source(about, command)}; {TOLD}{part}")
