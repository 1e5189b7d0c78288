"""A token MLP: two linear maps over positions, the same for every channel (MLP-Mixer; Tolstikhin et al. 2021).

Published in the released MetaNet file, though no released network uses it: hidden width of twice the tokens, GELU,
LayerScale. Our reading: the mixing weights are functions on a grid of `grid` x `grid` positions, so that the layer
takes any map: on a map of another size they are interpolated bilinearly, and the weights into the hidden layer are
scaled by grid^2 / positions, which keeps a constant map's response.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import Linear
from metanet.blocks.tally import Tally, settled
from metanet.spec import StageSpec


def hidden_tokens(grid: int) -> int:
    """Width of the hidden layer: twice the tokens of the grid."""
    return 2 * grid * grid


class TokenMlp(nn.Module):
    """y = W2 gelu(W1 x + b1) + b2 over positions; a projection follows only where the width changes.

    expand, expand_bias     W1 (hidden, grid, grid) and b1 (hidden, 1)
    project, project_bias   W2 (hidden, grid, grid) and b2 (1, grid, grid), both by output position
    """

    def __init__(self, w_in: int, w_out: int, stage: StageSpec, index: int = 0) -> None:
        super().__init__()
        grid = stage.grid or 1
        hidden = hidden_tokens(grid)
        self.expand = nn.Parameter(torch.empty(hidden, grid, grid))
        self.expand_bias = nn.Parameter(torch.empty(hidden, 1))
        self.project = nn.Parameter(torch.empty(hidden, grid, grid))
        self.project_bias = nn.Parameter(torch.empty(1, grid, grid))
        self.proj = Linear(w_in, w_out) if w_in != w_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(b, h, w, w_in) -> (b, h, w, w_out)."""
        height, width = x.shape[1:3]
        scale = self.expand[0].numel() / (height * width)
        expand = resized(self.expand, height, width) * scale  # (hidden, n)
        project = resized(self.project, height, width).t()  # (n, hidden)
        y = F.gelu(expand @ x.flatten(1, 2) + self.expand_bias)  # (b, hidden, c)
        y = project @ y + resized(self.project_bias, height, width).t()  # (b, n, c)
        return self.proj(y.view(x.shape))  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, w_out: int, stage: StageSpec) -> None:
        """Adds this layer's cost: linear in tokens. Interpolating the weights is not counted."""
        grid, n = stage.grid or 1, tally.positions
        hidden = hidden_tokens(grid)
        tally.scale(2 * hidden * grid * grid + hidden + grid * grid)
        tally.alive(w_in * (n + hidden))
        tally.matmul(hidden, n, w_in, batch=1)
        tally.nonlinearity(w_in, positions=hidden)
        tally.matmul(n, hidden, w_in, batch=1)
        if settled(w_in != w_out):
            tally.linear(w_in, w_out)


def resized(weight: Tensor, height: int, width: int) -> Tensor:
    """(k, grid, grid) -> (k, height x width), interpolated where the sizes differ."""
    if weight.shape[1:] != (height, width):
        weight = F.interpolate(weight[None], (height, width), mode="bilinear", align_corners=False)[0]
    return weight.flatten(1)
