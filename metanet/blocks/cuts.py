"""How a block's weights are cut out of larger, shared ones: the supernet's only knowledge of a block's inside.

A cut is planned once from the two shapes, the shared one and the slice's. What it takes is a view, whose elements are
those of the slice in their order, though it may have more dimensions.
"""

from collections.abc import Callable

from torch import Size, Tensor

Take = Callable[[Tensor], Tensor]
Cut = Callable[[Size, Size], Take]


def leading(shared: Size, shape: Size) -> Take:
    """The first channels in each dimension; of a kernel (the last two of four dimensions), its centre."""
    spare = [(dim, whole - size, size) for dim, (whole, size) in enumerate(zip(shared, shape, strict=True))]
    centred_from = 2 if len(shape) == 4 else len(shape)
    steps = [(dim, more // 2 if dim >= centred_from else 0, size) for dim, more, size in spare if more]

    def take(value: Tensor) -> Tensor:
        for step in steps:
            value = value.narrow(*step)
        return value

    return take


def thirds(shared: Size, shape: Size) -> Take:
    """For fused query, key and value weights: the first channels of each of the three."""
    return _parts(3, shared, shape)


def halves(shared: Size, shape: Size) -> Take:
    """For fused key and value weights: the first channels of each of the two."""
    return _parts(2, shared, shape)


def _parts(count: int, shared: Size, shape: Size) -> Take:
    whole, part = (Size((count, size[0] // count, *size[1:])) for size in (shared, shape))
    take = leading(whole, part)
    return lambda value: take(value.view(whole))


def centred(shared: Size, shape: Size) -> Take:
    """For tables over distances (heads, rows, columns): the first heads, and the middle of each table."""
    heads, rows, columns = shape
    top, left = (shared[1] - rows) // 2, (shared[2] - columns) // 2
    return lambda value: value[:heads, top : top + rows, left : left + columns]
