"""Cross-covariance attention: attention over channels (XCA; El-Nouby et al. 2021, arXiv 2106.09681, section 3.2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import Linear
from metanet.blocks.tally import Tally


class ChannelAttention(nn.Module):
    """softmax(temperature * norm(q)^T norm(k)) v^T per head: a head_dim x head_dim matrix, linear in tokens.

    q and k have unit length over the tokens; each head learns its temperature. Without XCiT's local patch layer, as
    in the released MN-B15.
    """

    def __init__(self, w_in: int, w_out: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.temperature = nn.Parameter(torch.ones(w_in // head_dim, 1, 1))
        self.qkv = Linear(w_in, 3 * w_in)
        self.proj = Linear(w_in, w_out)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, w_in) -> (b, n, w_out)."""
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, -1, self.head_dim).permute(2, 0, 3, 4, 1)  # (3, b, heads, head_dim, n)
        weights = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        y = weights.softmax(dim=-1) @ v  # (b, heads, head_dim, n)
        return self.proj(y.permute(0, 3, 1, 2).flatten(2))  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, w_out: int, head_dim: int) -> None:
        """Adds this layer's cost: linear in tokens."""
        n, heads = tally.positions, w_in // head_dim
        tally.linear(w_in, 3 * w_in)
        tally.norm(2 * w_in, learned=False)
        tally.scale(heads)
        tally.matmul(head_dim, n, head_dim, batch=heads)
        tally.nonlinearity(heads * head_dim * head_dim, positions=1)
        tally.matmul(head_dim, head_dim, n, batch=heads)
        tally.linear(w_in, w_out)
