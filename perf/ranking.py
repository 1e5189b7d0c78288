"""Does the supernet rank? Shared weights by several rules of training, and how each orders the networks of the truth.

    python perf/ranking.py train             every supernet that is missing, and its scores of all networks; it may be
                                             started several times at once, and again after it was killed
    python perf/ranking.py train RULE --seed 0    one of them
    python perf/ranking.py choose            compares the rules on the half of the networks that is there for it
    python perf/ranking.py report            the other half, once: for the rule that was chosen and no other

All rules are trained with the first seed, those that rank best with the others, too; what is chosen has the highest
mean tau over the seeds, of R2 with the accuracy.

A score is what a search climbs: R2 of the probe, leave-one-out on the selection images, with the features of the
calibrated network; the probe's accuracy there; and how the supernet's own classifier does on the same images: its
accuracy and the mean log of the probability that it gives the right class. None sees a test image.
Writes perf/results/ranking.csv (scores), ranking.json (what `choose` found), ranking_report.json and its plot,
docs/img/ranking.png. The truth is that of `perf/truth.py`.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import torch
import truth
from filelock import FileLock
from ranked import TRUTHS, ceilings, compared, known, opened, verdict
from ranking_rules import PASSES, RULES, SHORTER, training
from ranking_tables import SCORES, plotted
from scipy.stats import kendalltau

from metanet.bench import FeatureCache, LinearProbe, ProbeEvaluator
from metanet.bench.evaluate import explained
from metanet.cli.phases import Data, shared_evaluator
from metanet.metrics import METRICS
from metanet.model import MetaNet
from metanet.runs import atomic_write, fingerprint, manifest, open_run, track, write_json
from metanet.search_spaces import Supernet, train_supernet
from metanet.spec import ArchSpec

RUNS = truth.ROOT / "runs" / "ranking"
SEEDS, FINALISTS = (0, 1), 3


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


def work(own: Data, results: Path, runs: Path) -> None:
    """Trains what is not stored and no other process is at: all rules, then the best of them with more seeds."""
    for seed in SEEDS:
        rules = list(RULES) if seed == SEEDS[0] else finalists(own, results)
        for wait in (False, True):  # first what nobody is at, then what others died at; the rest they store meanwhile
            for rule in rules:
                with truth.alone(runs / f"{fingerprint(depends(rule, seed, own))}.lock", wait=wait) as mine:
                    if mine and seed not in known_seeds(rule, own, results):
                        stored(scored(rule, seed, own, runs), results, runs)


def known_seeds(rule: str, own: Data, results: Path) -> list[int]:
    """The seeds of a rule whose scores are stored, by its present settings."""
    digests = {seed: fingerprint(depends(rule, seed, own)) for seed in SEEDS}
    return [seed for seed, rows in _stored(rule, results) if set(rows["settings"]) == {digests.get(seed)}]


def finalists(own: Data, results: Path) -> list[str]:
    """Of the rules with equal numbers of passes those that rank best with the first seed, on the half to choose by."""
    networks, equal = halves("choose", results)["accuracy"], [rule for rule in RULES if rule not in SHORTER]
    return sorted(equal, key=lambda rule: -tau(networks, scores_by(rule, own, results)[SEEDS[0]]))[:FINALISTS]


def tau(networks: pd.DataFrame, scores: pd.DataFrame) -> float:
    """Kendall's tau between R2 and the truth."""
    table = networks.join(scores, how="inner")
    return float(kendalltau(table["r2"], table["truth"]).statistic)


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
    found = {}
    for seed, rows in _stored(rule, results):
        if set(rows["settings"]) != {fingerprint(depends(rule, seed, own))}:
            raise SystemExit(f"the scores by {rule!r}, seed {seed}, are of other settings: train it again")
        found[seed] = rows.set_index("id")[list(SCORES)]
    if not found:
        raise SystemExit(f"there are no scores by {rule!r}: run `python perf/ranking.py train {rule!r}`")
    return found


def _stored(rule: str, results: Path) -> list[tuple[int, pd.DataFrame]]:
    """The stored rows of a rule, seed by seed."""
    path = results / "ranking.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"rule": [], "seed": []})
    return [(int(seed), rows) for seed, rows in table[table["rule"] == rule].groupby("seed")]


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
    """Compares all rules that have scores on the half that is there to choose by, and chooses; plots go to the runs'
    folder."""
    rules, rows = [rule for rule in RULES if known_seeds(rule, own, results)], []
    networks, means = halves("choose", results)["accuracy"], {}
    for rule in rules:
        by_seed = scores_by(rule, own, results)
        rows += judged(rule, by_seed, "choose", results)
        plotted(networks.join(next(iter(by_seed.values()))), runs / f"{rule}.png")
        if set(by_seed) >= set(SEEDS):
            means[rule] = fmean(tau(networks, scores) for scores in by_seed.values())
    if not means:
        raise SystemExit(f"no rule has scores by all seeds ({SEEDS}): run `python perf/ranking.py train` to its end")
    chosen = max(means, key=lambda rule: means[rule])
    about = {"passes": PASSES, "chosen": chosen, "rules": {rule: asdict(training(rule, 0)) for rule in rules}}
    _write(results / "ranking.json", about, "choose", results, rows)


def report(own: Data, results: Path, image: Path) -> None:
    """Opens the other half for the chosen rule, and stores and plots how it orders that.

    Raises:
        SystemExit: none is chosen, the half was opened for another one before, or the truth is not complete.
    """
    path = results / "ranking.json"
    if not path.exists():
        raise SystemExit("no rule is chosen: run `python perf/ranking.py choose`")
    rule = json.loads(path.read_text())["options"]["chosen"]
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
    command = commands.add_parser("train")
    command.add_argument(
        "rule", metavar="RULE", nargs="?", help=f"{', '.join(RULES)}; without one all that are missing"
    )
    command.add_argument("--seed", type=int, default=0, help="of the supernet (default: %(default)s)")
    commands.add_parser("choose")
    commands.add_parser("report")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    own = truth.data(chosen.fashion_mnist)
    if chosen.command == "train" and chosen.rule is None:
        work(own, chosen.results, open_run(chosen.runs))
    elif chosen.command == "train":
        stored(scored(chosen.rule, chosen.seed, own, chosen.runs), chosen.results, chosen.runs)
    elif chosen.command == "choose":
        choose(own, chosen.results, open_run(chosen.runs))
    else:
        report(own, chosen.results, truth.ROOT / "docs" / "img" / "ranking.png")


if __name__ == "__main__":
    main()
