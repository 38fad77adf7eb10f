"""SAM's prompt encoder and mask decoder for inference on a CPU.

The same weights and the same sums as :meth:`Sam.decode`, in another order. An answer has few
tokens (seven for one point) and many image tokens (4,096), so whatever is multiplied with the image
is gathered on the tokens' side first: projecting 4,096 image tokens to keys, to be compared with 56
queries (7 tokens, 8 heads), becomes the comparison of the unprojected image with 56 projected
queries. What depends on the model alone (positions) is computed once, what depends on the image
alone once an image. The two doublings stay in the order of the tokens; only the finished logits
are put into rows and columns.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import MLP, LayerNorm2d
from segwidget.sam.fast.linear import FastLinear, Kernel
from segwidget.sam.mask_decoder import as_tokens, smoothed
from segwidget.sam.sam import ImageFeatures, Sam
from segwidget.sam.transformer import Attention, TwoWayAttentionBlock, add_shared


class PreparedImage(NamedTuple):
    """What depends on the image alone.

    Attributes:
        embedding: ``(1, C, h, w)`` float32, as the image encoder gave it.
        image: its tokens ``(1, N, C)`` with the map that says "no mask".
        keys: of the first block's heads, positions and all, ``(heads, d, N)``.
        values: of the first block's heads, ``(heads, N, d)``.
        queries: of the first block's heads, ``(heads, d, N)``.
        skip: the encoder's stride-4 features, projected, ``(1, 4N, c)``; ``None`` without such.
    """

    embedding: Tensor
    image: Tensor
    keys: Tensor
    values: Tensor
    queries: Tensor
    skip: Tensor | None


class _Cross(NamedTuple):
    """A cross-attention, with its side of the image folded into the side of the tokens.

    Attributes:
        attention: whose projections of tokens are used.
        project: of image tokens, to be applied to the tokens' side, ``(heads, d, C)``.
        positions: of image tokens, projected, ``(heads, d, N)``.
        values: what turns a head's values into the output: from image tokens ``(heads, C, d)``, or
            to them ``(heads, d, C)``.
        bias: of the output; to image tokens a head's share of it.
    """

    attention: Attention
    project: Tensor
    positions: Tensor
    values: Tensor
    bias: Tensor


class _Norm(NamedTuple):
    """A layer normalization over the last axis."""

    weight: Tensor
    bias: Tensor
    eps: float

    @classmethod
    def of(cls, layer: nn.LayerNorm | LayerNorm2d, dtype: torch.dtype) -> _Norm:
        return cls(layer.weight.to(dtype), layer.bias.to(dtype), layer.eps)

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class _MaskMLPs:
    """The hyper-networks side by side: each token through its own."""

    def __init__(self, mlps: nn.ModuleList) -> None:
        layers = zip(*(cast(MLP, mlp).layers for mlp in mlps), strict=True)
        self._layers = [
            (
                torch.stack([x.weight.T for x in layer]),
                torch.stack([x.bias for x in layer])[:, None],
            )
            for layer in layers
        ]

    def __call__(self, tokens: Tensor) -> Tensor:
        """``(B, M, C)`` to ``(B, M, c)``."""
        x = tokens.transpose(0, 1)
        for i, (weight, bias) in enumerate(self._layers):
            x = torch.baddbmm(bias, x if i == 0 else F.relu(x), weight)
        return x.transpose(0, 1)


class FastDecoder:
    """Answers prompts as :meth:`Sam.decode` does.

    Args:
        sam: whose weights are used, on the CPU. They must not change afterwards.
        dtype: of the image's side, ``float32`` or ``bfloat16``. The tokens' side is float32.
        kernel: how the doublings are computed.
    """

    def __init__(
        self, sam: Sam, dtype: torch.dtype = torch.float32, kernel: Kernel = "matmul"
    ) -> None:
        self._prompts, self._decoder, self.dtype = sam.prompt_encoder, sam.mask_decoder, dtype
        transformer = self._decoder.transformer
        self._blocks = [cast(TwoWayAttentionBlock, block) for block in transformer.layers]
        self._heads = transformer.final_attn_token_to_image.num_heads
        with torch.inference_mode():
            position = as_tokens(self._prompts.get_dense_pe()).squeeze(0)
            self._to_image = [
                self._keys(block.cross_attn_token_to_image, position) for block in self._blocks
            ]
            self._to_image.append(self._keys(transformer.final_attn_token_to_image, position))
            self._to_tokens = [
                self._queries(block.cross_attn_image_to_token, position) for block in self._blocks
            ]
            self._norms = [_Norm.of(block.norm4, dtype) for block in self._blocks]
            self._hyper = _MaskMLPs(self._decoder.output_hypernetworks_mlps)
            first, norm, self._act, second, last = self._decoder.output_upscaling
            self._norm = _Norm.of(cast(LayerNorm2d, norm), dtype)
            gelu = isinstance(last, nn.GELU)
            self._first = self._doubling(cast(nn.ConvTranspose2d, first), kernel)
            self._second = self._doubling(cast(nn.ConvTranspose2d, second), kernel, gelu=gelu)
            self._last_act = None if gelu else last

    def prepare(self, features: ImageFeatures) -> PreparedImage:
        """Compute what depends on the image alone.

        Args:
            features: of one image.
        """
        with torch.inference_mode():
            embedding = features.embedding.float()
            no_mask = self._prompts.no_mask_embed.weight.view(1, -1, 1, 1)
            image = as_tokens(embedding + no_mask).to(self.dtype).contiguous()
            to_image, to_tokens = self._to_image[0], self._to_tokens[0]
            v_proj, heads = to_image.attention.v_proj, to_image.attention.num_heads
            values = F.linear(image[0], v_proj.weight.to(self.dtype), v_proj.bias.to(self.dtype))
            return PreparedImage(
                embedding,
                image,
                to_image.positions + to_image.project @ image[0].T,
                values.unflatten(-1, (heads, -1)).transpose(0, 1).contiguous(),
                to_tokens.positions + to_tokens.project @ image[0].T,
                self._skip(features.high_res),
            )

    def __call__(
        self,
        prepared: PreparedImage,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        *,
        padded: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Predict all four masks for each of ``B`` prompts; see :meth:`Sam.decode`.

        Returns:
            Low-resolution logits ``(B, 4, 4h, 4w)`` and predicted IoUs ``(B, 4)``, float32.
        """
        with torch.inference_mode():
            sparse, dense = self._prompts(points, boxes, masks, prepared.embedding, padded=padded)
            decoder, b = self._decoder, len(sparse)
            output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
            tokens = torch.cat([output.expand(b, -1, -1), sparse], dim=1)
            shared = masks is None and self._prompts.dense_prompt is None
            if shared:
                image = prepared.image
            else:
                image = as_tokens(prepared.embedding + dense).to(self.dtype).contiguous()
                image = image.expand(b, -1, -1)  # where all prompts have one mask
            queries = tokens
            for i, block in enumerate(self._blocks):
                first = prepared if shared and i == 0 else None
                queries = self._read(i, block, queries, tokens, image, first)
                image = self._write(i, block, queries + tokens, queries, image, first)
            attended = self._attend(self._to_image[-1], queries + tokens, image)
            tokens = decoder.transformer.norm_final_attn(queries + attended)
            iou: Tensor = decoder.iou_prediction_head(tokens[:, 0])
            return self._masks(tokens, image, prepared.skip), iou

    # Attention between tokens and image.

    def _read(
        self,
        index: int,
        block: TwoWayAttentionBlock,
        queries: Tensor,
        tokens: Tensor,
        image: Tensor,
        first: PreparedImage | None,
    ) -> Tensor:
        """Tokens ``(B, T, C)`` attend to each other and to the image, and pass their MLP."""
        if block.skip_first_layer_pe:
            queries = block.self_attn(queries, queries, queries)
        else:
            q = queries + tokens
            queries = queries + block.self_attn(q, q, queries)
        queries = block.norm1(queries)
        if first is None:
            attended = self._attend(self._to_image[index], queries + tokens, image)
        else:
            attended = self._attend_first(self._to_image[index].attention, queries + tokens, first)
        queries = block.norm2(queries + attended)
        out: Tensor = block.norm3(queries + block.mlp(queries))
        return out

    def _attend(self, cross: _Cross, queries: Tensor, image: Tensor) -> Tensor:
        """Tokens ``(B, T, C)`` read ``image (B, N, C)``; the shape of the tokens stays."""
        attention = cross.attention
        q = self._by_head(attention.q_proj(queries), scaled=True)
        scores = for_each(q, cross.positions).flatten(1, 2)  # (B, heads * T, N)
        scores.baddbmm_(for_each(q, cross.project).flatten(1, 2), image.transpose(1, 2))
        read = torch.bmm(torch.softmax(scores, -1, out=scores), image).float()
        values = read.unflatten(1, (self._heads, -1)) @ cross.values
        out: Tensor = attention.out_proj(values.transpose(1, 2).flatten(2) + cross.bias)
        return out

    def _attend_first(self, attention: Attention, queries: Tensor, first: PreparedImage) -> Tensor:
        """As :meth:`_attend` for the image that all prompts share, whose sides are projected."""
        q = self._by_head(attention.q_proj(queries), scaled=True)
        scores = for_each(q, first.keys)
        read = for_each(torch.softmax(scores, -1, out=scores), first.values).float()
        out: Tensor = attention.out_proj(read.transpose(1, 2).flatten(2))
        return out

    def _write(
        self,
        index: int,
        block: TwoWayAttentionBlock,
        keys: Tensor,
        values: Tensor,
        image: Tensor,
        first: PreparedImage | None,
    ) -> Tensor:
        """The image ``(1 or B, N, C)`` reads tokens: ``(B, N, C)``."""
        cross = self._to_tokens[index]
        attention = cross.attention
        k = self._by_head(attention.k_proj(keys), scaled=True)
        if first is None:
            scores = for_each(k, cross.positions)
            folded = for_each(k, cross.project).flatten(1, 2)
            scores.flatten(1, 2).baddbmm_(folded, image.transpose(1, 2))
        else:
            scores = for_each(k, first.queries)
        scores = torch.softmax(scores, 2, out=scores).flatten(1, 2)  # (B, heads * T, N)
        v = self._by_head(attention.v_proj(values))
        v = (v @ cross.values + cross.bias).flatten(1, 2)
        image = torch.baddbmm(image.expand(len(v), -1, -1), scores.transpose(1, 2), v)
        return self._norms[index](image)

    def _by_head(self, x: Tensor, *, scaled: bool = False) -> Tensor:
        """``(B, T, D)`` as ``(B, heads, T, d)``, scaled as scores are where that is asked for."""
        x = x.unflatten(-1, (self._heads, -1)).transpose(1, 2)
        return (x * x.shape[-1] ** -0.5 if scaled else x).to(self.dtype)

    # From tokens to masks.

    def _masks(self, tokens: Tensor, image: Tensor, skip: Tensor | None) -> Tensor:
        """Double the image twice and weigh its channels: ``(B, 4, 4h, 4w)`` float32."""
        decoder, b = self._decoder, len(tokens)
        h, w = self._prompts.image_embedding_size
        x = self._first(image.view(b * h * w, -1)).view(b, 4 * h * w, -1)
        if skip is not None:
            x = add_shared(skip, x)
        x = self._norm(x)
        x = torch.ops.aten.gelu_(x) if isinstance(self._act, nn.GELU) else self._act(x)
        x = self._second(x.flatten(0, 1)).view(b, 16 * h * w, -1)
        if self._last_act is not None:
            x = self._last_act(x)
        hyper = self._hyper(tokens[:, 1 : 1 + decoder.num_mask_tokens])
        masks = torch.bmm(hyper.to(self.dtype), x.transpose(1, 2)).float()
        # (h, w) tokens, each of 2 x 2 cells, each of 2 x 2 pixels
        masks = masks.view(b, -1, h, w, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
        masks = masks.reshape(b, -1, 4 * h, 4 * w)
        return smoothed(masks) if decoder.smooth else masks

    def _skip(self, high_res: Tensor | None) -> Tensor | None:
        """The stride-4 features in the order of the first doubling, ``(1, 4N, c)``."""
        layer = self._decoder.high_res
        if layer is None or high_res is None:
            return None
        x: Tensor = layer(high_res.float())
        h, w = self._prompts.image_embedding_size
        x = x.view(1, -1, h, 2, w, 2).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(1, 4 * h * w, -1).to(self.dtype)

    # What is computed once for the model.

    def _keys(self, attention: Attention, position: Tensor) -> _Cross:
        """The image as keys. Their bias adds the same to all scores of a query: it goes unseen."""
        weight = attention.k_proj.weight.unflatten(0, (self._heads, -1))
        values = attention.v_proj.weight.unflatten(0, (self._heads, -1)).transpose(1, 2)
        return _Cross(
            attention,
            weight.to(self.dtype),
            (weight @ position.T).to(self.dtype),
            values,
            attention.v_proj.bias,
        )

    def _queries(self, attention: Attention, position: Tensor) -> _Cross:
        """The image as queries."""
        weight = attention.q_proj.weight.unflatten(0, (self._heads, -1))
        bias = attention.q_proj.bias.view(self._heads, -1, 1)
        values = attention.out_proj.weight.T.unflatten(0, (self._heads, -1))
        # A pixel's weights sum to one in each head, so that each head may add its share of bias.
        share = attention.out_proj.bias / self._heads
        return _Cross(
            attention,
            weight.to(self.dtype),
            (weight @ position.T + bias).to(self.dtype),
            values.to(self.dtype),
            share.to(self.dtype),
        )

    def _doubling(
        self, layer: nn.ConvTranspose2d, kernel: Kernel, *, gelu: bool = False
    ) -> FastLinear:
        """A transposed 2x2 convolution of stride 2 as a linear layer, ``(2 * 2 * C')`` out."""
        weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)
        bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
        return FastLinear(weight, bias.repeat(4), self.dtype, kernel, gelu=gelu)


def for_each(x: Tensor, shared: Tensor) -> Tensor:
    """``x (B, heads, T, m) @ shared (heads, m, n)``, without a copy of ``shared`` for each item."""
    out = x.new_empty(*x.shape[:3], shared.shape[-1])
    for item, result in zip(x, out, strict=True):
        torch.bmm(item, shared, out=result)
    return out
