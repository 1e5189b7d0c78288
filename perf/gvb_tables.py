"""What the tables on GV-B say."""

from rows import markdown, stored
from rows import note as source

from metanet.bench.tasks import GVB, GvbTask


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
    about = stored("probes")
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
    return markdown(rows, f"{source(about, 'python perf/probes.py')}; {note}")


def probe_solvers() -> str:
    """How long logistic regression takes along a path of C."""
    about, rows = stored("probes"), []
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
    return markdown(rows, f"{source(about, 'python perf/probes.py')}, {learn}; {note}")


def packaged_scores() -> str:
    """Real scores on images from packages."""
    about, rows = stored("packaged"), {}
    percents = sorted({row["percent"] for row in about["scores"]})
    tasks = list(dict.fromkeys(row["task"] for row in about["scores"]))
    for score in about["scores"]:
        place = rows.setdefault(score["backbone"], {"backbone": score["backbone"], **dict.fromkeys(tasks, "")})
        place[score["task"]] += f"{' / ' if place[score['task']] else ''}{100 * score['value']:.1f}"
    shares = " / ".join(f"{percent:g}" for percent in percents)
    note = f"test scores in % with {shares} % of the training images, mean over 3 draws; solar cells: mean per class"
    return markdown(list(rows.values()), f"{source(about, 'python perf/packaged.py')}; {note}")


def packaged_times() -> str:
    """How long that takes."""
    about = stored("packaged")
    named = {
        "cold": "nothing kept",
        "again": "the same command again: cells are read",
        "features": "another folder of cells: features are read, probes fitted",
    }
    rows = [
        {
            "run": named[name],
            "forward passes": f"{run['forwards']:,}",
            "seconds": f"{run['clock']:.0f}",
            "processor seconds": f"{run['processor']:.0f}",
        }
        for name, run in about["runs"].items()
    ]
    return markdown(rows, source(about, "python perf/packaged.py"))
