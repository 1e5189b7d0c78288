"""The page of the results, section by section."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from metanet.bench.cells.compare import POOLED
from metanet.bench.cells.curves import told
from metanet.bench.cells.transfer import agreement_table
from metanet.bench.cells.wide import label
from metanet.report import Bars, Html, Plot, Radar, Section, figure, page, paragraph, table

if TYPE_CHECKING:
    from metanet.bench.cells.report import Tables

Plots = Mapping[str, Plot | Bars | Radar]
SHOWN = 4  # curves of single tasks that a page holds; the others are PNG files


def page_of(found: "Tables", plots: Plots) -> str:
    """The whole page."""
    sections = [
        Section("Scores", [*_wide(found), *_figures(plots, "bars", "radar")]),
        Section("Data efficiency", list(_efficiency(found, plots))),
        Section("Scores without a fit", list(_transfer(found))),
        Section("Differences", list(_differences(found))),
        Section("Doubles among the test images", list(_doubles(found))),
        Section("Every mean, with both intervals", list(_summary(found))),
        Section("What it was made with", list(_made(found))),
    ]
    return page("GV-B: frozen backbones, scored", [s for s in sections if s.body], lead=_lead(found))


def _lead(found: "Tables") -> str:
    summary = found.summary
    backbones = summary[~summary["baseline"]]["backbone"].nunique()
    baselines = summary[summary["baseline"]]["backbone"].nunique()
    said = (
        f"{_many(backbones, 'backbone')} beside {_many(baselines, 'baseline')} on "
        f"{_many(summary['task'].nunique(), 'task')}. Backbones stay frozen; hyper-parameters were chosen on the drawn "
        "training images alone, and the test images opened once a cell."
    )
    if missing := len(found.results.missing):
        said += (
            f" {missing} of {missing + len(found.results.cells)} cells are not finished: run the same command again."
        )
    return said


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _wide(found: "Tables") -> Iterator[Html]:
    for percent in reversed(found.percents):
        wide = found.wide(percent)
        formats = {str(name): ".1f" for name in wide if pd.api.types.is_numeric_dtype(wide[name])}
        caption = (
            f"Test scores in % with {percent:g} % of the training images, mean over draws; an average is unweighted "
            "and over the tasks that are there, published rows over the same ones"
        )
        yield table(wide, caption=caption, formats=formats)


def _efficiency(found: "Tables", plots: Plots) -> Iterator[Html]:
    if len(found.percents) < 2:
        yield paragraph("One percentage was scored, so there is no curve: give several, as in --percents 1 10 100.")
        return
    yield from _figures(plots, *[name for name in plots if name.startswith("curve-")][:SHOWN])
    probes = list(dict.fromkeys(found.efficiency["probe"]))
    rows = [
        {
            "task": row["task"],
            "backbone": label(row, probes),
            "score to reach": f"{100 * row['target']:.1f}",
            "data needed": told(row["needed"], row["first"]),
            "mean of the curve": f"{100 * row['area']:.1f}",
        }
        for row in found.efficiency.to_dict("records")
    ]
    caption = (
        "Share of the training images at which the curve first reaches the score, between its points linear in the "
        "logarithm of the share; the mean of the curve is over that logarithm, too"
    )
    yield table(pd.DataFrame(rows), caption=caption)


def _transfer(found: "Tables") -> Iterator[Html]:
    if found.transfer.empty:
        return
    percent = found.percents[-1]
    probes = list(dict.fromkeys(found.transfer["probe"]))
    shown = pd.DataFrame(
        [
            {
                "backbone": label(row, probes),
                "task": row["task"],
                "LogME": f"{row['logme']:.3f}",
                "H-score": f"{row['h_score']:.2f}",
                "test score": f"{100 * row['value']:.1f}",
            }
            for row in found.transfer[found.transfer["percent"] == percent].to_dict("records")
        ]
    )
    caption = (
        f"From the features of {percent:g} % of the training images alone: log evidence an image of Bayesian linear "
        "regression, and how much of the features' variance lies between the classes (at most classes - 1, which it is "
        "with no more images than features). All percentages stand in transfer.csv"
    )
    yield table(shown, caption=caption)
    agreement = agreement_table(found.transfer)
    if len(agreement):
        names = {"percent": "%", "logme": "LogME", "h_score": "H-score"}
        caption = "Kendall's tau between these and the test score over all backbones and baselines of a task"
        formats = {"%": "g", "LogME": "+.2f", "H-score": "+.2f"}
        yield table(agreement.rename(columns=names), caption=caption, formats=formats)


def _differences(found: "Tables") -> Iterator[Html]:
    if found.differences.empty:
        return
    rows = found.differences
    shown = pd.DataFrame(
        {
            "first": rows["first"],
            "other": rows["other"],
            "task": [_told_task(row) for row in rows.to_dict("records")],
            "difference": [f"{100 * value:+.1f}" for value in rows["difference"]],
            "95 % interval": [_range(row, "low", "high", "+.1f") for row in rows.to_dict("records")],
            "first alone right": rows["a_alone"],
            "other alone right": rows["b_alone"],
            "p": [f"{p:.2g}" if p >= 1e-4 else "<0.0001" for p in rows["p"]],
        }
    )
    caption = (
        f"First minus other, in points, with {found.percents[-1]:g} % of the training images: paired bootstrap over "
        "test images, and McNemar's exact test on the images that one has right (in more of the draws) and the other "
        "has not; p is not corrected for the number of rows"
    )
    yield table(shown, caption=caption)


def _doubles(found: "Tables") -> Iterator[Html]:
    if found.doubles.empty:
        return
    names = {"of": "among", "by": "evidence", "n_test": "test images"}
    caption = (
        "Test images that have a double among the training images, or among other images that were compared: equal "
        "pixels, close perceptual hashes (pictures of one simple layout look alike to these), close features"
    )
    yield table(found.doubles.rename(columns=names), caption=caption)
    rows = found.without
    if rows.empty:
        yield paragraph("No test image has a double, so there is no score without them.")
        return
    rows = rows[rows["percent"] == found.percents[-1]]
    probes = list(dict.fromkeys(rows["probe"]))
    shown = pd.DataFrame(
        [
            {
                "backbone": label(row, probes),
                "task": row["task"],
                "doubles": f"{row['of']}, {row['by']}",
                "left out": row["left_out"],
                "with": f"{100 * row['with']:.1f}",
                "with, interval": _range(row, "with_low", "with_high", ".1f"),
                "without": "–" if pd.isna(row["without"]) else f"{100 * row['without']:.1f}",
                "without, interval": _range(row, "without_low", "without_high", ".1f"),
            }
            for row in rows.to_dict("records")
        ]
    )
    caption = (
        f"Scores in % with {found.percents[-1]:g} % of the training images on all test images, and on those without a "
        "double; 95 % intervals over test images. All percentages stand in without-doubles.csv"
    )
    yield table(shown, caption=caption)


def _told_task(row: Mapping[Any, Any]) -> str:
    return f"{row['task']} ({row['metric']})" if row["task"] == POOLED else str(row["task"])


def _summary(found: "Tables") -> Iterator[Html]:
    rows = found.summary
    probes = list(dict.fromkeys(rows["probe"]))
    shown = pd.DataFrame(
        [
            {
                "backbone": label(row, probes),
                "task": row["task"],
                "%": row["percent"],
                "images": row["n_train"],
                "metric": row["metric"],
                "mean": f"{100 * row['value']:.1f}",
                "over test images": _range(row, "images_low", "images_high", ".1f"),
                "over draws": _range(row, "seeds_low", "seeds_high", ".1f"),
                "draws": row["draws"],
                **{name.replace("_", " "): f"{100 * row[name]:.1f}" for name in _metrics(rows)},
            }
            for row in rows.to_dict("records")
        ]
    )
    caption = (
        "Two 95 % intervals that answer different questions: other test images (bootstrap), other draws of the "
        "training images (Student's t; none at 100 %, where all draws are the same)"
    )
    yield table(shown, caption=caption, formats={"%": "g"})


def _metrics(rows: pd.DataFrame) -> list[str]:
    from metanet.metrics import METRICS

    # Kappa is of no use for classes without an order; those of retinopathy have one.
    ordered = "retinopathy" in set(rows["task"]) or "quadratic_kappa" in set(rows["metric"])
    return [name for name in METRICS if name in rows and (ordered or name != "quadratic_kappa")]


def _made(found: "Tables") -> Iterator[Html]:
    cells = found.results.cells
    opened = sorted(str(cell.record["test images opened"]) for cell in cells)
    yield paragraph(
        f"{len(cells)} cells in {found.results.folder / 'cells'}: each holds its predictions, the digests of weights, "
        "images and ids, and every hyper-parameter that was tried. Test images were opened between "
        f"{opened[0][:19]} and {opened[-1][:19]} UTC."
    )
    weights = {
        (row.backbone, str(cell.about["weights"])[:16]): None
        for row, cell in zip(found.results.rows, cells, strict=True)
    }
    yield table(pd.DataFrame([{"backbone": name, "SHA-256 of its weights": digest} for name, digest in weights]))
    versions: dict[str, set[str]] = {}
    for cell in cells:
        for name, version in dict(cell.record.get("versions", {})).items():
            versions.setdefault(name, set()).add(str(version))
    yield table(pd.DataFrame([{"with": name, "version": ", ".join(sorted(own))} for name, own in versions.items()]))


def _range(row: Mapping[Any, Any], low: str, high: str, form: str) -> str:
    return "–" if pd.isna(row[low]) else f"{100 * row[low]:{form}} … {100 * row[high]:{form}}"


def _figures(plots: Plots, *names: str) -> list[Html]:
    return [figure(plots[name].figure) for name in names if name in plots]
