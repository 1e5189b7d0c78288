"""Writes the generated tables of README.md and docs/ from perf/results and from the zoo; `--check` only compares.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Command: `make docs`.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metanet.bench.tasks import GVB, GvbTask
from metanet.factory import MODELS, find
from metanet.report.members import SIDES, facts
from metanet.report.style import quantity
from metanet.search_spaces import SPACES

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(rows: list[dict[str, Any]], note: str) -> str:
    """Rows as a Markdown table with a line on where they come from."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join([*lines, "", f"<sub>{note}</sub>", ""])


def _note(about: dict[str, Any], command: str) -> str:
    machine = about["machine"]
    return f"{about['created'][:10]}, torch {about['versions']['torch']}, {machine['cpus']} CPU cores: `{command}`"


def _stored(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "perf" / "results" / f"{name}.json").read_text()))


def models() -> str:
    """The members of the family, in short."""
    rows = []
    for name in MODELS:
        row = facts(name)
        cells = {"name": name, "px": row["resolution"], "parameters": quantity(row["params"], zeros=True)}
        cells |= {f"MACs, {side} px": quantity(row[f"macs_{side}"], zeros=True) for side in SIDES}
        cells |= {"memory": f"{quantity(row['memory'], zeros=True)}B"}
        rows.append(cells | {"provenance": row["provenance"].partition(",")[0]})
    return markdown(rows, "px: its own resolution, which memory refers to; without classifier: `metanet list`")


def members() -> str:
    """The members of the family, exactly."""
    rows = []
    for name in MODELS:
        row = facts(name)
        cells = {"name": name, "resolution": row["resolution"], "parameters": f"{row['params']:,}"}
        own = row["params_with_classifier"]
        cells |= {"with classifier": f"{own:,}" if own else "–"}
        cells |= {f"MACs at {side} px": f"{row[f'macs_{side}']:,}" for side in SIDES}
        cells |= {"activations": f"{row['activations']:,}", "memory, bytes": f"{row['memory']:,}"}
        rows.append(cells | {"provenance": row["provenance"]})
    return markdown(rows, "`metanet list --json`; activations and memory of one image at the resolution in the table")


def spaces() -> str:
    """The spaces by name."""
    members, rows = {name: find(name).spec for name in MODELS}, []
    for space in SPACES.values():
        ends = {metric: [quantity(end) for end in space.table.extremes(metric)] for metric in ("macs", "params")}
        size = f"{space.size:,}" if space.size < 10**12 else f"{space.size:.3g}"
        cells = {"name": space.name, "architectures": size, "px": ", ".join(map(str, space.resolution))}
        cells |= {"MACs": " to ".join(ends["macs"]), "parameters": " to ".join(ends["params"])}
        rows.append(cells | {"holds": ", ".join(name for name, spec in members.items() if space.contains(spec)) or "–"})
    return markdown(rows, "`metanet space list`; cheapest to dearest architecture, without classifier")


def basics() -> str:
    """What the basics cost."""
    about = _stored("basics")
    rows = [{"what": row["what"], "measured": f"{row['value']:.2f} {row['unit']}"} for row in about["rows"]]
    return markdown(rows, _note(about, "python perf/basics.py"))


def demo() -> str:
    """What the main job found."""
    about = _stored("demo")
    rows = [{k: v if isinstance(v, str) else f"{v:.1%}" for k, v in row.items()} for row in about["rows"]]
    return markdown(rows, _note(about, "make demo && python perf/demo.py")) + f"\n{about['verdict']}\n\n"


def times() -> str:
    """How long the phases of the main job took."""
    about = _stored("demo")
    rows = [{"phase": phase, "seconds": took} for phase, took in about["seconds"].items()]
    return markdown(rows, _note(about, "make demo && python perf/demo.py"))


def forward() -> str:
    """How fast networks run, fused, compiled and not."""
    about = _stored("forward")
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
    return markdown(rows, _note(about, "python perf/forward.py") + "; 224 px, each block in turns in one process")


def limits() -> str:
    """Where the time of a fused MN-B4 goes."""
    about = _stored("limits")
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
    return markdown(rows, _note(about, "python perf/limits.py"))


def latency() -> str:
    """How well latency adds up."""
    about = _stored("latency")
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
    return markdown(rows, f"{_note(about, 'python perf/latency.py')}; {about['options']['processor']}, one thread")


