"""Multi-head attention and the transformer block, with PyTorch's names of parameters."""

from .._core import (
    Dropout,
    LayerNorm,
    Linear,
    Module,
    Tensor,
    empty,
    gelu,
    relu,
    scaled_dot_product_attention,
    xavier_uniform_,
    zeros,
)
from ._modules import Parameter


class MultiHeadAttention(Module):
    """Attention in several heads side by side: Vaswani et al. (arXiv 1706.03762), section 3.2.2.

    Parameters as in torch.nn.MultiheadAttention: in_proj_weight (3 dim, dim) for queries, keys and
    values, in_proj_bias (3 dim,), out_proj. The batch comes first.
    """

    def __init__(self, embed_dim: int, num_heads: int, bias: bool = True) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiHeadAttention: {num_heads} heads do not divide embed_dim {embed_dim}"
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.in_proj_weight = Parameter(xavier_uniform_(empty(3 * embed_dim, embed_dim)))
        self.in_proj_bias = Parameter(zeros(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)

    def _project(self, x: Tensor, part: int) -> Tensor:
        """Queries (part 0), keys (1) or values (2) of x: (n, heads, seq, dim / heads)."""
        if x.ndim != 3 or x.shape[2] != self.embed_dim:
            raise ValueError(
                f"MultiHeadAttention: got shape {x.shape}; wanted (n, seq, {self.embed_dim})"
            )
        rows = slice(part * self.embed_dim, (part + 1) * self.embed_dim)
        y = x @ self.in_proj_weight[rows].transpose(0, 1)
        if self.in_proj_bias is not None:
            y = y + self.in_proj_bias[rows]
        n, seq, _ = x.shape
        width = self.embed_dim // self.num_heads
        return y.reshape(n, seq, self.num_heads, width).transpose(1, 2)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """query (n, tq, dim), key and value (n, tk, dim) -> (n, tq, dim).

        Without key and value the query attends to itself. is_causal: no look at what comes later.
        """
        key = query if key is None else key
        value = key if value is None else value
        q, k, v = (self._project(x, i) for i, x in enumerate((query, key, value)))
        y = scaled_dot_product_attention(q, k, v, is_causal=is_causal)
        return self.out_proj(y.transpose(1, 2).reshape(query.shape))


class TransformerBlock(Module):
    """Attention, then two linear layers, each added to its input and normalised: arXiv 1706.03762.

    Parameters as in torch.nn.TransformerEncoderLayer(batch_first=True): self_attn, linear1,
    linear2, norm1, norm2. norm_first: normalise in front of attention and layers, not behind
    (arXiv 2002.04745). activation: "relu" or "gelu".
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        norm_first: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ("relu", "gelu"):
            raise ValueError(
                f'TransformerBlock: activation must be "relu" or "gelu", not {activation!r}'
            )
        self.self_attn = MultiHeadAttention(d_model, nhead)
        self.linear1 = Linear(d_model, dim_feedforward)
        self.linear2 = Linear(dim_feedforward, d_model)
        self.norm1, self.norm2 = LayerNorm(d_model), LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        self.activation, self.norm_first = activation, norm_first

    def _feed_forward(self, x: Tensor) -> Tensor:
        f = relu if self.activation == "relu" else gelu
        return self.dropout(self.linear2(self.dropout(f(self.linear1(x)))))

    def forward(self, x: Tensor, is_causal: bool = False) -> Tensor:
        """x (n, seq, d_model) -> the same shape."""
        if self.norm_first:
            x = x + self.dropout(self.self_attn(self.norm1(x), is_causal=is_causal))
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(x + self.dropout(self.self_attn(x, is_causal=is_causal)))
        return self.norm2(x + self._feed_forward(x))
