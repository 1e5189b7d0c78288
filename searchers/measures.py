"""What a study's order and its genes tell: the best so far, the distance to a control, the volume that the front
dominates, the genes that mattered. All of it counts evaluations, so that studies of equal cost stand side by side."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from metanet.errors import MetanetError
from metanet.searchers import history
from metanet.searchers.space import Gene
from metanet.searchers.stores import quiet_optuna

FEWEST, MOST = 10, 1_000  # scored architectures from which importances are told: more take minutes


def evaluations(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that cost an evaluation, in the order in which they were proposed: scored, pruned or failed, but
    neither abandoned nor answered from the study. A pruned one counts as one, though it cost less."""
    return [
        trial
        for trial in history.live(study)
        if trial.state.is_finished() and history.ANSWERED_BY not in trial.user_attrs
    ]


def scores(study: optuna.Study) -> pd.DataFrame:
    """(evaluations, objectives) what each evaluation gave, counted from 1; NaN for those that failed or were pruned."""
    names, trials = list(history.objectives_of(study)), evaluations(study)
    rows = [trial.values if scored(trial) else [math.nan] * len(names) for trial in trials]
    return pd.DataFrame(rows, columns=names, index=_counted(len(rows)), dtype=float)


def best_so_far(study: optuna.Study) -> pd.DataFrame:
    """(evaluations, objectives) the best value of each objective among the first n; NaN before the first score."""
    found = scores(study)
    for name, direction in history.objectives_of(study).items():
        found[name] = (found[name].cummax() if direction == "maximize" else found[name].cummin()).ffill()
    return found


def regret(study: optuna.Study, other: optuna.Study) -> pd.DataFrame:
    """(evaluations of the shorter one, objectives) by how much the best so far is worse than the other study's after
    as many evaluations, in units of the objective; negative where it is better.

    Raises MetanetError where the two did not look for the same numbers.
    """
    for what in ("objectives", "evaluator"):
        one, two = study.user_attrs[history.OPTIONS][what], other.user_attrs[history.OPTIONS][what]
        if one != two:
            raise MetanetError(
                f"studies are compared by one measure, the {what} were {one!r} and {two!r}: score both alike"
            )
    own, theirs = best_so_far(study), best_so_far(other)
    count = min(len(own), len(theirs))
    return (own.iloc[:count] - theirs.iloc[:count]) * _signs(study)[own.columns]


def worst(study: optuna.Study) -> dict[str, float]:
    """The most MACs (where all that was scored has them) and the worst value of each objective that was seen; empty
    before the first score."""
    losses = losses_of(study)
    return (
        {}
        if losses.empty
        else {str(name): float(value) for name, value in (losses.max() * _signs(study)[losses.columns]).items()}
    )


def hypervolume(study: optuna.Study, reference: Mapping[str, float] | None = None) -> "pd.Series[float]":
    """(evaluations,) the volume that the first n dominate: all between them and the reference, which is worse.

    The axes are those of the front: MACs, where all that was scored has them, and each objective. The unit is the
    product of theirs. Optuna computes it exactly (`plot_hypervolume_history`; While et al. 2012). What is worse than
    the reference in any axis adds nothing.

    reference   a value by axis, {"macs": 5e6, "accuracy": 0.1}; the worst that the study saw when not given, so that
                two studies can be compared by one that is given alone

    Raises MetanetError for a reference that is not a finite number for each axis.
    """
    losses, trials = losses_of(study), evaluations(study)
    grown = pd.Series(math.nan, index=_counted(len(trials)), name="hypervolume", dtype=float)
    if losses.empty:
        return grown.fillna(0.0)
    corner = worst(study) if reference is None else _checked(reference, list(losses.columns))
    signs = _signs(study)
    bound = np.array([corner[name] * signs[name] for name in losses.columns], float)
    grown[losses.index] = _volumes(losses.to_numpy(), bound)
    return grown.ffill().fillna(0.0)


def shared_hypervolumes(studies: Mapping[str, optuna.Study]) -> "dict[str, pd.Series[float]]":
    """The hypervolume of each study by one reference, the worst that any of them saw, as a share of what all of them
    dominate together; empty where that is nothing."""
    losses = [losses_of(study) for study in studies.values()]
    if any(set(one.columns) != set(losses[0].columns) for one in losses):
        return {}
    every = pd.concat(losses)
    if every.empty or not (total := float(_volumes(every.to_numpy(), every.max().to_numpy())[-1])):
        return {}
    corner = every.max() * _signs(next(iter(studies.values())))[every.columns]
    reference = {str(name): float(value) for name, value in corner.items()}
    return {name: hypervolume(study, reference) / total for name, study in studies.items()}


def dearest_so_far(study: optuna.Study) -> pd.DataFrame:
    """(evaluations, objectives) what the architecture with the most MACs among the first n that were drawn has: what
    "the bigger the better" would take of the same draws. NaN before the first one, without MACs, and where it was
    pruned before its full score; those whose evaluation failed do not count."""
    found, trials, most = scores(study), evaluations(study), None
    for number, trial in zip(found.index, trials, strict=True):
        most = dearest([trial] if most is None else [most, trial])
        found.loc[number] = most.values if most is not None and scored(most) else math.nan
    return found


