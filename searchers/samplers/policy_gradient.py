"""Search by a policy: PPO (Schulman and others, "Proximal Policy Optimization Algorithms", 2017, arXiv 1707.06347),
with TuNAS's absolute-value reward (Bender and others, "Can Weight Sharing Outperform Random Architecture Search?",
CVPR 2020, arXiv 2008.06120)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import optuna
from numpy.typing import NDArray

from metanet.errors import MetanetError
from metanet.searchers.samplers.native import NativeSampler, check_counts
from metanet.searchers.samplers.told import Floats, Rows, as_rows, costs_of, told
from metanet.searchers.space import SearchSpace

CLIP = 0.2  # how far a ratio of probabilities may be from 1 (PPO, equation 7)
EPOCHS = 8  # steps on a batch
MOMENTS = (0.9, 0.999)  # of Adam
DRAWN = 100  # rows drawn from the policy before a slot takes the likeliest of feasible ones
POOL = 256  # of which it takes them


@dataclass(frozen=True, kw_only=True)
class PolicyGradient(NativeSampler):
    """Draws each gene from a distribution of its own, and moves the distributions towards what was rewarded above the
    average. One objective.

    The reward is the objective, and with a `target` beside it beta * |cost / target - 1|: the policy then looks for
    architectures that cost about so much (TuNAS, equation 2; `beta` is in units of the objective). Constraints stay
    hard. The policy is learnt again from all results for each proposal: nothing is kept that a kill could lose.

    batch    how many results a change of the policy is made from
    rate     of Adam, on the logits
    entropy  weight of the policy's entropy in what is maximised
    cost     which of the space's costs is to be near `target`; with target None none is
    """

    one_objective: ClassVar[bool] = True

    batch: int = 10
    rate: float = 0.1
    entropy: float = 0.01
    cost: str = "macs"
    target: float | None = None
    beta: float = -0.07

    def __post_init__(self) -> None:
        check_counts(self, "batch")
        for name, rule, kept in (
            ("rate", "above 0", self.rate > 0),
            ("entropy", "at least 0", self.entropy >= 0),
            ("target", "above 0, or None", self.target is None or self.target > 0),
            ("beta", "below 0", self.beta < 0),
        ):
            if not kept:
                raise MetanetError(f"`{name}` of PolicyGradient must be {rule}, got {getattr(self, name)!r}")

    def candidates(self, space: SearchSpace[Any], study: optuna.Study, slot: int) -> Iterator[Any]:
        """Feasible rows drawn from the policy, then the likeliest of random ones, then any."""
        history = told(space, study)
        logits = self.policy(space, history.rows, self._rewards(space, history.rows, history.values[:, 0]))
        return chain(self._drawn(space, logits, slot), self.draws(space, slot))

    def policy(self, space: SearchSpace[Any], rows: Rows, rewards: Floats) -> Floats:
        """(genes, choices) logits after the rewards (n,) of rows (n, genes), batch by batch; -inf beyond choices."""
        counts = np.array([len(gene.choices) for gene in space.genes])
        logits = np.where(np.arange(counts.max())[None] < counts[:, None], 0.0, -np.inf)
        moments, step = np.zeros((2, *logits.shape)), 0
        for end in range(self.batch, len(rows) + 1, self.batch):
            batch, scale = rows[end - self.batch : end], rewards[:end].std()
            # TuNAS's baseline is a moving average of rewards; with so few of them it is their mean.
            advantage = (rewards[end - self.batch : end] - rewards[:end].mean()) / (scale or 1.0)
            before = log_chances(logits, batch)
            for _ in range(EPOCHS):
                step += 1
                gradient = self._gradient(logits, batch, advantage, before)
                for i, (decay, power) in enumerate(zip(MOMENTS, (1, 2), strict=True)):
                    moments[i] = decay * moments[i] + (1 - decay) * gradient**power
                mean, square = (m / (1 - decay**step) for m, decay in zip(moments, MOMENTS, strict=True))
                logits = logits + self.rate * mean / (np.sqrt(square) + 1e-8)
        return logits

    def _gradient(self, logits: Floats, rows: Rows, advantage: Floats, before: Floats) -> Floats:
        """Of the clipped surrogate (PPO, equation 7) and the entropy, by the logits, (genes, choices)."""
        ratio = np.exp(log_chances(logits, rows) - before)
        clipped = ((advantage > 0) & (ratio > 1 + CLIP)) | ((advantage < 0) & (ratio < 1 - CLIP))
        weight = np.where(clipped, 0.0, ratio * advantage) / len(rows)
        chances = softmax(logits)
        picked = rows[:, :, None] == np.arange(logits.shape[1])
        surrogate = np.einsum("n,ngc->gc", weight, picked - chances)
        logs = np.log(np.where(chances > 0, chances, 1.0))
        surprise = -chances * (logs - (chances * logs).sum(1, keepdims=True))
        return np.asarray(surrogate + self.entropy * surprise)

    def _drawn(self, space: SearchSpace[Any], logits: Floats, slot: int) -> Iterator[Any]:
        rng = np.random.default_rng([self.seed, slot])
        noise = rng.gumbel(size=(DRAWN, *logits.shape))
        for row in (logits + noise).argmax(2):
            spec = space.decode(row)
            if space.feasible(spec, self.constraints):
                yield spec
        pool = space.sample(POOL, self.constraints, seed=[self.seed, slot])
        rows = as_rows([space.encode(spec) for spec in pool], len(space.genes))
        # Gumbel noise makes the order a draw without replacement by the policy's chances.
        order = np.argsort(-(log_chances(logits, rows) + rng.gumbel(size=POOL)), kind="stable")
        yield from (pool[i] for i in order)

    def _rewards(self, space: SearchSpace[Any], rows: Rows, values: Floats) -> Floats:
        """(n,) TuNAS's reward. Raises MetanetError where the space has no such cost."""
        if self.target is None:
            return values
        return np.asarray(values + self.beta * np.abs(costs_of(space, rows, self.cost) / self.target - 1))


def softmax(logits: Floats) -> Floats:
    """Chances of logits (genes, choices), row by row."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def log_chances(logits: Floats, rows: NDArray[np.int64]) -> Floats:
    """(n,) logarithms of the chances of rows (n, genes)."""
    highest = logits.max(1, keepdims=True)
    normal = logits - highest - np.log(np.exp(logits - highest).sum(1, keepdims=True))
    return np.asarray(normal[np.arange(len(logits)), rows].sum(1)) if rows.size else np.zeros(0)
