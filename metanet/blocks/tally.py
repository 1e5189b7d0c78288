"""What the steps of a network cost, added up in the order in which they run.

One multiply-accumulate (MAC) is counted once. MACs are those of convolutions, linear layers and the two matrix
products of attention: what torch's FlopCounterMode counts on the meta device, halved. Norms and non-linearities are
counted in elements beside them, never inside.

Widths and sizes may be numpy arrays that broadcast: the same steps then price many architectures at once, provided that
they take the same branches (`settled`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


def settled(condition: Any) -> bool:
    """The truth of a condition on one architecture, or on an array of them, which must agree on it."""
    if not isinstance(condition, np.ndarray):
        return bool(condition)
    assert condition.all() or not condition.any(), "architectures that are priced together must take the same branches"
    return bool(condition.any())


def larger(a: Any, b: Any) -> Any:
    """The larger number, of arrays at each place."""
    return np.maximum(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else max(a, b)


def smaller(a: Any, b: Any) -> Any:
    """The smaller number, of arrays at each place."""
    return np.minimum(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else min(a, b)


def whole(value: Any) -> Any:
    """The number without its fraction, of arrays at each place."""
    return value.astype(np.int64) if isinstance(value, np.ndarray) else int(value)


@dataclass(frozen=True)
class Cost:
    """The price of one forward pass of one image, and of the weights.

    macs             multiply-accumulates of convolutions, linear layers and attention products
    params           trainable numbers
    activations      numbers written by convolutions, linear layers and attention products (pycls' `acts`)
    norms            numbers that pass a normalisation
    nonlinearities   numbers that pass GELU, ReLU, hard-sigmoid or softmax
    peak             numbers alive at once: the largest sum of what a convolution, linear layer or attention product
                     reads and writes and what waits for a residual addition. Norms, non-linearities and additions work
                     in place; attention never holds its weights. Costs in series add up but for the peak, the largest.
    """

    macs: int = 0
    params: int = 0
    activations: int = 0
    norms: int = 0
    nonlinearities: int = 0
    peak: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        macs, params, activations, norms, nonlinearities = map(sum, zip(self.values, other.values, strict=True))
        return Cost(macs, params, activations, norms, nonlinearities, max(self.peak, other.peak))

    def __mul__(self, times: int) -> "Cost":
        macs, params, activations, norms, nonlinearities = (a * times for a in self.values)
        return Cost(macs, params, activations, norms, nonlinearities, self.peak if times else 0)

    @property
    def values(self) -> tuple[int, int, int, int, int]:
        """The fields that add up, in their order."""
        return self.macs, self.params, self.activations, self.norms, self.nonlinearities

    def memory(self, batch: int = 1, *, bytes_per_number: int = 4) -> int:
        """Peak memory of inference in bytes: the weights, and `batch` images' numbers alive at once."""
        return (self.params + batch * self.peak) * bytes_per_number


class Tally:
    """Adds up steps on a map of `height` x `width` positions; steps with a stride change the map's size.

    Blocks call its methods in the order of their `forward`. Sizes are in positions, widths in channels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.macs = self.params = self.activations = self.norms = self.nonlinearities = 0
        self.peak = self.held = 0

    @property
    def cost(self) -> Cost:
        """The sum so far."""
        return Cost(self.macs, self.params, self.activations, self.norms, self.nonlinearities, self.peak)

    @property
    def positions(self) -> int:
        """Positions of the present map: tokens, to an attention block."""
        return self.height * self.width

    def pool(self, stride: int) -> None:
        """A padded 3x3 pooling, or any odd padded kernel: odd sizes round up."""
        self.height, self.width = -(-self.height // stride), -(-self.width // stride)

    def hold(self, width: int) -> None:
        """A map of `width` channels waits for a residual addition while the next steps run, instead of what waited."""
        self.held = width * self.positions

    def alive(self, count: int) -> None:
        """A step reads and writes `count` numbers beside what is held."""
        self.peak = larger(self.peak, self.held + count)

    def conv(self, w_in: int, w_out: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False) -> None:
        """A convolution with padding kernel // 2."""
        read = w_in * self.positions
        self.pool(stride)
        self.alive(read + w_out * self.positions)
        weights = w_out * (w_in // groups) * kernel**2
        self.params = self.params + weights + bias * w_out
        self.macs = self.macs + weights * self.positions
        self.activations = self.activations + w_out * self.positions

    def linear(self, w_in: int, w_out: int, *, tokens: int | None = None) -> None:
        """A linear layer with bias on each position, or on `tokens` vectors."""
        count = self.positions if tokens is None else tokens
        self.alive((w_in + w_out) * count)
        self.params = self.params + w_in * w_out + w_out
        self.macs = self.macs + w_in * w_out * count
        self.activations = self.activations + w_out * count

    def matmul(self, rows: int, inner: int, columns: int, *, batch: int) -> None:
        """`batch` matrix products (rows x inner) (inner x columns) without weights."""
        self.macs = self.macs + batch * rows * inner * columns
        self.activations = self.activations + batch * rows * columns

    def norm(self, width: int, *, learned: bool = True) -> None:
        """A normalisation of the map's `width` channels, with scale and shift if learned."""
        self.params = self.params + 2 * width * learned
        self.norms = self.norms + width * self.positions

    def nonlinearity(self, width: int, *, positions: int | None = None) -> None:
        """An activation function on `width` channels of each position."""
        self.nonlinearities = self.nonlinearities + width * (self.positions if positions is None else positions)

    def scale(self, count: int) -> None:
        """`count` learned factors (LayerScale, temperature)."""
        self.params = self.params + count

    def squeeze(self, width: int, squeezed: int) -> None:
        """Squeeze-and-excitation: two 1x1 convolutions with bias on the pooled map."""
        for w_in, w_out in ((width, squeezed), (squeezed, width)):
            self.linear(w_in, w_out, tokens=1)
            self.nonlinearity(w_out, positions=1)
