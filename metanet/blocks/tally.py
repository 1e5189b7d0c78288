"""What the steps of a network cost, added up in the order in which they run.

One multiply-accumulate (MAC) is counted once. MACs are those of convolutions, linear layers and the two matrix
products of attention: what torch's FlopCounterMode counts on the meta device, halved. Norms and non-linearities are
counted in elements beside them, never inside.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The price of one forward pass of one image, and of the weights.

    macs             multiply-accumulates of convolutions, linear layers and attention products
    params           trainable numbers
    activations      numbers written by convolutions, linear layers and attention products (pycls' `acts`)
    norms            numbers that pass a normalisation
    nonlinearities   numbers that pass GELU, ReLU, hard-sigmoid or softmax
    """

    macs: int = 0
    params: int = 0
    activations: int = 0
    norms: int = 0
    nonlinearities: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(a + b for a, b in zip(self.values, other.values, strict=True)))

    def __mul__(self, times: int) -> "Cost":
        return Cost(*(a * times for a in self.values))

    @property
    def values(self) -> tuple[int, int, int, int, int]:
        """The fields in their order."""
        return self.macs, self.params, self.activations, self.norms, self.nonlinearities


class Tally:
    """Adds up steps on a map of `height` x `width` positions; steps with a stride change the map's size.

    Blocks call its methods in the order of their `forward`. Sizes are in positions, widths in channels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.macs = self.params = self.activations = self.norms = self.nonlinearities = 0

    @property
    def cost(self) -> Cost:
        """The sum so far."""
        return Cost(self.macs, self.params, self.activations, self.norms, self.nonlinearities)

    @property
    def positions(self) -> int:
        """Positions of the present map: tokens, to an attention block."""
        return self.height * self.width

    def pool(self, stride: int) -> None:
        """A padded 3x3 pooling, or any odd padded kernel: odd sizes round up."""
        self.height, self.width = -(-self.height // stride), -(-self.width // stride)

    def conv(self, w_in: int, w_out: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False) -> None:
        """A convolution with padding kernel // 2."""
        self.pool(stride)
        weights = w_out * (w_in // groups) * kernel**2
        self.params += weights + bias * w_out
        self.macs += weights * self.positions
        self.activations += w_out * self.positions

    def linear(self, w_in: int, w_out: int, *, tokens: int | None = None) -> None:
        """A linear layer with bias on each position, or on `tokens` vectors."""
        count = self.positions if tokens is None else tokens
        self.params += w_in * w_out + w_out
        self.macs += w_in * w_out * count
        self.activations += w_out * count

    def matmul(self, rows: int, inner: int, columns: int, *, batch: int) -> None:
        """`batch` matrix products (rows x inner) (inner x columns) without weights."""
        self.macs += batch * rows * inner * columns
        self.activations += batch * rows * columns

    def norm(self, width: int, *, learned: bool = True) -> None:
        """A normalisation of the map's `width` channels, with scale and shift if learned."""
        self.params += 2 * width * learned
        self.norms += width * self.positions

    def nonlinearity(self, width: int, *, positions: int | None = None) -> None:
        """An activation function on `width` channels of each position."""
        self.nonlinearities += width * (self.positions if positions is None else positions)

    def scale(self, count: int) -> None:
        """`count` learned factors (LayerScale, temperature)."""
        self.params += count

    def squeeze(self, width: int, squeezed: int) -> None:
        """Squeeze-and-excitation: two 1x1 convolutions with bias on the pooled map."""
        for w_in, w_out in ((width, squeezed), (squeezed, width)):
            self.linear(w_in, w_out, tokens=1)
            self.nonlinearity(w_out, positions=1)
