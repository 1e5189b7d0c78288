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


def predicted() -> str:
    """How the predictor orders networks that it has not seen, with proxies beside the genes and without."""
    about = stored("predicted")
    models, besides = (list(dict.fromkeys(row[key] for row in about["rows"])) for key in ("model", "beside"))
    by = {(row["model"], row["beside"], row["count"]): row for row in about["rows"]}
    rows = [
        {"learns from": beside, "model": model}
        | {f"{count} trainings": _spread(by[model, beside, count]) for count in about["options"]["counts"]}
        for model in models
        for beside in besides
    ]
    draws, others = about["options"]["draws"], about["options"]["networks"]
    told = f"Kendall's tau-b on {others} other networks, mean of {draws} draws (tenth to ninetieth percentile)"
    return markdown(rows, f"{source(about, 'python perf/predicted.py')}; {told}; `process`: that of `predictor`")


def _spread(row: dict[str, float]) -> str:
    mean = f"{row['tau']:.2f}"
    return mean if row["draws"] == 1 else f"{mean} ({row['low']:.2f} to {row['high']:.2f})"
