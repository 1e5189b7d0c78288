"""What a search must beat at an equal budget: chance, and "the bigger the better"."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from optuna.pruners import BasePruner

from metanet.errors import MetanetError
from metanet.searchers.evaluate import Evaluator
from metanet.searchers.executors import Executor
from metanet.searchers.looks import FULL
from metanet.searchers.progress import Watch
from metanet.searchers.result import Scored, SearchResult
from metanet.searchers.samplers import RandomFeasible
from metanet.searchers.search import search
from metanet.searchers.space import S, SearchSpace


@dataclass(frozen=True)
class Controls(Generic[S]):
    """The random search, and the architecture with the most MACs among those that it drew: no score is looked at, so
    where there are cheap looks it may be one that was pruned, whose values are NaN."""

    random: SearchResult[S]
    most_macs: Scored[S]


def controls(
    space: SearchSpace[S],
    evaluate: Evaluator[S] | Callable[[S], float | Mapping[str, float]],
    *,
    objectives: Mapping[str, str] | None = None,
    constraints: str | None = None,
    trials: int = 200,
    store: str | os.PathLike[str] = "runs/first/random.journal",
    executor: Executor | None = None,
    fidelities: Sequence[float] = FULL,
    pruner: BasePruner | None = None,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    max_failures: int = 5,
    quiet: bool | None = None,
    watch: Watch | None = None,
) -> Controls[S]:
    """Runs the controls of a search: the arguments are those of `search`, the store is the controls' own.

    With the search's seed the random draws begin with the very architectures that the search begins with. Raises
    MetanetError as `search` does, and where the space has no MACs.
    """
    result = search(
        space,
        evaluate,
        objectives=objectives,
        constraints=constraints,
        sampler=RandomFeasible(),
        trials=trials,
        store=store,
        executor=executor,
        fidelities=fidelities,
        pruner=pruner,
        cache=cache,
        seed=seed,
        max_failures=max_failures,
        quiet=quiet,
        watch=watch,
    )
    if (dearest := result.dearest) is None:
        raise MetanetError(f"no architecture of {space.name!r} was scored that has MACs: there is nothing to rank by")
    return Controls(result, dearest)
