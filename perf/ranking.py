"""Does the supernet rank? Shared weights by several rules of training, and how each orders the networks of the truth.

    python perf/ranking.py train RULE --seed 0    a supernet by a rule, and its scores of all networks (resumable)
    python perf/ranking.py choose                 compares the rules on the half of the networks that is there for it
    python perf/ranking.py report RULE            the other half, once: for that rule and no other

A score is what a search climbs: R2 of the probe, leave-one-out on the selection images, with the features of the
calibrated network; the probe's accuracy there; and how the supernet's own classifier does on the same images: its
accuracy and the mean log of the probability that it gives the right class. None sees a test image.
Writes perf/results/ranking.csv (scores), ranking.json (what `choose` found), ranking_report.json and its plot,
docs/img/ranking.png. The truth is that of `perf/truth.py`.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import truth
from filelock import FileLock
from ranked import TRUTHS, ceilings, compared, known, opened, verdict
from ranking_tables import SCORES, plotted

from metanet.bench import FeatureCache, LinearProbe, ProbeEvaluator
from metanet.bench.evaluate import explained
from metanet.cli.phases import Data, shared_evaluator
from metanet.metrics import METRICS
from metanet.model import MetaNet
from metanet.runs import atomic_write, fingerprint, manifest, open_run, track, write_json
from metanet.search_spaces import Supernet, TrainingConfig, train_supernet
from metanet.spec import ArchSpec

RUNS = truth.ROOT / "runs" / "ranking"
WITHIN = "macs >= 1M, macs < 8M"  # what the bands hold together
PASSES = 2_400  # networks that a training runs, each on one batch: all rules have the same
# The rate and the two random networks a step were found on the half to choose by, too.
BASE = TrainingConfig(rules=("sandwich",), samples=2, lr=3e-3, constraints=WITHIN)
# Each of the library's rules beside the base, one at a time.
COMBINED = (
    ("single-path",),
    ("single-path", "cost-band"),
    ("sandwich",),
    ("sandwich", "in-place-distillation"),
    ("sandwich", "alpha-divergence"),
    ("sandwich", "cost-band"),
    ("sandwich", "best-up"),
    ("sandwich", "worst-up"),
    ("sandwich", "gradient-projection"),
)
RULES: dict[str, Mapping[str, Any]] = {"+".join(rules): {"rules": rules} for rules in COMBINED}
# Progressive shrinking begins with networks of full size, none of which is within the bands.
RULES["sandwich+progressive-shrinking, whole space"] = {
    "rules": ("sandwich", "progressive-shrinking"),
    "constraints": None,
}
RULES["sandwich, whole space"] = {"constraints": None}
RULES["sandwich+in-place-distillation, rate 1e-2"] = {"rules": ("sandwich", "in-place-distillation"), "lr": 1e-2}


def training(rule: str, seed: int) -> TrainingConfig:
    """How a rule trains: for as many steps as PASSES allows, where it does not say for how many.

    Raises:
        SystemExit: the rule is unknown.
    """
    if rule not in RULES:
        raise SystemExit(f"unknown rule {rule!r}: known: {', '.join(RULES)}")
    config = replace(BASE, seed=seed, **RULES[rule])
    return config if "steps" in RULES[rule] else replace(config, steps=int(PASSES / networks_a_step(config)))


def networks_a_step(config: TrainingConfig) -> float:
    """How many networks an update runs forwards and backwards; a candidate that is only run forwards is a third."""
    drawn = 1 + (config.candidates / 3 if config.draw.pick else 0)
    return 2 + config.samples * drawn if "sandwich" in config.rules else drawn


def depends(rule: str, seed: int, own: Data) -> dict[str, Any]:
    """All that scores depend on."""
    about = truth.settings(own)
    shared = {name: about[name] for name in ("space", "bands", "images", "parts")}
    return {
        **shared,
        "networks": fingerprint([one.spec.id for one in truth.networks()]),
        "training": training(rule, seed),
    }


def scored(rule: str, seed: int, own: Data, runs: Path) -> pd.DataFrame:
    """Trains a supernet by a rule and scores all networks, one row each. Goes on where it was killed."""
    digest = fingerprint(depends(rule, seed, own))
    home = open_run(runs / digest)
    config = training(rule, seed)
    supernet = Supernet(truth.space(), len(own.images.classes), seed=seed)
    train_supernet(supernet, own.weights, config, out=home, quiet=True)
    path, evaluate = home / "scores.json", shared_evaluator(own, supernet)
    done = json.loads(path.read_text()) if path.exists() else {}
    for one in track(truth.networks(), f"scores by {rule}, seed {seed}"):
        if one.spec.id not in done:
            done[one.spec.id] = scores(one.spec, evaluate)
            write_json(path, done)
    about = {"rule": rule, "seed": seed, "settings": digest}
    return pd.DataFrame([{**about, "id": one.spec.id, **done[one.spec.id]} for one in truth.networks()])


def scores(spec: ArchSpec, evaluate: ProbeEvaluator) -> dict[str, float]:
    """The evaluator's R2 and accuracy of a network and the latter's standard error, and accuracy and mean
    log-likelihood of the network's own classifier on the same images; each image is run once for all."""
    net, (task,), features = evaluate.network(spec), evaluate.tasks, FeatureCache()
    assert isinstance(net, MetaNet)
    ids = evaluate.ids()
    found = LinearProbe(where="loo", extract=features).answers(net, task, ids)
    interval = METRICS[task.metric].interval(found.predicted, found.truth)
    with torch.no_grad():
        logits = net.get_classifier()(torch.from_numpy(features(net, task.images, ids, net.spec.resolution)))
    labels = torch.from_numpy(task.images.labels[ids])
    accuracy = float((logits.argmax(1) == labels).double().mean())
    likelihood = -float(torch.nn.functional.cross_entropy(logits, labels))
    probe = {"r2": round(explained(found)[0], 6), "probe": interval.mean, "probe.se": interval.se}
    return {**probe, "accuracy": accuracy, "likelihood": round(likelihood, 6)}


