"""Several processes that train one supernet: who writes, what they add up, and how an error reaches all of them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from metanet.errors import MetanetError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")
_ELSEWHERE = "another process of this training failed, and its message says why; the same command goes on where it was"


class Processes:
    """The processes of a Fabric that is launched, or this one alone.

    Everything below is called by all processes, in the same order. An error in one ends all of them: nobody waits for
    a process that is gone.
    """

    def __init__(self, fabric: "Fabric | None" = None) -> None:
        self.fabric = fabric
        self.count = 1 if fabric is None else fabric.world_size
        self.rank = 0 if fabric is None else fabric.global_rank
        if fabric is not None and fabric.strategy.precision.precision == "16-mixed":
            raise MetanetError("gradients are not scaled, so 16-mixed loses the small ones: use precision='bf16-mixed'")

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """The precision of forward passes."""
        return nullcontext() if self.fabric is None else self.fabric.autocast()

    def share(self, work: Callable[[], T]) -> T:
        """What `work` gives the first process, on all of them; its error, too."""
        if self.fabric is None or self.count == 1:
            return work()
        fabric, error = self.fabric, None
        said: tuple[str, Any] = ("", None)
        if self.first:
            try:
                said = ("", work())
            except Exception as found:  # told to all before it is raised
                error, said = found, (str(found) or repr(found), None)
        message, value = self._collective(lambda: fabric.broadcast(said))
        if error is not None:
            raise error
        if message:
            raise MetanetError(message)
        return value  # type: ignore[no-any-return]

    def together(self, work: Callable[[], T]) -> T:
        """What `work` gives this process, once it has ended well on all of them."""
        if self.count == 1:
            return work()
        error: Exception | None = None
        try:
            value = work()
        except Exception as found:
            error = found
        (failed,) = self.sum([torch.tensor(float(error is not None))])
        if error is not None:
            raise error
        if failed:
            raise MetanetError(_ELSEWHERE)
        return value

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Each tensor summed over all processes, in one go; they have the same shapes everywhere."""
        if self.fabric is None or self.count == 1:
            return list(tensors)
        fabric, flat = self.fabric, torch.cat([t.flatten() for t in tensors]).to(self.fabric.device)
        total = self._collective(lambda: fabric.all_reduce(flat, reduce_op="sum"))
        parts = torch.split(total, [t.numel() for t in tensors])  # type: ignore[arg-type]
        return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]

    def _collective(self, call: Callable[[], T]) -> T:
        """A call that all processes make; where one is gone, an error in place of a wait."""
        try:
            return call()
        except RuntimeError as error:  # what torch raises where a connection is closed, or after its own timeout
            raise MetanetError(f"{_ELSEWHERE} ({str(error).splitlines()[0]})") from None
