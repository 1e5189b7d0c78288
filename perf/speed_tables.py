"""What the tables on speed say."""

from statistics import median

from rows import ROOT, markdown, points, stored
from rows import note as source

from metanet.report.style import quantity


def basics() -> str:
    """What the basics cost."""
    about = stored("basics")
    rows = [{"what": row["what"], "measured": f"{row['value']:.2f} {row['unit']}"} for row in about["rows"]]
    return markdown(rows, source(about, "python perf/basics.py"))


def forward() -> str:
    """How fast networks run, fused, compiled and not."""
    about = stored("forward")
    rows = [
        {
            "network": row["way"] if row["kind"] == "peers" and row["way"] != "literal" else row["network"],
            "way": "timm, eager" if row["kind"] == "peers" and row["way"] != "literal" else row["way"],
            "batch": row["batch"],
            "malloc": "keeps memory" if row["keeping"] else "default",
            "images a second": f"{row['images']:.1f}",
            "times the literal one (quartiles)": "{1:.2f} ({0:.2f} to {2:.2f})".format(*row["ratio"]),
            "share of the matmul rate": f"{row['matmul']:.0%}",
        }
        for row in sorted(about["rows"], key=lambda row: (row["kind"] == "peers", row["network"], -row["batch"]))
    ]
    return markdown(rows, source(about, "python perf/forward.py") + "; 224 px, each block in turns in one process")


def limits() -> str:
    """Where the time of a fused MN-B4 goes."""
    about = stored("limits")
    rows = []
    for row in about["rows"]:
        kernels = sorted(row["kernels"].items(), key=lambda item: -item[1])
        parts = [*kernels, ("all kernels, called alone", sum(row["kernels"].values()))]
        parts += [("the network", row["whole"]), ("its MACs in one large matrix product", row["product"])]
        parts.append(("one call with 65,536 MACs", row["call"]))
        for what, took in parts:
            share = f"{took / row['whole']:.0%}"
            rows.append(
                {
                    "batch": row["batch"],
                    "what": what,
                    "ms": f"{1e3 * took:.0f}" if took > 1e-3 else f"{1e3 * took:.2f}",
                    "of the network": share,
                }
            )
    return markdown(rows, source(about, "python perf/limits.py"))


def latency() -> str:
    """How well latency adds up."""
    about = stored("latency")
    rows = []
    for row in about["rows"]:
        error = row["error"]
        cells = {
            "networks are": row["networks are"],
            "parts": row["parts"],
            "seconds to measure": f"{row['seconds']:.0f}",
        }
        cells["networks take"] = f"{row['fastest'] / 1e6:.1f} to {row['slowest'] / 1e6:.1f} ms"
        cells |= {"median error": f"{error['median']:.1f} %", "worst error": f"{error['worst']:.1f} %"}
        cells |= {"Spearman": f"{error['spearman']:.3f}", "Kendall": f"{error['kendall']:.3f}"}
        rows.append(cells | {"factor": f"{row['factor']:.3f}", "median error without": f"{error['plain']:.1f} %"})
    return markdown(rows, f"{source(about, 'python perf/latency.py')}; {about['options']['processor']}, one thread")


def precision() -> str:
    """What bfloat16 costs in accuracy."""
    about, rows = stored("precision"), []
    for row in about["rows"]:
        cells = {"network": row["network"], "way": row["way"], "accuracy": f"{row['accuracy']:.2%}"}
        apart = {
            "points from eager": f"{100 * row['difference']:+.2f}",
            "95 % over test images": points(row["images"]),
            "95 % over trainings": points(row["networks"]),
            "answers that count otherwise": f"{row['changed']:.2%}",
            "error of a feature (largest)": "{:.1e} ({:.1e})".format(*row["error"]),
        }
        rows.append(cells | (dict.fromkeys(apart, "–") if row["way"] == "eager" else apart))
    seeds = len(about["options"]["seeds"])
    note = f"{seeds} trainings each; errors as shares of the spread between images"
    return markdown(rows, f"{source(about, 'python perf/precision.py')}; {note}")


def supernet() -> str:
    """What a supernet costs over the networks that are extracted from it."""
    if not (ROOT / "perf" / "results" / "supernet.json").exists():
        return "Not measured yet: `python perf/supernet.py`.\n\n"
    about, rows = stored("supernet"), []
    cells = ("scale", "side", "batch", "ever", "threads")
    for cell in dict.fromkeys(tuple(row[name] for name in cells) for row in about["rows"]):
        own = [row for row in about["rows"] if tuple(row[name] for name in cells) == cell]
        scale, side, batch, ever, threads = cell
        middle = sorted(row["ratio"][1] for row in own)
        took = {name: [row["milliseconds"][name] for row in own] for name in ("network", "extract")}
        rows.append(
            {
                "scale": scale,
                "pixels": side,
                "batch": batch,
                "networks": f"{len(own[0]['specs'])}, ever another" if ever else len(own),
                "threads": threads,
                "extracted network, ms": _from_to(took["network"]),
                "supernet over it": f"{median(middle):.2f}"
                + ("" if ever else f" ({middle[0]:.2f} to {middle[-1]:.2f})"),
                "to extract, ms": _from_to(took["extract"]),
                "largest difference": f"{max(row['difference'] for row in own):.1f}",
            }
        )
    shared = {row["scale"]: quantity(row["shared"]) for row in about["rows"]}
    note = "seconds over seconds in turns, the median network (least to most); shared weights: "
    note += ", ".join(f"{scale} {count}" for scale, count in shared.items())
    return markdown(rows, f"{source(about, 'python perf/supernet.py')}; {note}")


def _from_to(values: list[float]) -> str:
    """Least and most, to two digits."""
    return " to ".join(f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in sorted({min(values), max(values)}))
