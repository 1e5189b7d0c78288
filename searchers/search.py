"""The search: a space, an evaluator and a sampler meet in a study that survives its process."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner
from optuna.samplers import BaseSampler

from metanet.errors import MetanetError, check_whole, unknown
from metanet.searchers.cache import cache_in
from metanet.searchers.definition import remember, remembered
from metanet.searchers.evaluate import Evaluator, as_evaluator
from metanet.searchers.executors import Executor, InProcess
from metanet.searchers.frame import COLUMNS
from metanet.searchers.history import OPTIONS
from metanet.searchers.looks import FULL, AsynchronousHalving, Looking, check_fidelities, check_growing
from metanet.searchers.progress import Watch, progress
from metanet.searchers.result import SearchResult
from metanet.searchers.run import Run
from metanet.searchers.samplers import SAMPLERS, NativeSampler, PredictorGuided
from metanet.searchers.space import S, SearchSpace
from metanet.searchers.stores import open_study, quiet_optuna, read_study, shown

DIRECTIONS = ("maximize", "minimize")


def search(
    space: SearchSpace[S],
    evaluate: Evaluator[S] | Callable[[S], float | Mapping[str, float]],
    *,
    objectives: Mapping[str, str] | None = None,
    constraints: str | None = None,
    sampler: str | BaseSampler | None = None,
    trials: int = 200,
    store: str | os.PathLike[str] = "runs/first/study.journal",
    executor: Executor | None = None,
    fidelities: Sequence[float] = FULL,
    pruner: BasePruner | None = None,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    max_failures: int = 5,
    quiet: bool | None = None,
    watch: Watch | None = None,
) -> SearchResult[S]:
    """Looks for the architectures with the best objectives among those that keep the constraints.

    evaluate      an Evaluator, or a function of an architecture that returns a number or numbers by name
    objectives    "maximize" or "minimize" by the name of a number; {"accuracy": "maximize"} when not given
    constraints   text that the space understands, such as "macs <= 5M, params <= 400k"
    sampler       a name of SAMPLERS, a native sampler (bound to the space here), any Optuna sampler, or None for
                  PredictorGuided; Optuna's may suggest the infeasible (repaired) or the known (answered by the study)
    trials        how many the study holds in the end: the same call again goes on with an interrupted study, a call
                  with more trials extends a finished one
    store         an Optuna journal file; or postgresql://USER@HOST/DATABASE#STUDY, in which several processes on any
                  hosts may search at the same time, by the same call
    executor      where to evaluate; None evaluates here, one after the other
    fidelities    growing shares of the full evaluation, the last one 1, as (0.1, 0.3, 1.0): an architecture is looked
                  at with each in turn for as long as the pruner lets it; all are compared on the same samples
    pruner        of Optuna, or None for AsynchronousHalving; its steps are thousandths of the full fidelity
    cache         a folder in which evaluations are kept for other studies with the same evaluator and space
    seed          with a native sampler and one evaluation at a time, equal seeds give equal studies, interrupted or not
    max_failures  so many failed evaluations in a row end the search
    quiet         no progress bar; None: where stderr is not a terminal
    watch         what is shown in place of the bar, such as `LiveTable()`

    Raises MetanetError for constraints that nothing keeps, a store that is damaged, in use or another search's, and
    after `max_failures`; whatever ends it, the study can be gone on with.
    """
    objectives = {"accuracy": "maximize"} if objectives is None else objectives
    _check_arguments(objectives, trials, seed, max_failures)
    _check_kinds(constraints, executor, fidelities, pruner)
    evaluator = as_evaluator(evaluate, objectives)
    check_fidelities(fidelities, evaluator, objectives)
    chosen, pruner = _sampler(sampler), pruner or AsynchronousHalving()
    if isinstance(chosen, NativeSampler):
        chosen.check_objectives(len(objectives))
        chosen = chosen.bound(space, constraints, seed)
    space.sample(1, constraints, seed=seed)  # what cannot be kept is said before anything is written
    options = {"objectives": dict(objectives), "constraints": constraints, "sampler": str(chosen), "seed": seed}
    options |= {"space": space.name, "space_fingerprint": space.fingerprint, "evaluator": evaluator.fingerprint}
    options |= _racing(fidelities, pruner)
    looking = Looking(evaluator, None if cache is None else cache_in(cache, space, evaluator))
    with quiet_optuna(), open_study(store, options, chosen, pruner) as opened:
        with opened.claim():
            remember(opened.study, space)
        run = Run(opened, space, constraints, objectives, seed, trials, fidelities)
        with watch(store, space, trials) if watch else progress(trials, quiet) as bar:
            run.loop(looking, executor or InProcess(), max_failures, bar)
    return SearchResult(opened.study, space)


def load_result(store: str | os.PathLike[str], space: SearchSpace[S] | None = None) -> SearchResult[S]:
    """The result of a search that ran before, read from its store; the search may still be running.

    space   that was searched; the one that is written in the study (without measured latencies) when not given

    Raises MetanetError where the file holds no study, a damaged one, or one of another space, and where the study does
    not tell its space and none is given.
    """
    with quiet_optuna():
        study = read_study(store)
    searched = study.user_attrs[OPTIONS]
    if space is None:
        told = remembered(study)
        if told is None:
            raise MetanetError(
                f"the study {shown(store)} does not tell the choices of {searched['space']!r}, which it searched: "
                "give the space (`load_result(store, space)`, `metanet report --space`)"
            )
        return SearchResult(study, told)
    if searched["space_fingerprint"] != space.fingerprint:
        raise MetanetError(
            f"the study {shown(store)} searched {searched['space']!r} with other choices than the space given has: "
            "give the space that was searched, with the genes that were fixed"
        )
    return SearchResult(study, space)


def _check_arguments(objectives: Mapping[str, str], trials: int, seed: int, max_failures: int) -> None:
    if not isinstance(objectives, Mapping) or not objectives:
        raise MetanetError(
            f"`objectives` must be names with directions, as {{'accuracy': 'maximize'}}, got {objectives!r}"
        )
    for name, direction in objectives.items():
        if not isinstance(name, str):
            raise MetanetError(f"an objective must be named by a text, got {name!r}")
        if name in COLUMNS:
            raise MetanetError(
                f"an objective cannot be named {name!r}, as a column of every study's table is: rename it"
            )
        if direction not in DIRECTIONS:
            raise unknown(f"direction of the objective {name!r}", direction, DIRECTIONS)
    for name, value, low in (("trials", trials, 1), ("seed", seed, 0), ("max_failures", max_failures, 1)):
        check_whole(name, value, low)


def _check_kinds(constraints: object, executor: object, fidelities: Sequence[float], pruner: object) -> None:
    if not isinstance(constraints, str | None):
        raise MetanetError(f"`constraints` must be a text, as 'macs <= 5M, params <= 400k', got {constraints!r}")
    if executor is not None and (isinstance(executor, type) or not callable(getattr(executor, "map", None))):
        raise MetanetError(f"`executor` must be one of the executors, as LocalProcesses(workers=4), got {executor!r}")
    if not isinstance(pruner, BasePruner | None):
        raise MetanetError(f"`pruner` must be one of Optuna's pruners, or None, got {pruner!r}")
    if isinstance(pruner, HyperbandPruner):
        raise MetanetError(
            "HyperbandPruner hides from the sampler what its other brackets saw, and it would be proposed again: "
            "take AsynchronousHalving(), SuccessiveHalvingPruner() or another one"
        )
    check_growing(fidelities)
    if pruner is not None and len(fidelities) == 1:
        raise MetanetError("a pruner decides between fidelities, and there is one: give several, as (0.1, 0.3, 1.0)")


def _sampler(sampler: str | BaseSampler | None) -> BaseSampler:
    if sampler is None:
        return PredictorGuided()
    if isinstance(sampler, BaseSampler):
        return sampler
    if not isinstance(sampler, str):
        raise MetanetError(f"`sampler` must be a name or a sampler, got {sampler!r}")
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    return SAMPLERS[sampler]()


def _racing(fidelities: Sequence[float], pruner: BasePruner) -> dict[str, Any]:
    """What a study with several fidelities has among its options; Optuna's pruners do not tell their own."""
    if len(fidelities) == 1:
        return {}
    told = str(pruner) if isinstance(pruner, AsynchronousHalving) else type(pruner).__name__
    return {"fidelities": list(fidelities), "pruner": told}
