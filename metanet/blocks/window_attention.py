"""Self-attention inside shifted windows (Liu et al. 2021, arXiv 2103.14030, section 3.2).

Published: windows of a fixed side, shifted by half of it in every second block, with a learned bias for each relative
position. Our reading, since UniNet's "local self-attention" has no public code: positions that pad the map to whole
windows are masked; a map smaller than the window is one window; both per dimension.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import Linear
from metanet.blocks.tally import Tally, smaller
from metanet.spec import StageSpec


class WindowAttention(nn.Module):
    """softmax(q k^T / sqrt(head_dim) + bias) v per head and window; blocks with an odd index shift the windows.

    relative_position: (heads, 2 window - 1, 2 window - 1), the bias by vertical and horizontal distance.
    """

    def __init__(self, w_in: int, w_out: int, stage: StageSpec, index: int = 0) -> None:
        super().__init__()
        self.head_dim, self.window, self.shifted = stage.head_dim or w_in, stage.window or 1, bool(index % 2)
        reach = 2 * self.window - 1
        self.relative_position = nn.Parameter(torch.empty(w_in // self.head_dim, reach, reach))
        self.qkv = Linear(w_in, 3 * w_in)
        self.proj = Linear(w_in, w_out)

    def forward(self, x: Tensor) -> Tensor:
        """(b, h, w, w_in) -> (b, h, w, w_out)."""
        b, height, width, c = x.shape
        tall, wide = min(self.window, height), min(self.window, width)  # of a window
        rows, columns = -(-height // tall), -(-width // wide)  # numbers of windows
        shift = (tall // 2 if self.shifted and rows > 1 else 0, wide // 2 if self.shifted and columns > 1 else 0)
        x = F.pad(x, (0, 0, 0, columns * wide - width, 0, rows * tall - height))
        if any(shift):
            x = x.roll((-shift[0], -shift[1]), (1, 2))
        x = x.view(b, rows, tall, columns, wide, c).transpose(2, 3).reshape(b * rows * columns, tall * wide, c)
        q, k, v = (
            self.qkv(x).view(*x.shape[:2], 3, -1, self.head_dim).permute(2, 0, 3, 1, 4)
        )  # (3, windows, heads, n, d)
        bias = self.bias(tall, wide).to(q.dtype)[None]  # (1, heads, n, n)
        if any(shift) or (rows * tall, columns * wide) != (height, width):
            apart = separated((height, width), (rows * tall, columns * wide), (tall, wide), shift, x.device)
            bias = bias.masked_fill(apart[:, None], -torch.inf).repeat(b, 1, 1, 1)
        y = F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2)
        y = y.reshape(b, rows, columns, tall, wide, c).transpose(2, 3).reshape(b, rows * tall, columns * wide, c)
        if any(shift):
            y = y.roll(shift, (1, 2))
        return self.proj(y[:, :height, :width])  # type: ignore[no-any-return]

    def bias(self, tall: int, wide: int) -> Tensor:
        """(heads, n, n) for windows of tall x wide = n positions: the entries around the middle of the table."""
        device, middle = self.relative_position.device, self.window - 1
        row = torch.arange(tall, device=device).repeat_interleave(wide)
        column = torch.arange(wide, device=device).repeat(tall)
        down, right = row[:, None] - row, column[:, None] - column
        return self.relative_position[:, down + middle, right + middle]

    @staticmethod
    def cost(tally: Tally, w_in: int, w_out: int, stage: StageSpec) -> None:
        """Adds this layer's cost: linear in tokens; padding is priced, too."""
        window, head_dim = stage.window or 1, stage.head_dim or w_in
        tall, wide = smaller(window, tally.height), smaller(window, tally.width)
        windows, n, heads = -(-tally.height // tall) * -(-tally.width // wide), tall * wide, w_in // head_dim
        tally.scale(heads * (2 * window - 1) ** 2)
        tally.linear(w_in, 3 * w_in, tokens=windows * n)
        tally.alive(4 * w_in * windows * n)
        tally.matmul(n, head_dim, n, batch=heads * windows)
        tally.nonlinearity(heads * n, positions=windows * n)
        tally.matmul(n, n, head_dim, batch=heads * windows)
        tally.linear(w_in, w_out)


def separated(
    size: tuple[int, int],
    padded: tuple[int, int],
    window: tuple[int, int],
    shift: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """(windows, n, n): which pairs of positions in a window are not neighbours in the map, or pad it.

    Positions carry the number of their region: the rows, likewise columns, that a shift brought around from the other
    side are a region of their own, and so is padding (its own keys are left to it, so that no row is all masked).
    """
    labels = []
    for length, whole, side, by in zip(size, padded, window, shift, strict=True):
        position = (torch.arange(whole, device=device) + by) % whole  # before the roll
        around = torch.arange(whole, device=device) >= whole - by
        labels.append(torch.where(position >= length, 2, around.long()).view(-1, side))
    rows, columns = labels  # (windows down, tall), (windows across, wide)
    region = 3 * rows[:, None, :, None] + columns[None, :, None, :]
    region = region.flatten(2).flatten(0, 1)  # (windows, n)
    return region[:, :, None] != region[:, None, :]
