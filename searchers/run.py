"""The loop of a search: what is asked of the sampler, handed to the executor and told to the study."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

import optuna
from optuna.trial import FrozenTrial, TrialState

from metanet.errors import MetanetError
from metanet.searchers.executors import Executor, Outcome, judged
from metanet.searchers.history import METRICS, REASON, SECONDS, STOPPED, Exhausted, complete, live
from metanet.searchers.looks import FULL, Look
from metanet.searchers.progress import Progress
from metanet.searchers.propose import propose
from metanet.searchers.space import S, SearchSpace
from metanet.searchers.stores import Store

POLL = 0.5  # seconds between looks at what other processes are at


@dataclass(frozen=True)
class Run(Generic[S]):
    """One process's part in a study.

    running  the trials that it will tell, by architecture
    next     looks at them that are due
    """

    store: Store
    space: SearchSpace[S]
    constraints: str | None
    objectives: Mapping[str, str]
    seed: int
    trials: int
    fidelities: Sequence[float] = FULL
    running: dict[S, optuna.Trial] = field(default_factory=dict)
    next: deque[Look[S]] = field(default_factory=deque)

    @property
    def study(self) -> optuna.Study:
        """Optuna's own."""
        return self.store.study

    def loop(
        self, evaluate: Callable[[Look[S]], Mapping[str, float]], executor: Executor, max_failures: int, bar: Progress
    ) -> None:
        """Proposes, has evaluated and tells until the study is full. Raises MetanetError after so many failures."""
        # In a row, by fidelity: a cheap look that ends well says nothing of dearer ones.
        failures = dict.fromkeys(self.fidelities, 0)
        bar(len(live(self.study)), self._standing())
        for outcome in executor.map(evaluate, self.looks()):
            reason = self.tell(outcome)
            bar(len(live(self.study)) - len(self.running), self._standing())
            fidelity = outcome.spec.fidelity
            failures |= {fidelity: failures[fidelity] + 1} if reason else {f: 0 for f in failures if f <= fidelity}
            if failures[fidelity] == max_failures:
                at = f" at fidelity {fidelity:g}" if len(failures) > 1 else ""
                raise MetanetError(
                    f"{max_failures} evaluations in a row failed{at}, the last one with {reason!r}: mend the evaluator "
                    f"and run the same search again, the study {self.store.name} goes on from here"
                )

    def looks(self) -> Iterator[Look[S] | None]:
        """What to evaluate: further looks at what stays in the race, before new architectures; None where that
        depends on evaluations that are running."""
        nothing = False  # new could be proposed, until an evaluation that is running has ended
        waited = 0  # for so many of other processes
        while True:
            if self.next:
                yield self.next.popleft()
            elif not self._full and not nothing:
                nothing = not self._propose()
            elif self.running and (nothing or self.store.shared or len(self.fidelities) > 1):
                yield None
                nothing = False
            elif others := self.store.others():
                time.sleep(POLL)  # one of them may die, and leave its trial to us
                nothing, waited = nothing and others == waited, others
            elif nothing:
                nothing = False  # what it waited for has ended
            elif self._full:
                return

    def tell(self, outcome: Outcome[Look[S]]) -> str | None:
        """Records an outcome; the reason where it is a failure."""
        look, trial = outcome.spec, self.running[outcome.spec.spec]
        metrics, reason = judged(outcome, self.objectives)
        with self.store.batch():
            if self._taken(trial):
                self.running.pop(look.spec)
                return None
            trial.set_user_attr(SECONDS, trial.user_attrs.get(SECONDS, 0.0) + outcome.seconds)
            if metrics is None:
                trial.set_user_attr(REASON, reason)
                self._finish(look.spec, TrialState.FAIL)
            else:
                trial.set_user_attr(METRICS, metrics)
                self._judge(look, trial, [metrics[name] for name in self.objectives])
        return reason

    @property
    def _full(self) -> bool:
        begun = sum(trial.state is not TrialState.WAITING for trial in live(self.study))  # a user's may be enqueued
        return STOPPED in self.study.user_attrs or begun >= self.trials

    def _propose(self) -> bool:
        """Has a new architecture looked at, or answers for a known one; False where that must wait for evaluations
        that are running."""
        try:
            with self.store.claim():
                if self._full:  # by what others proposed meanwhile
                    return True
                proposal = propose(self.store, self.space, self.constraints, self.seed)
                if proposal is None:
                    return False
                self.running[proposal.spec] = proposal.trial
                if proposal.answer is not None:
                    self._answer(proposal.spec, proposal.answer)
                else:
                    self.next.append(Look(proposal.spec, self.fidelities[0]))
        except Exhausted as end:
            if self.running or self.store.others():  # should one of them be lost, its architecture is due again
                return False
            self.study.set_user_attr(STOPPED, str(end))
        return True

    def _judge(self, look: Look[S], trial: optuna.Trial, values: list[float]) -> None:
        """Ends a trial after its last look, or where it falls behind; else another look is due."""
        if len(self.fidelities) > 1:
            trial.report(values[0], look.step)
        if look.fidelity == self.fidelities[-1]:
            self._finish(look.spec, TrialState.COMPLETE, values)
        elif trial.should_prune():
            self._finish(look.spec, TrialState.PRUNED)
        else:
            further = self.fidelities[list(self.fidelities).index(look.fidelity) + 1]
            self.next.append(Look(look.spec, further))

    def _answer(self, spec: S, known: FrozenTrial) -> None:
        """Ends a trial as an earlier one of the same architecture ended."""
        trial = self.running[spec]
        if known.state in (TrialState.COMPLETE, TrialState.PRUNED):
            trial.set_user_attr(METRICS, known.user_attrs[METRICS])
            for step, value in known.intermediate_values.items():
                trial.report(value, step)
            self._finish(spec, known.state, known.values if known.state is TrialState.COMPLETE else None)
        else:
            trial.set_user_attr(REASON, known.user_attrs.get(REASON, f"trial {known.number} is at it"))
            self._finish(spec, TrialState.FAIL)

    def _finish(self, spec: S, state: TrialState, values: Sequence[float] | None = None) -> None:
        trial = self.running.pop(spec)
        try:
            self.study.tell(trial, values, state=state)
        except RuntimeError as error:  # a sampler with a finite grid stops `study.optimize` so, after the telling
            if "Study.stop" not in str(error):
                raise
            self.study.set_user_attr(STOPPED, f"{self.study.sampler} has nothing more to propose")

    def _taken(self, trial: optuna.Trial) -> bool:
        """Whether another process gave a trial up, since ours had lost its connection: it is done again there."""
        if not self.store.shared:
            return False
        known = self.study.get_trials(deepcopy=False)[trial.number]
        return known.state is not TrialState.RUNNING

    def _standing(self) -> str:
        scored = complete(self.study)
        if not scored:
            return ""
        if len(self.objectives) > 1:
            return f"{len(scored)} scored"
        ((name, direction),) = self.objectives.items()
        best = (max if direction == "maximize" else min)(trial.values[0] for trial in scored)
        return f"best {name} {best:.4g}"
