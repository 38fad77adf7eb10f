"""The two-way transformer of SAM's mask decoder ("Segment Anything", appendix A, figure 14).

Image tokens may be shared: where one image has several prompts, the image side is kept once,
shape ``(I, N, C)``, until the first layer that makes it differ from prompt to prompt, instead of
being copied for each of the ``B = I * P`` prompts.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import MLPBlock


class TwoWayTransformer(nn.Module):
    """Lets prompt tokens and image tokens attend to each other.

    Args:
        depth: number of two-way blocks.
        embedding_dim: channels.
        num_heads: attention heads.
        mlp_dim: hidden channels of the tokens' MLP.
        attention_downsample_rate: cross-attention runs at ``embedding_dim`` over this.
    """

    def __init__(
        self,
        depth: int,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        attention_downsample_rate: int = 2,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                embedding_dim,
                num_heads,
                mlp_dim,
                attention_downsample_rate,
                skip_first_layer_pe=i == 0,
            )
            for i in range(depth)
        )
        self.final_attn_token_to_image = Attention(
            embedding_dim, num_heads, attention_downsample_rate
        )
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Run the blocks and the last attention from tokens to image.

        Args:
            image: image tokens, ``(I, N, C)`` or ``(B, N, C)``.
            image_pe: their positional encoding, ``(1, N, C)``.
            tokens: output and prompt tokens, ``(B, T, C)``, prompts of one image side by side.

        Returns:
            The tokens ``(B, T, C)`` and the image tokens ``(B, N, C)``.
        """
        queries, keys = tokens, image
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, image_pe)
        attended = self.final_attn_token_to_image(queries + tokens, keys + image_pe, keys)
        return self.norm_final_attn(queries + attended), keys


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of tokens, tokens to image, MLP of tokens, image to tokens.

    Args:
        embedding_dim: channels.
        num_heads: attention heads.
        mlp_dim: hidden channels of the MLP.
        attention_downsample_rate: see :class:`TwoWayTransformer`.
        skip_first_layer_pe: the first block's self-attention replaces the tokens and leaves the
            positional encoding out.
    """

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        attention_downsample_rate: int,
        skip_first_layer_pe: bool,
    ) -> None:
        super().__init__()
        self.self_attn = Attention(embedding_dim, num_heads)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = Attention(
            embedding_dim, num_heads, attention_downsample_rate
        )
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLPBlock(embedding_dim, mlp_dim, act=nn.ReLU)
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = Attention(
            embedding_dim, num_heads, attention_downsample_rate
        )
        self.skip_first_layer_pe = skip_first_layer_pe

    def forward(
        self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update tokens ``(B, T, C)`` and image tokens ``(I or B, N, C)``, which become ``B``."""
        if self.skip_first_layer_pe:
            queries = self.self_attn(queries, queries, queries)
        else:
            q = queries + query_pe
            queries = queries + self.self_attn(q, q, queries)
        queries = self.norm1(queries)

        image = keys + key_pe
        queries = queries + self.cross_attn_token_to_image(queries + query_pe, image, keys)
        queries = self.norm2(queries)
        queries = self.norm3(queries + self.mlp(queries))

        update = self.cross_attn_image_to_token(image, queries + query_pe, queries)
        return queries, self.norm4(add_shared(keys, update))


def add_shared(shared: Tensor, x: Tensor) -> Tensor:
    """Add ``shared (I, ...)`` to each of its neighbours in ``x (I * P, ...)`` without a copy."""
    grouped: Tensor = x.unflatten(0, (len(shared), -1))
    return (grouped + shared.unsqueeze(1)).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than its embedding.

    Args:
        embedding_dim: channels in and out.
        num_heads: heads.
        downsample_rate: the inner width is ``embedding_dim`` over this.
    """

    def __init__(self, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner = embedding_dim // downsample_rate
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embedding_dim, inner)
        self.k_proj = nn.Linear(embedding_dim, inner)
        self.v_proj = nn.Linear(embedding_dim, inner)
        self.out_proj = nn.Linear(inner, embedding_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``q (Bq, Nq, C)`` to ``k`` and ``v (Bk, Nk, C)``.

        Where one batch is a multiple of the other, each item of the smaller one is shared by that
        many neighbours in the larger one.

        Returns:
            ``(max(Bq, Bk), Nq, C)``.
        """
        q, k, v = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        b, length = q.shape[:2]
        if b > len(k):  # many prompts, one image: their queries are one long row of queries
            q = q.reshape(len(k), -1, q.shape[-1])
        elif b < len(k):  # one image's queries, the tokens of many prompts
            q = q.unsqueeze(1).expand(-1, len(k) // b, -1, -1).reshape(len(k), length, -1)
            b = len(k)
        y = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))
        y = y.transpose(1, 2).reshape(b, length, -1)
        out: Tensor = self.out_proj(y)
        return out

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1))
        return heads.transpose(1, 2)