def precision() -> str:
    """What bfloat16 costs in accuracy."""
    about, rows = _stored("precision"), []
    for row in about["rows"]:
        cells = {"network": row["network"], "way": row["way"], "accuracy": f"{row['accuracy']:.2%}"}
        apart = {
            "points from eager": f"{100 * row['difference']:+.2f}",
            "95 % over test images": _points(row["images"]),
            "95 % over trainings": _points(row["networks"]),
            "answers that count otherwise": f"{row['changed']:.2%}",
            "error of a feature (largest)": "{:.1e} ({:.1e})".format(*row["error"]),
        }
        rows.append(cells | (dict.fromkeys(apart, "–") if row["way"] == "eager" else apart))
    seeds = len(about["options"]["seeds"])
    note = f"{seeds} trainings each; errors as shares of the spread between images"
    return markdown(rows, f"{_note(about, 'python perf/precision.py')}; {note}")


def _points(ends: list[float]) -> str:
    return "{:+.2f} to {:+.2f}".format(*(100 * end for end in ends))


def space_draws() -> str:
    """How fast feasible architectures are drawn, beside rejection."""
    about, rows = _stored("space"), []
    for row in about["draws"]:
        other, targets = row["rejection"], row["targets"]
        plain = f"{other['rate']:,.0f}" if other["accepted"] else f"none of {other['tried']:,}"
        cells = {"rules": row["what"], "share of the space": f"{row['share']:.1e}"}
        cells |= {"set-up (at most)": f"{row['setup']:.2f} s ({targets['setup']:.1f} s)"}
        cells |= {"draws a second (at least)": f"{row['rate']:,.0f} ({targets['rate']:,.0f})"}
        cells |= {"outside": f"{row['outside']} of {row['draws']:,}", "by rejection, a second": plain}
        rows.append(cells)
    options = about["options"]
    note = f"space {options['space']}, {options['size']:.1e} architectures, one thread; in brackets what we aim at"
    return markdown(rows, f"{_note(about, 'python perf/space.py')}; {note}")


def space_costs() -> str:
    """How fast architectures are priced, made and refused."""
    about = _stored("space")
    rows = []
    for row in [*about["costs"], {**about["specs"], "same": "every rule holds"}]:
        aim = f"{row['target']:,.0f}" if row["target"] else "–"
        rate = f"{row['rate']:,.0f}" if row["rate"] >= 100 else f"{row['rate']:.2g}"
        rows.append({"what": row["what"], "a second": rate, "aim": aim, "result": row["same"]})
    for row in about["refusals"]:
        took, aim = f"{row['seconds']:.2f} s", f"{row['target']:.0f} s"
        rows.append({"what": f"`{row['rules']}`", "a second": took, "aim": aim, "result": "refused"})
    return markdown(rows, f"{_note(about, 'python perf/space.py')}; MACs and parameters together, one thread")


def space_others() -> str:
    """How fast NNI and Optuna draw."""
    about = _stored("space")
    nni, optuna = about["others"]["nni"], about["others"]["optuna"]
    first = about["draws"][0]
    rows = [
        {"what": "NNI: `ModelSpace.random()`, a network each", "a second": f"{nni['random']:,.1f}", "kept": "all"},
        {"what": "NNI: samples, priced by its profilers", "a second": f"{nni['priced']:,.0f}", "kept": "all"},
        _kept("NNI: of these MACs within 1 % of the median", nni["one"]),
        _kept("NNI: of these MACs and parameters within 1 %", nni["both"]),
        {"what": "Optuna: RandomSampler, trials", "a second": f"{optuna['trials']:,.0f}", "kept": "all"},
        _kept(f"Optuna: of these {first['what']}", optuna),
        {"what": f"metanet: {first['what']}", "a second": f"{first['rate']:,.0f}", "kept": "all"},
    ]
    note = f"NNI's space: {nni['space']}, {nni['size']:.1e} networks; one thread"
    return markdown(rows, f"{_note(about, 'python perf/space.py')}; {note}")


def _kept(what: str, found: dict[str, float]) -> dict[str, Any]:
    return {"what": what, "a second": f"{found['rate']:,.1f}", "kept": f"{found['share']:.2%}"}


def exact() -> str:
    """How exact prices are."""
    about = _stored("exact")
    rows = [
        {
            "space": row["space"],
            "architectures": f"{row['priced']:,}",
            "the table differs from `metanet.cost` in": row["cost"],
            "networks built": f"{row['built']:,}",
            "the table differs from torch in": row["torch"],
        }
        for row in about["rows"]
    ]
    return markdown(rows, _note(about, "python perf/exact.py"))


