"""Gradient projection (Gong et al. 2022, NASViT, eq. 1): where the largest network's gradient points against that of
the sampled networks, the part of it that does so is taken out. The sampled networks come first, since they are what is
searched; their gradient is never changed.

Each parameter is looked at by itself. Where only one side has a gradient (branches that the other does not run), it
passes as it is: never twice, never not at all.
"""

from torch import Tensor

from metanet.search_spaces.training.parts import Gradients, Rule, dot, summed


def projected(largest: Gradients, others: Gradients) -> Gradients:
    """The sum of both after the projection of the largest network's."""
    freed = {name: without_conflict(g, others[name]) if name in others else g for name, g in largest.items()}
    return summed(freed, others)


def without_conflict(gradient: Tensor, first: Tensor) -> Tensor:
    """A gradient less its part along `first`, where it points against it; as it is elsewhere."""
    along, length = dot(gradient, first), dot(first, first)
    return gradient - (along / length).nan_to_num() * first if along < 0 else gradient


RULE = Rule(
    "gradients",
    projected,
    "takes out of the largest network's gradient what points against the others'",
    "Gong et al. 2022, NASViT, eq. 1",
    needs_largest=True,
)
