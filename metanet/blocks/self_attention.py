"""Multi-head self-attention over positions (Vaswani et al. 2017), global, as in the released MN-B4."""

from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import Linear
from metanet.blocks.tally import Tally


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(head_dim)) v per head over all n tokens, then a projection to w_out channels."""

    def __init__(self, w_in: int, w_out: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.qkv = Linear(w_in, 3 * w_in)
        self.proj = Linear(w_in, w_out)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, w_in) -> (b, n, w_out)."""
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, -1, self.head_dim).permute(2, 0, 3, 1, 4)  # (3, b, heads, n, head_dim)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, w_out: int, head_dim: int) -> None:
        """Adds this layer's cost: quadratic in tokens."""
        n, heads = tally.positions, w_in // head_dim
        tally.linear(w_in, 3 * w_in)
        tally.matmul(n, head_dim, n, batch=heads)
        tally.nonlinearity(heads * n)
        tally.matmul(n, n, head_dim, batch=heads)
        tally.linear(w_in, w_out)