def gvb_tasks() -> str:
    """The tasks of GV-B."""
    rows = [
        {
            "task": f"[{task.title}]({task.home})",
            "name": f"`{task.name}`",
            "metric": {"mean_per_class": "mean per class"}.get(task.metric, task.metric),
            "classes": task.classes or "–",
            "train": f"{task.train:,}",
            "test": f"{task.test:,}",
            "which": task.splits,
            "drawn together": task.groups or "–",
            "licence": task.licence,
        }
        for task in GVB.values()
    ]
    return markdown(rows, "`bench/tasks/gvb.yaml`; licences as far as we know, the home pages decide")


def gvb_layout() -> str:
    """What must be below the data root."""
    rows = [
        {
            "name": f"`{task.name}`",
            "folder": f"`{task.folder}`",
            "what must be there": ", ".join(f"`{path.replace('|', '` or `')}`" for path in task.layout),
            "where it comes from": _sources(task),
        }
        for task in GVB.values()
        if task.kind == "classification"
    ]
    return markdown(rows, "`bench/tasks/gvb.yaml`; the doctor says it with checksums")


def _sources(task: GvbTask) -> str:
    files = [f"[{each.name}]({each.url})" for each in task.downloads] or [f"[home page]({task.home})"]
    return ", ".join(files) + (f"; {task.hint}" if task.hint else "")


def probe_forwards() -> str:
    """How many images go through a backbone for a task."""
    about = _stored("probes")
    rows = [
        {
            "task": row["task"],
            "images, train + test": f"{row['train']:,} + {row['test']:,}",
            "GV-B's protocol": f"{row['gvb']:,}",
            "ELEVATER's": f"{row['elevater']:,}",
            "metanet": f"{row['ours']:,}",
            "fewer than GV-B's": f"{row['gvb'] / row['ours']:.0f} x",
        }
        for row in about["forwards"]
    ]
    percents = ", ".join(map(str, about["options"]["percents"]))
    seeds = len(about["options"]["seeds"])
    note = f"{percents} % of the training images, {seeds} seeds each, counted"
    return markdown(rows, f"{_note(about, 'python perf/probes.py')}; {note}")


def probe_solvers() -> str:
    """How long logistic regression takes along a path of C."""
    about, rows = _stored("probes"), []
    for solver in about["solvers"].values():
        size, first = solver["problem"], solver["ways"][0]
        for way in solver["ways"]:
            cells = {"images x features, classes": f"{size['n']:,} x {size['d']:,}, {size['k']}"}
            cells |= {"solver": way["way"], "values of C": way["costs"], "processor seconds": f"{way['cpu']:.1f}"}
            cells |= {"times ours": f"{way['cpu'] / first['cpu']:.1f}", "largest gap": f"{way['gap']:.0e}"}
            rows.append(cells | {"best accuracy": f"{way['accuracy']:.1%}"})
    when = {name: f"{s['rows'][0]['when']} to {s['rows'][-1]['when']}" for name, s in about["solvers"].items()}
    note = "one thread; " + ", ".join(f"{name} problem measured {span}" for name, span in when.items())
    learn = f"scikit-learn {about['versions']['scikit-learn']}"
    return markdown(rows, f"{_note(about, 'python perf/probes.py')}, {learn}; {note}")


TABLES: dict[str, Callable[[], str]] = {
    "models": models,
    "members": members,
    "spaces": spaces,
    "basics": basics,
    "demo": demo,
    "times": times,
    "forward": forward,
    "limits": limits,
    "latency": latency,
    "precision": precision,
    "space_draws": space_draws,
    "space_costs": space_costs,
    "space_others": space_others,
    "exact": exact,
    "gvb_tasks": gvb_tasks,
    "gvb_layout": gvb_layout,
    "probe_forwards": probe_forwards,
    "probe_solvers": probe_solvers,
}


def written(text: str) -> str:
    """A page with its tables as they should be."""
    return _TABLE.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


def main() -> None:
    """Writes the pages, or with --check fails where one is not up to date."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if "--check" in sys.argv and text != written(text):
            raise SystemExit(f"{page.name} is not what the stored results say: run make docs")
        page.write_text(written(text), encoding="utf-8")


if __name__ == "__main__":
    main()