def stored(rows: pd.DataFrame, results: Path, runs: Path) -> None:
    """Puts rows in the place of those that have the same rule and seed; several processes may do so at once."""
    path = results / "ranking.csv"
    with FileLock(runs / "collect.lock"):
        if path.exists():
            before = pd.read_csv(path)
            new = set(zip(rows["rule"], rows["seed"], strict=True))
            kept = [pair not in new for pair in zip(before["rule"], before["seed"], strict=True)]
            rows = pd.concat([before[kept], rows])
        atomic_write(path, rows.to_csv(index=False))


def scores_by(rule: str, own: Data, results: Path) -> dict[int, pd.DataFrame]:
    """The stored scores by a rule, for each seed, by id.

    Raises:
        SystemExit: there are none, or they are of other settings than the present ones.
    """
    table, found = pd.read_csv(results / "ranking.csv"), {}
    for seed, rows in table[table["rule"] == rule].groupby("seed"):
        if set(rows["settings"]) != {fingerprint(depends(rule, int(seed), own))}:
            raise SystemExit(f"the scores by {rule!r}, seed {seed}, are of other settings: train it again")
        found[int(seed)] = rows.set_index("id")[list(SCORES)]
    if not found:
        raise SystemExit(f"there are no scores by {rule!r}: run `python perf/ranking.py train {rule!r}`")
    return found


def judged(rule: str, by_seed: Mapping[int, pd.DataFrame], half: str, results: Path) -> list[dict[str, Any]]:
    """For each seed of a rule, how its scores order the networks of a half by each kind of truth."""
    found = []
    for truth_by, table in halves(half, results).items():
        tops = ceilings(table)
        for seed, scores in by_seed.items():
            taus = compared(table.join(scores, how="inner"), SCORES)
            verdicts = [verdict(taus, tops, by) for by in SCORES]
            found.append({"rule": rule, "seed": seed, "truth": truth_by, "taus": taus, "verdicts": verdicts})
    return found


def halves(half: str, results: Path) -> dict[str, pd.DataFrame]:
    """The networks of a half, by each kind of truth."""
    table = pd.read_csv(results / "truth.csv")
    return {truth_by: known(table, half, truth_by) for truth_by in TRUTHS}


def choose(own: Data, results: Path, runs: Path) -> None:
    """Compares all rules that have scores on the half that is there to choose by; plots go to the runs' folder."""
    rules, rows = list(dict.fromkeys(pd.read_csv(results / "ranking.csv")["rule"])), []
    for rule in rules:
        by_seed = scores_by(rule, own, results)
        rows += judged(rule, by_seed, "choose", results)
        plotted(halves("choose", results)["accuracy"].join(next(iter(by_seed.values()))), runs / f"{rule}.png")
    about = {"passes": PASSES, "rules": {rule: asdict(training(rule, 0)) for rule in rules}}
    _write(results / "ranking.json", about, "choose", results, rows)


def report(rule: str, own: Data, results: Path, image: Path) -> None:
    """Opens the other half for a rule, and stores and plots how it orders that.

    Raises:
        SystemExit: it was opened for another rule before, or the truth is not complete.
    """
    by_seed, trained = scores_by(rule, own, results), pd.read_csv(results / "truth.csv")
    if len(trained) < (all_of_them := len(truth.networks()) * len(truth.SEEDS)):
        raise SystemExit(
            f"the truth has {len(trained)} of {all_of_them} trainings: run `python perf/truth.py` to its end"
        )
    about = opened(results / "ranking_opened.json", {"rule": rule, "training": asdict(training(rule, 0))})
    rows = judged(rule, by_seed, "report", results)
    _write(results / "ranking_report.json", about, "report", results, rows)
    plotted(halves("report", results)["accuracy"].join(next(iter(by_seed.values()))), image)


def _write(path: Path, about: Mapping[str, Any], half: str, results: Path, rows: list[dict[str, Any]]) -> None:
    tops = {truth_by: ceilings(table) for truth_by, table in halves(half, results).items()}
    write_json(path, manifest(about, ceilings=tops, rows=rows))
    for row in rows:
        for one in row["verdicts"]:
            print(row["rule"], row["seed"], row["truth"], one)


def main() -> None:
    """One of the commands."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fashion-mnist", metavar="FOLDER", help="of the images (default: see fashion_mnist)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="of the supernets (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=truth.RESULTS, help="(default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "report"):
        command = commands.add_parser(name)
        command.add_argument("rule", metavar="RULE", help=", ".join(RULES))
        if name == "train":
            command.add_argument("--seed", type=int, default=0, help="of the supernet (default: %(default)s)")
    commands.add_parser("choose")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    own = truth.data(chosen.fashion_mnist)
    if chosen.command == "train":
        stored(scored(chosen.rule, chosen.seed, own, chosen.runs), chosen.results, chosen.runs)
    elif chosen.command == "choose":
        choose(own, chosen.results, open_run(chosen.runs))
    else:
        report(chosen.rule, own, chosen.results, truth.ROOT / "docs" / "img" / "ranking.png")


if __name__ == "__main__":
    main()
