"""Multi-head self-attention over positions (Vaswani et al. 2017), global, as in the released MN-B4."""

from torch import Tensor, nn
from torch.nn import functional as F

from metanet.blocks.layers import Linear
from metanet.blocks.tally import Tally
from metanet.spec import StageSpec


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(head_dim)) v per head over all positions, then a projection to w_out channels."""

    def __init__(self, w_in: int, w_out: int, stage: StageSpec, index: int = 0) -> None:
        super().__init__()
        self.head_dim = stage.head_dim or w_in
        self.qkv = Linear(w_in, 3 * w_in)
        self.proj = Linear(w_in, w_out)

    def forward(self, x: Tensor) -> Tensor:
        """(b, h, w, w_in) -> (b, h, w, w_out)."""
        qkv = self.qkv(x).flatten(1, 2).unflatten(2, (3, -1, self.head_dim))  # (b, n, 3, heads, head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)  # (b, n, heads, head_dim)
        return self.proj(y.reshape(x.shape))  # type: ignore[no-any-return]

    @staticmethod
    def cost(tally: Tally, w_in: int, w_out: int, stage: StageSpec) -> None:
        """Adds this layer's cost: quadratic in tokens."""
        n, head_dim = tally.positions, stage.head_dim or w_in
        heads = w_in // head_dim
        tally.linear(w_in, 3 * w_in)
        tally.alive(4 * w_in * n)  # q, k, v and the result; the fused product never holds n x n weights
        tally.matmul(n, head_dim, n, batch=heads)
        tally.nonlinearity(heads * n)
        tally.matmul(n, n, head_dim, batch=heads)
        tally.linear(w_in, w_out)
