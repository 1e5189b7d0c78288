"""What a rule of supernet training is: the five parts that one may have, and what stands in each without a rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from metanet.search_spaces.space import Space
from metanet.search_spaces.training.pools import Pool, Rules, whole
from metanet.spec import ArchSpec

PARTS: Mapping[str, str] = {
    "networks": "the networks of a step",
    "draw": "how its random networks are drawn",
    "schedule": "which part of the space is open",
    "teacher": "what teaches all but the largest",
    "gradients": "how the gradients are brought together",
}

Key = Sequence[int]  # names a step: what is drawn with it is a function of it alone
Groups = tuple[tuple[ArchSpec, ...], ...]
Gradients = dict[str, Tensor]  # by the names of a supernet's parameters; those without a gradient are missing


@dataclass(frozen=True)
class Networks:
    """The networks of a step.

    ends     the largest, then the smallest; none where a rule has no ends
    random   groups of candidates, of each of which one is trained
    """

    ends: tuple[ArchSpec, ...]
    random: Groups


@dataclass(frozen=True)
class Rule:
    """A named way to train, in one of PARTS.

    does            what it does: by its part an `Assemble`, a `Draw`, a `Schedule`, a `Teach` or a `Join`
    about           that in a line, for people
    paper           where it is from, with the section
    needs_largest   whether it has no meaning without a largest network in each step
    """

    part: str
    does: Any
    about: str
    paper: str
    needs_largest: bool = False


class Assemble(Protocol):
    """The rule of the part `networks`."""

    def __call__(self, pool: Pool, key: Key, draw: Callable[[int], Groups], samples: int) -> Networks:
        """The networks of a step; draw(n): n groups of random ones; samples: how many the configuration asks for."""


@dataclass(frozen=True)
class Draw:
    """The rule of the part `draw`.

    pools    (space, rules, bands) -> what steps draw from, each from one of them at random
    groups   (pool, key, n, candidates) -> n groups of candidates
    pick     which candidate of a group is trained, by their losses; None where a group has but one
    """

    pools: Callable[[Space, Rules, int], list[Pool]]
    groups: Callable[[Pool, Key, int, int], Groups]
    pick: Callable[[Sequence[float]], int] | None = None


Schedule = Callable[[Space], Mapping[str, Space]]  # the space that is open in each phase, by the phase's name
Teach = Callable[[Tensor, Tensor], Tensor]  # logits (b, classes) of student and teacher -> mean loss ()
Join = Callable[[Gradients, Gradients], Gradients]  # the largest network's and the others' -> what is descended


def uniform(pool: Pool, key: Key, n: int, candidates: int) -> Groups:
    """n networks, each alone in its group, uniform over all that the pool holds."""
    return tuple((spec,) for spec in pool.draw(n, key))


def summed(largest: Gradients, others: Gradients) -> Gradients:
    """The sum, where both have a gradient; that of the one that has it elsewhere."""
    both = {name: gradient + others[name] for name, gradient in largest.items() if name in others}
    return {**others, **largest, **both}


def unscheduled(space: Space) -> Mapping[str, Space]:
    """The whole space in all steps."""
    return {"whole": space}


UNIFORM = Draw(whole, uniform)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product () of two tensors of one shape."""
    return torch.dot(a.flatten(), b.flatten())
