"""Cross-covariance attention: attention over channels (XCA; El-Nouby et al. 2021, arXiv 2106.09681, section 3.2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import Linear
from metanet.blocks.tally import Tally
from metanet.spec import StageSpec


class ChannelAttention(nn.Module):
    """softmax(temperature * norm(q)^T norm(k)) v^T per head: a head_dim x head_dim matrix, linear in tokens.

    q and k have unit length over the tokens; each head learns its temperature. Without XCiT's local patch layer, as
    in the released MN-B15.
    """

    def __init__(self, w_in: int, w_out: int, stage: StageSpec, index: int = 0) -> None:
        super().__init__()
        self.head_dim = stage.head_dim or w_in
        self.temperature = nn.Parameter(torch.ones(w_in // self.head_dim, 1, 1))
        self.qkv = Linear(w_in, 3 * w_in)
        self.proj = Linear(w_in, w_out)

    def forward(self, x: Tensor) -> Tensor:
        """(b, h, w, w_in) -> (b, h, w, w_out)."""
        qkv = self.qkv(x).flatten(1, 2).unflatten(2, (3, -1, self.head_dim))  # (b, n, 3, heads, head_dim)
        q, k, v = qkv.permute(2, 0, 3, 4, 1)  # each (b, heads, head_dim, n)
        weights = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        y = weights.softmax(dim=-1) @ v  # (b, heads, head_dim, n)
        return self.proj(y.permute(0, 3, 1, 2).reshape(x.shape))  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, w_out: int, stage: StageSpec) -> None:
        """Adds this layer's cost: linear in tokens."""
        n, head_dim = tally.positions, stage.head_dim or w_in
        heads = w_in // head_dim
        tally.linear(w_in, 3 * w_in)
        tally.norm(2 * w_in, learned=False)
        tally.scale(heads)
        tally.alive(4 * w_in * n + heads * head_dim * head_dim)
        tally.matmul(head_dim, n, head_dim, batch=heads)
        tally.nonlinearity(heads * head_dim * head_dim, positions=1)
        tally.matmul(head_dim, head_dim, n, batch=heads)
        tally.linear(w_in, w_out)
