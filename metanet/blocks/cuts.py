"""How a block's weights are cut out of larger, shared ones: the supernet's only knowledge of a block's inside."""

from collections.abc import Callable

from torch import Size, Tensor

Cut = Callable[[Tensor, Size], Tensor]


def leading(shared: Tensor, shape: Size) -> Tensor:
    """The first channels in each dimension; of a kernel (the last two of four dimensions), its centre. A view."""
    for dim, size in enumerate(shape):
        spare = shared.shape[dim] - size
        if spare:
            start = spare // 2 if shared.ndim == 4 and dim >= 2 else 0
            shared = shared.narrow(dim, start, size)
    return shared


def thirds(shared: Tensor, shape: Size) -> Tensor:
    """For fused query, key and value weights: the first channels of each of the three."""
    parts = shared.view(3, shared.shape[0] // 3, *shared.shape[1:])
    return leading(parts, Size((3, shape[0] // 3, *shape[1:]))).flatten(0, 1)


def halves(shared: Tensor, shape: Size) -> Tensor:
    """For fused key and value weights: the first channels of each of the two."""
    parts = shared.view(2, shared.shape[0] // 2, *shared.shape[1:])
    return leading(parts, Size((2, shape[0] // 2, *shape[1:]))).flatten(0, 1)


def centred(shared: Tensor, shape: Size) -> Tensor:
    """For tables over distances (heads, rows, columns): the first heads, and the middle of each table. A view."""
    spare = [(a - b) // 2 for a, b in zip(shared.shape[1:], shape[1:], strict=True)]
    return shared[: shape[0]].narrow(1, spare[0], shape[1]).narrow(2, spare[1], shape[2])
