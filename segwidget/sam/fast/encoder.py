"""SAM's image encoder for inference on a CPU.

The same weights and the same sums as :class:`ImageEncoderViT`, in another order. What costs time
there is not arithmetic alone: scores of a global block are 805 MB, which the system hands out and
takes back page by page; and the two biases of relative positions are added to all of them in passes
of their own. Here a few hundred queries of one head are scored at a time, in a buffer that stays in
the processor's cache; the bias is what the buffer begins with, so that the matrix product adds
itself on top; and no tensor is large enough to be handed back to the system.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import LayerNorm2d
from segwidget.sam.fast.linear import FastLinear, Kernel
from segwidget.sam.image_encoder import (
    Block,
    ImageEncoderViT,
    offsets_table,
    window_partition,
    window_unpartition,
)

# Scores that are computed at once; 4 MB of them stay in the cache.
SCORES_BYTES = 4 << 20
# Tokens that go through an MLP at once: the hidden layer of 1,024 tokens is 12 MB.
TOKENS = 1024


class _Block(NamedTuple):
    """A transformer block's weights as they are used here."""

    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    heads: int
    window: int
    queries: FastLinear
    keys: FastLinear
    values: FastLinear
    proj: FastLinear
    lin1: FastLinear
    lin2: FastLinear
    rel_h: Tensor  # (size, d, size): offsets of keys' rows from a query's
    rel_w: Tensor


class FastImageEncoder:
    """Embeds images as an :class:`ImageEncoderViT` does.

    Args:
        encoder: whose weights are used, on the CPU. They must not change afterwards.
        dtype: ``float32``, or ``bfloat16`` for matrix products and their results; normalization
            and the residual stream stay in float32.
        kernel: how linear layers are computed.
    """

    def __init__(
        self,
        encoder: ImageEncoderViT,
        dtype: torch.dtype = torch.float32,
        kernel: Kernel = "matmul",
    ) -> None:
        self._encoder = encoder
        self._kernel: Kernel = kernel
        self.dtype = dtype
        side = encoder.pos_embed.shape[1]
        with torch.inference_mode():
            self._blocks = [self._pack(cast(Block, block), side) for block in encoder.blocks]

    def __call__(self, x: Tensor) -> tuple[Tensor, None]:
        """Encode normalized and padded ``(B, 3, S, S)`` float images, one after the other.

        Returns:
            As :meth:`ImageEncoderViT.forward`, float32.
        """
        with torch.inference_mode():
            return torch.cat([self._embed(image) for image in x.split(1)]), None

    def _pack(self, block: Block, side: int) -> _Block:
        attn, mlp, size = block.attn, block.mlp, block.window_size or side
        queries, keys, values = attn.qkv.weight.chunk(3)
        bias_q, bias_k, bias_v = attn.qkv.bias.chunk(3)
        head_dim = len(queries) // attn.num_heads
        # Keys are scaled in place of scores: by a power of two, for 64 channels, which is exact.
        scale = head_dim**-0.5
        return _Block(
            block.norm1,
            block.norm2,
            attn.num_heads,
            block.window_size,
            self._linear(queries, bias_q),
            self._linear(keys * scale, bias_k * scale),
            self._linear(values, bias_v),
            self._linear(attn.proj.weight, attn.proj.bias),
            self._linear(mlp.lin1.weight, mlp.lin1.bias, gelu=True),
            self._linear(mlp.lin2.weight, mlp.lin2.bias),
            offsets_table(attn.rel_pos_h, size).transpose(1, 2).to(self.dtype),
            offsets_table(attn.rel_pos_w, size).transpose(1, 2).to(self.dtype),
        )

    def _linear(self, weight: Tensor, bias: Tensor, *, gelu: bool = False) -> FastLinear:
        return FastLinear(weight, bias, self.dtype, self._kernel, gelu=gelu)

    def _embed(self, image: Tensor) -> Tensor:
        """Encode one ``(1, 3, S, S)`` image."""
        encoder = self._encoder
        x = encoder.patch_embed(image) + encoder.pos_embed
        tokens = x.flatten(0, 2)  # (h*w, C), the residual stream
        for block in self._blocks:
            tokens += self._attended(block, tokens.view(x.shape))
            for part in tokens.split(TOKENS):
                part += block.lin2(block.lin1(self._normalized(block.norm2, part)))
        y = tokens.view(x.shape)
        reduce, norm1, mix, norm2 = encoder.neck
        weight = cast(nn.Conv2d, reduce).weight.flatten(1)
        y = cast(LayerNorm2d, norm1).channels_last(F.linear(y, weight)).permute(0, 3, 1, 2)
        embedding: Tensor = norm2(mix(y))
        return embedding.contiguous()

    def _normalized(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        y = F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return y.to(self.dtype)

    def _attended(self, block: _Block, x: Tensor) -> Tensor:
        """A block's attention over a ``(1, h, w, C)`` map, ``(h*w, C)``."""
        _, h, w, _ = x.shape
        y = self._normalized(block.norm1, x)
        if block.window:
            windows = window_partition(y, block.window)
            y = window_unpartition(self._attend(block, windows), block.window, h, w)
        else:
            y = self._attend(block, y)
        return block.proj(y.reshape(h * w, -1))

    def _attend(self, block: _Block, x: Tensor) -> Tensor:
        """Attention over each of the ``(h, w)`` maps of ``x (B, h, w, C)``, without ``proj``."""
        b, h, w, c = x.shape
        n, split = h * w, (b, h * w, block.heads, c // block.heads)
        rows = x.view(b * n, c)
        queries, keys, values = (
            layer(rows).view(split) for layer in (block.queries, block.keys, block.values)
        )
        attended = x.new_empty(split)
        step = max(1, min(n, SCORES_BYTES // (b * n * x.element_size())))
        scores, sums = x.new_empty(b, step, n), x.new_empty(b, step, n, dtype=torch.float32)
        for head in range(block.heads):
            q, k, v = (t[:, :, head].contiguous() for t in (queries, keys, values))
            bias_h, bias_w = self._biases(block, q, h, w)
            for start in range(0, n, step):
                at = slice(start, min(start + step, n))
                part = scores[:, : at.stop - start]
                bias = sums[:, : at.stop - start] if x.dtype != torch.float32 else part
                terms = bias_h[:, at].unsqueeze(-1), bias_w[:, at].unsqueeze(-2)
                torch.add(*terms, out=bias.view(b, -1, h, w))
                if bias is not part:  # adding rows to columns in bfloat16 is six times slower
                    part.copy_(bias)
                torch.baddbmm(part, q[:, at], k.transpose(1, 2), out=part)
                torch.softmax(part, -1, out=part)
                torch.bmm(part, v, out=attended[:, at, head])
        return attended.view(b, h, w, c)

    def _biases(self, block: _Block, q: Tensor, h: int, w: int) -> tuple[Tensor, Tensor]:
        """The float32 biases of keys' rows, ``(B, h*w, h)``, and of keys' columns for a head."""
        b, n, d = q.shape
        grid = q.view(b, h, w, d)
        by_row = grid.transpose(0, 1).reshape(h, b * w, d) @ block.rel_h
        by_column = grid.permute(2, 0, 1, 3).reshape(w, b * h, d) @ block.rel_w
        bias_h = by_row.view(h, b, w, h).transpose(0, 1)
        bias_w = by_column.view(w, b, h, w).permute(1, 2, 0, 3)
        return bias_h.reshape(b, n, h).float(), bias_w.reshape(b, n, w).float()