def dearest(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The first trial with the most MACs among those that were scored or pruned, so that no score decides; None where
    none has MACs."""
    seen = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    priced = [trial for trial in seen if "macs" in trial.user_attrs.get(history.COSTS, {})]
    return max(priced, key=lambda trial: trial.user_attrs[history.COSTS]["macs"], default=None)


def importances(studies: Sequence[optuna.Study], genes: Sequence[Gene]) -> pd.DataFrame:
    """(genes with a choice, objectives) the share of each gene in what single genes explain of an objective's variance,
    each column summing to 1, by fANOVA on the scored architectures of all studies, or on 1,000 of them drawn with seed
    0 (Hutter et al. 2014; Optuna's, of 64 trees, seed 0). Rows are sorted by the first objective; NaN stands for genes
    that had one value only.

    Genes are those of the architectures, not what a sampler suggested: one without effect has its first choice.

    Raises MetanetError for fewer than 10 architectures, and for an objective that never changed.
    """
    found = {tuple(t.user_attrs[history.GENES]): t for study in studies for t in history.complete(study)}
    rows, names = np.array(list(found), dtype=np.int64), list(history.objectives_of(studies[0]))
    if len(rows) < FEWEST:
        raise MetanetError(f"importances need at least {FEWEST} scored architectures, got {len(rows)}: search on")
    values = np.array([trial.values for trial in found.values()])
    if len(rows) > MOST:
        drawn = np.sort(np.random.default_rng(0).choice(len(rows), MOST, replace=False))
        rows, values = rows[drawn], values[drawn]
    for name, column in zip(names, values.T, strict=True):
        if np.ptp(column) == 0:
            raise MetanetError(
                f"all {len(rows)} architectures have {name} = {column[0]:g}: no gene explains a difference"
            )
    varied = [i for i in range(len(genes)) if np.ptp(rows[:, i])]
    columns = {name: _shares(rows[:, varied], column) for name, column in zip(names, values.T, strict=True)}
    table = pd.DataFrame(columns, index=[genes[i].name for i in varied], dtype=float)
    every = [gene.name for gene in genes if len(gene.choices) > 1]
    return table.reindex(every).rename_axis("gene").sort_values(names[0], ascending=False, kind="stable")


def scored(trial: FrozenTrial) -> bool:
    """Whether a trial has the objectives' values in full."""
    return trial.state is optuna.trial.TrialState.COMPLETE


def _counted(count: int) -> pd.RangeIndex:
    return pd.RangeIndex(1, count + 1, name="evaluation")


def _signs(study: optuna.Study) -> "pd.Series[float]":
    """What makes less better, by axis."""
    signs = {name: -1.0 if direction == "maximize" else 1.0 for name, direction in history.objectives_of(study).items()}
    return pd.Series({"macs": 1.0, **signs})


def losses_of(study: optuna.Study) -> pd.DataFrame:
    """(scored, axes) MACs and objectives with the sign that makes less better, by number of the evaluation."""
    names = list(history.objectives_of(study))
    rows = {i: t for i, t in enumerate(evaluations(study), start=1) if scored(t)}
    table = pd.DataFrame([t.values for t in rows.values()], columns=names, index=list(rows), dtype=float)
    costs = [t.user_attrs.get(history.COSTS, {}).get("macs") for t in rows.values()]
    if costs and None not in costs and "macs" not in names:
        table.insert(0, "macs", np.array(costs, float))
    return table * _signs(study)[table.columns]


def _checked(reference: Mapping[str, float], axes: Sequence[str]) -> Mapping[str, float]:
    if set(reference) != set(axes) or not all(math.isfinite(value) for value in reference.values()):
        raise MetanetError(f"the reference must be a number for each of {', '.join(axes)}, got {dict(reference)!r}")
    return reference


def _volumes(losses: NDArray[np.float64], bound: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the volume between the first 1 … n of the points (n, axes) and a bound above them."""
    if losses.shape[1] == 1:
        return np.maximum(0, bound - np.minimum.accumulate(losses))[:, 0]
    with quiet_optuna():
        study = optuna.create_study(directions=["minimize"] * losses.shape[1])
        study.add_trials([optuna.create_trial(values=point) for point in losses.tolist()])
        shown = optuna.visualization.plot_hypervolume_history(study, bound.tolist())
    return np.asarray(shown.data[0].y, float)


def _shares(rows: NDArray[np.int64], values: NDArray[np.float64]) -> list[float]:
    """The importance of each column of choices for the values, summing to 1."""
    kinds: dict[str, BaseDistribution] = {
        f"{i}": CategoricalDistribution(tuple(range(int(top) + 1))) for i, top in enumerate(rows.max(axis=0))
    }
    trials = [
        optuna.create_trial(params={f"{i}": int(k) for i, k in enumerate(row)}, distributions=kinds, value=float(value))
        for row, value in zip(rows, values, strict=True)
    ]
    with quiet_optuna():
        study = optuna.create_study()
        study.add_trials(trials)
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
        )
    return [float(found[name]) for name in kinds]
