"""Slices of shared weights that are cut once and filled with the present values whenever a network wears them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metanet.search_spaces.shared import Slice


@dataclass(frozen=True)
class Fitted:
    """The slices of some weights, for running without gradients.

    worn   a tensor for each slice: the shared memory itself where a slice lies there in one piece, else a buffer
    into   the buffers, as the views are shaped
    views  of the shared memory, what the buffers are filled with
    seen   the weights by key, with their addresses
    """

    worn: tuple[Tensor, ...]
    into: list[Tensor]
    views: list[Tensor]
    seen: tuple[tuple[str, Tensor, int], ...]

    def fits(self, weights: Mapping[str, Any]) -> bool:
        """Whether these are the same weights in the same memory, whatever their values. While the views are there
        nothing else can get that memory."""
        return all(weights[key] is value and value.data_ptr() == place for key, value, place in self.seen)

    def filled(self) -> tuple[Tensor, ...]:
        """What to wear, with the present values."""
        if self.views:
            torch._foreach_copy_(self.into, self.views)
        return self.worn


def fitted(slices: Sequence[Slice], weights: Mapping[str, Any]) -> Fitted | None:
    """The slices of a module's own weights; None for what `torch.func` or a tracer puts in their place.

    All are marked as parameters are: torch multiplies matrices in another way where nothing asks for a gradient, and
    rounds otherwise.
    """
    whole = {part.key: weights[part.key] for part in slices}
    if any(type(value) is not nn.Parameter for value in whole.values()):
        return None
    worn, into, views = [], [], []
    with torch.inference_mode(False), torch.no_grad():  # what is made in that mode could not be filled outside of it
        for part in slices:
            view = part.take(whole[part.key])
            if view.is_contiguous():
                own = view.reshape(part.empty.shape)
            else:
                own = view.new_empty(part.empty.shape)
                into.append(own.view(view.shape))
                views.append(view)
            worn.append(own.requires_grad_())
    return Fitted(tuple(worn), into, views, tuple((key, value, value.data_ptr()) for key, value in whole.items()))
