"""The search: a space, an evaluator and a sampler meet in a study that survives its process."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from metanet.errors import MetanetError, unknown
from metanet.searchers.definition import remember, remembered
from metanet.searchers.evaluate import Evaluator, as_evaluator
from metanet.searchers.executor import Executor, InProcess, Outcome, judged
from metanet.searchers.history import METRICS, OPTIONS, REASON, SECONDS, STOPPED, complete, live
from metanet.searchers.journal import Journal
from metanet.searchers.progress import Progress, Watch, progress
from metanet.searchers.propose import propose
from metanet.searchers.result import SearchResult
from metanet.searchers.samplers import SAMPLERS, Exhausted, NativeSampler, PredictorGuided
from metanet.searchers.space import S, SearchSpace
from metanet.searchers.store import open_study, quiet_optuna, read_study

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
    store         an Optuna journal file
    executor      where to evaluate; None evaluates here, one after the other
    seed          with a native sampler and one evaluation at a time, equal seeds give equal studies, interrupted or not
    max_failures  so many failed evaluations in a row end the search
    quiet         no progress bar; None: where stderr is not a terminal
    watch         what is shown in place of the bar, such as `LiveTable()`

    Raises MetanetError for constraints that nothing keeps, a store that is damaged, in use or another search's, and
    after `max_failures`; whatever ends it, the study can be gone on with.
    """
    objectives = {"accuracy": "maximize"} if objectives is None else objectives
    _check_arguments(objectives, trials, seed, max_failures)
    evaluator = as_evaluator(evaluate, objectives)
    chosen = _sampler(sampler)
    if isinstance(chosen, NativeSampler):
        chosen.check_objectives(len(objectives))
        chosen = chosen.bound(space, constraints, seed)
    space.sample(1, constraints, seed=seed)  # what cannot be kept is said before anything is written
    options = {
        "space": space.name,
        "space_fingerprint": space.fingerprint,
        "constraints": constraints,
        "objectives": dict(objectives),
        "sampler": str(chosen),
        "seed": seed,
        "evaluator": evaluator.fingerprint,
    }
    with quiet_optuna(), open_study(store, options, chosen) as (study, journal):
        remember(study, space)
        run = _Run(study, journal, space, constraints, objectives, seed, trials)
        with watch(store, space, trials) if watch else progress(trials, quiet) as bar:
            run.loop(evaluator, executor or InProcess(), max_failures, bar)
    return SearchResult(study, space)


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
                f"the study {str(store)!r} does not tell the choices of {searched['space']!r}, which it searched: "
                "give the space (`load_result(store, space)`, `metanet report --space`)"
            )
        return SearchResult(study, told)
    if searched["space_fingerprint"] != space.fingerprint:
        raise MetanetError(
            f"the study {str(store)!r} searched {searched['space']!r} with other choices than the space given has: "
            "give the space that was searched, with the genes that were fixed"
        )
    return SearchResult(study, space)


@dataclass(frozen=True)
class _Run(Generic[S]):
    study: optuna.Study
    journal: Journal
    space: SearchSpace[S]
    constraints: str | None
    objectives: Mapping[str, str]
    seed: int
    trials: int
    running: dict[S, optuna.Trial] = field(default_factory=dict)

    def loop(self, evaluator: Evaluator[S], executor: Executor, max_failures: int, bar: Progress) -> None:
        """Proposes, has evaluated and tells until the study is full."""
        failures = 0
        bar(len(live(self.study)), self._standing())
        for outcome in executor.map(evaluator, self.proposals()):
            reason = self.tell(outcome)
            bar(len(live(self.study)) - len(self.running), self._standing())
            failures = failures + 1 if reason else 0
            if failures == max_failures:
                raise MetanetError(
                    f"{failures} evaluations in a row failed, the last one with {reason!r}: mend the evaluator and run "
                    f"the same search again, the study {str(self.journal.path)!r} goes on from here"
                )

    def proposals(self) -> Iterator[S]:
        """Architectures to evaluate; known ones are answered on the way."""
        while STOPPED not in self.study.user_attrs and len(live(self.study)) < self.trials:
            try:
                with self.journal.batch():
                    proposal = propose(self.study, self.space, self.constraints, self.seed)
                    if proposal.answer is not None:
                        self._answer(proposal.trial, proposal.answer)
            except Exhausted as end:
                self.study.set_user_attr(STOPPED, str(end))
                return
            if proposal.answer is None:
                self.running[proposal.spec] = proposal.trial
                yield proposal.spec

    def tell(self, outcome: Outcome[S]) -> str | None:
        """Records an outcome; the reason where it is a failure."""
        trial = self.running.pop(outcome.spec)
        metrics, reason = judged(outcome, self.objectives)
        with self.journal.batch():
            trial.set_user_attr(SECONDS, outcome.seconds)
            if metrics is None:
                trial.set_user_attr(REASON, reason)
                self._finish(trial, None)
            else:
                trial.set_user_attr(METRICS, metrics)
                self._finish(trial, [metrics[name] for name in self.objectives])
        return reason

    def _answer(self, trial: optuna.Trial, known: FrozenTrial) -> None:
        if known.values is None:
            trial.set_user_attr(REASON, known.user_attrs.get(REASON, f"trial {known.number} is at it"))
        else:
            trial.set_user_attr(METRICS, known.user_attrs[METRICS])
        self._finish(trial, known.values)

    def _finish(self, trial: optuna.Trial, values: list[float] | None) -> None:
        try:
            self.study.tell(trial, values, state=TrialState.FAIL if values is None else TrialState.COMPLETE)
        except RuntimeError as error:  # a sampler with a finite grid stops `study.optimize` so, after the telling
            if "Study.stop" not in str(error):
                raise
            self.study.set_user_attr(STOPPED, f"{self.study.sampler} has nothing more to propose")

    def _standing(self) -> str:
        scored = complete(self.study)
        if not scored:
            return ""
        if len(self.objectives) > 1:
            return f"{len(scored)} scored"
        ((name, direction),) = self.objectives.items()
        best = (max if direction == "maximize" else min)(trial.values[0] for trial in scored)
        return f"best {name} {best:.4g}"


def _check_arguments(objectives: Mapping[str, str], trials: int, seed: int, max_failures: int) -> None:
    if not isinstance(objectives, Mapping) or not objectives:
        raise MetanetError(
            f"`objectives` must be names with directions, as {{'accuracy': 'maximize'}}, got {objectives!r}"
        )
    for name, direction in objectives.items():
        if direction not in DIRECTIONS:
            raise unknown(f"direction of the objective {name!r}", direction, DIRECTIONS)
    for name, value, low in (("trials", trials, 1), ("seed", seed, 0), ("max_failures", max_failures, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise MetanetError(f"`{name}` must be a whole number of at least {low}, got {value!r}")


def _sampler(sampler: str | BaseSampler | None) -> BaseSampler:
    if sampler is None:
        return PredictorGuided()
    if isinstance(sampler, BaseSampler):
        return sampler
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    return SAMPLERS[sampler]()
