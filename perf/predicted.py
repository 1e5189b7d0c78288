"""What does the predictor know of networks that it has not seen, with cheap scores beside the genes and without?

    python perf/predicted.py

Of the half "choose" so many networks are drawn, DRAWS times; the process of the sampler `predictor` learns their truth,
and its expectation orders the half "report": Kendall's tau-b with the truth. Beside it are the means of a random
forest (scikit-learn's, 200 trees) on the same numbers. How the process takes in proxies was settled on the half
"choose" alone. Writes perf/results/predicted.json, from the scores of `perf/proxies.py` and `perf/ranking.py` and
the truth of `perf/truth.py`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import truth
from ranked import known
from scipy.stats import kendalltau
from sklearn.ensemble import RandomForestRegressor

from metanet.runs import manifest, track, write_json
from metanet.searchers.predictor import Floats, code_of, fitted, posterior, warped

COUNTS, DRAWS, SEED, TREES = (8, 15, 30, 60), 20, 0, 200
SUPERNET = "supernet"  # R2 of a probe of the features that a supernet's weights give, by the rule that was chosen
# Those that cost a pass or two, and all: what is learnt from beside the genes.
BESIDES = {
    "genes": (),
    "genes and costs": ("params", "macs"),
    "genes, naswot": ("naswot",),
    "genes, snip": ("snip",),
    "genes, naswot, snip": ("naswot", "snip"),
    "genes, all six proxies": ("synflow", "naswot", "grad_norm", "snip", "zen", "zico"),
    "genes, supernet": (SUPERNET,),
    "genes, snip, supernet": ("snip", SUPERNET),
}


@dataclass(frozen=True)
class Half:
    """Networks of a half: bits of their genes (n, bits), proxies and costs by name (n,), truth (n,)."""

    bits: Floats
    beside: pd.DataFrame
    truth: Floats


def half(name: str) -> Half:
    """The networks of a half whose truth is whole."""
    table = known(pd.read_csv(truth.RESULTS / "truth.csv"), name)
    scores = pd.read_csv(truth.RESULTS / "proxies.csv").set_index("id")
    if any(SUPERNET in names for names in BESIDES.values()):
        scores[SUPERNET] = supernet()
    space, specs = truth.space(), {one.spec.id: one.spec for one in truth.networks()}
    rows = np.array([space.encode(specs[one]) for one in table.index])
    return Half(code_of(space.genes).bits(rows), table.join(scores), table["truth"].to_numpy())


def supernet() -> pd.Series:
    """By id the scores by the chosen rule's first supernet."""
    rule = json.loads((truth.RESULTS / "ranking.json").read_text())["options"]["chosen"]
    table = pd.read_csv(truth.RESULTS / "ranking.csv")
    return table[(table["rule"] == rule) & (table["seed"] == SEED)].set_index("id")["r2"]


def process(bits: Floats, scores: Floats, values: Floats, worth: Floats) -> Callable[[Floats, Floats], Floats]:
    """What the process expects of other networks, which has learnt values (n,)."""
    points = np.hstack([bits, scores])
    learnt = posterior(fitted(points, values, worth), points, values)
    return lambda bits, scores: learnt(np.hstack([bits, scores]))[0]


def forest(bits: Floats, scores: Floats, values: Floats, worth: Floats) -> Callable[[Floats, Floats], Floats]:
    """What a random forest expects of them."""
    grown = RandomForestRegressor(TREES, random_state=SEED).fit(np.hstack([bits, scores]), values)
    return lambda bits, scores: np.asarray(grown.predict(np.hstack([bits, scores])))


MODELS = {"process": process, "random forest": forest}


def tau(model: str, names: tuple[str, ...], own: Half, chosen: Floats, other: Half) -> float:
    """Of a model that has learnt the chosen networks, on the others."""
    table = own.beside[list(names)].to_numpy(float)
    mean, unit = table[chosen].mean(0), table[chosen].std(0)
    scores, theirs = ((one - mean) / unit for one in (table, other.beside[list(names)].to_numpy(float)))
    worth = code_of(truth.space().genes).worth
    expects = MODELS[model](own.bits[chosen], scores[chosen], warped(own.truth[chosen]), worth)
    return float(kendalltau(expects(other.bits, theirs), other.truth)[0])


def main() -> None:
    """Measures and stores."""
    torch.set_num_threads(1)
    own, other = half("choose"), half("report")
    rows = []
    for count in track(COUNTS, "networks that are learnt from"):
        rng = np.random.default_rng([SEED, count])
        drawn = [rng.permutation(len(own.truth))[:count] for _ in range(DRAWS if count < len(own.truth) else 1)]
        for beside, names in BESIDES.items():
            for model in MODELS:
                taus = [tau(model, names, own, chosen, other) for chosen in drawn]
                found = {
                    "model": model,
                    "beside": beside,
                    "count": count,
                    "draws": len(taus),
                    "tau": float(np.mean(taus)),
                }
                rows.append(found | {"low": float(np.quantile(taus, 0.1)), "high": float(np.quantile(taus, 0.9))})
                print(rows[-1], flush=True)
    about = {"counts": COUNTS, "draws": DRAWS, "seed": SEED, "trees": TREES, "networks": len(other.truth)}
    write_json(truth.RESULTS / "predicted.json", manifest(about, rows=rows))


if __name__ == "__main__":
    main()
