"""SAM's prompt encoder and mask decoder as graphs of ONNX operations, for one prompt at a time.

The same sums as :class:`segwidget.sam.fast.decoder.FastDecoder`, for a runtime whose matrix
products reach a tenth of PyTorch's speed, so that what can be left out counts:

- Image tokens change twice, by ``x -> norm(x + shares of the tokens' values)``. The map is kept
  centered and not normalized; its norm's factors, one a pixel, are multiplied to scores and shares.
- A pixel's shares of all tokens sum to one: those of the last token go unseen, all others are
  differences from it.
- The first doubling is linear but for the norms' factors. Of the image as it came it is computed
  once; of what the tokens have added, from their shares, which have a lower rank than the map has
  channels.
- The norm after it does not see a pixel's factor, only its ``eps`` does.
- What an earlier answer's mask adds to the image has sixteen channels before it is widened to the
  image's, and all that is prepared of the image is linear in it. So a refined answer costs sixteen
  channels more, and not everything anew.
- Rectifiers are maxima: fused with the product before them, as the runtime would have it, they
  double its time in wasm.

Weights enter as they are; what is folded out of them stands in the graph as operations on
constants, which the runtime does once when it opens the graph.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from segwidget.sam.fast.graph_image import Graph
from segwidget.sam.fast.graph_masks import centered, doubling_weight, halved, masks
from segwidget.sam.fast.graph_prompts import MAPS, drawn_maps, sparse_tokens
from segwidget.sam.transformer import Attention, TwoWayAttentionBlock


class DecodeGraph(Graph):
    """The answer to one prompt: all four masks at low resolution, and their predicted IoUs."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Answer.

        Args:
            *inputs: what ``PrepareGraph`` has made, and ``RefineGraph`` may have changed;
                coordinates ``(1, P, 2)`` in pixels of the network's input, pixel centers at
                integers; labels ``(1, P)`` float32, as :class:`PromptEncoder` has them, with the
                padding point where there is no box.

        Returns:
            Logits ``(1, 4, 4h, 4w)`` and predicted IoUs ``(1, 4)``.
        """
        *prepared, coords, labels = inputs
        image, keys, values, queries, doubled, *others = prepared
        coords, labels = coords.reshape(-1, 2), labels.reshape(-1)
        embedding = others[-1] if self.prompts.point_feature is not None else None
        decoder, prompts = self.decoder, self.prompts
        tokens = torch.cat(
            [
                decoder.iou_token.weight,
                decoder.mask_tokens.weight,
                sparse_tokens(prompts, coords, labels, embedding),
            ]
        )
        drawn = drawn_maps(prompts, coords, labels) if prompts.dense_prompt is not None else None

        # The first block; `drawn` stands for what points and boxes add to the image.
        x = self._read_first(self.first, tokens, keys, values, drawn)
        k, v, rest = self._to_write(self.first.cross_attn_image_to_token, x, tokens)
        scores = k @ queries
        if drawn is not None:
            scores = scores + self._drawn(self.first.cross_attn_image_to_token.q_proj, k, drawn)
        ones = torch.ones(1, self.pixels)
        shares = torch.cat([self._shares(scores), ones, *([] if drawn is None else [drawn])])
        added = torch.cat([v, rest, *([] if drawn is None else [self._dense_weight()])])
        image = torch.addmm(image, shares.t(), centered(added))
        norm = self.first.norm4
        variance = (image * image).mean(-1, keepdim=True).reshape(1, -1) + norm.eps
        deviation = variance.sqrt()

        # The second block.
        x, mean, k = self._read_second(self.second, x, tokens, image, 1 / deviation)
        _, v, rest = self._to_write(self.second.cross_attn_image_to_token, x, tokens)
        more = torch.cat([self._shares(k) * deviation, deviation])
        gained = centered(torch.cat([v, rest + norm.bias]))
        image = torch.addmm(
            image * norm.weight,
            torch.cat([more, -mean]).t(),
            torch.cat([gained, torch.ones(1, self.channels)]),
        )
        spread = (
            (image * image).mean(-1, keepdim=True).reshape(1, -1) + self.second.norm4.eps * variance
        ).sqrt()

        out = self._finish(x, tokens, image, 1 / spread)
        iou: Tensor = self.decoder.iou_prediction_head(out[:1])

        layer = cast(nn.ConvTranspose2d, self.decoder.output_upscaling[0])
        bias = self.second.norm4.bias.reshape(1, -1) @ doubling_weight(self.decoder)
        if layer.bias is not None:
            bias = bias + halved(self.decoder, layer.bias).repeat(4)
        if self.decoder.high_res is not None:
            doubled = doubled + others[0] * spread.reshape(-1, 1)
        doubled = torch.addmm(
            doubled,
            torch.cat([shares, more, spread]).t(),
            torch.cat(
                [
                    added @ self._doubling(normalized=False),
                    gained @ self._doubling(normalized=True),
                    bias,
                ]
            ),
        )
        return masks(self.decoder, out[1:], doubled, spread, self.size), iou

    # Tokens.

    def _dense_weight(self) -> Tensor:
        """What the drawn maps add to the image, ``(maps, C)``."""
        return cast(nn.Conv2d, self.prompts.dense_prompt).weight.reshape(self.channels, -1).t()

    def _drawn(self, layer: nn.Linear, x: Tensor, drawn: Tensor) -> Tensor:
        """Scores of ``x (H, T, d)`` with the drawn maps, projected by ``layer``: ``(H, T, N)``."""
        weight = self._weights_by_head(layer.weight) @ self._dense_weight().t()
        return ((x @ weight).reshape(-1, MAPS) @ drawn).reshape(self.heads, -1, self.pixels)

    def _attend_self(self, attention: Attention, qk: Tensor, v: Tensor) -> Tensor:
        """Tokens ``(T, C)`` attend to each other."""
        q, k = self._queries(attention, qk), self._by_head(qk, attention.k_proj)
        weights = torch.softmax(q @ k.transpose(1, 2), -1)
        y = (weights @ self._by_head(v, attention.v_proj)).permute(1, 0, 2)
        out: Tensor = attention.out_proj(y.reshape(-1, attention.out_proj.in_features))
        return out

    def _think(self, block: TwoWayAttentionBlock, x: Tensor, read: Tensor) -> Tensor:
        """Tokens ``(T, C)`` take in what they have read, ``(H, T, d)``, and pass their MLP."""
        out = block.cross_attn_token_to_image.out_proj
        x = block.norm2(x + out(read.permute(1, 0, 2).reshape(-1, out.in_features)))
        y: Tensor = block.norm3(x + block.mlp(x))
        return y

    # Between tokens and image.

    def _queries(self, attention: Attention, x: Tensor) -> Tensor:
        """Scaled queries of tokens ``(T, C)``: ``(H, T, d)``."""
        scale = (attention.q_proj.out_features // self.heads) ** -0.5
        q: Tensor = self._by_head(x, attention.q_proj) * scale
        return q

    def _read_first(
        self,
        block: TwoWayAttentionBlock,
        tokens: Tensor,
        keys: Tensor,
        values: Tensor,
        drawn: Tensor | None,
    ) -> Tensor:
        """The first block's tokens after self-attention, reading and MLP."""
        attention = block.cross_attn_token_to_image
        x = block.norm1(self._attend_self(block.self_attn, tokens, tokens))
        q = self._queries(attention, x + tokens)
        scores = q @ keys
        if drawn is not None:
            scores = scores + self._drawn(attention.k_proj, q, drawn)
        scores = torch.softmax(scores, -1)
        read = scores @ values
        if drawn is not None:
            weight = self._weights_by_head(attention.v_proj.weight) @ self._dense_weight().t()
            maps = (scores.reshape(-1, self.pixels) @ drawn.t()).reshape(self.heads, -1, MAPS)
            read = read + maps @ weight.transpose(1, 2)
        return self._think(block, x, read)

    def _scores(
        self, x: Tensor, layer: nn.Linear, weight: Tensor, image: Tensor, factor: Tensor
    ) -> Tensor:
        """Scores of projected tokens ``(H, T, d)`` with a centered image ``(N, C)``.

        Args:
            x: the tokens.
            layer: projects the image.
            weight: of the image's norm.
            image: centered.
            factor: of its norm, ``(1, N)``.
        """
        folded = (x @ self._weights_by_head(layer.weight)).reshape(-1, self.channels) * weight
        return (folded @ image.t()) * factor

    def _attend(
        self,
        attention: Attention,
        x: Tensor,
        image: Tensor,
        factor: Tensor,
        norm: nn.LayerNorm,
    ) -> Tensor:
        """What tokens ``(T, C)`` read of a centered image: ``(H, T, d)``."""
        q = self._queries(attention, x)
        positions = attention.k_proj.weight @ self._positions()
        scores = self._scores(q, attention.k_proj, norm.weight, image, factor)
        near = q @ positions.reshape(self.heads, -1, self.pixels)
        scores = torch.softmax(scores + near.reshape(-1, self.pixels), -1)
        read = ((scores * factor) @ image) * norm.weight + norm.bias
        weight = self._weights_by_head(attention.v_proj.weight)
        bias = attention.v_proj.bias.reshape(self.heads, 1, -1)
        return read.reshape(self.heads, -1, self.channels) @ weight.transpose(1, 2) + bias

    def _read_second(
        self,
        block: TwoWayAttentionBlock,
        x: Tensor,
        tokens: Tensor,
        image: Tensor,
        factor: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The second block's tokens, the mean of the scaled image ``(1, N)``, and scores.

        The scores ``(H, T - 1, N)`` are those of the image as queries; their product with the image
        gives the mean, too.
        """
        norm = self.first.norm4
        q = x + tokens
        x = block.norm1(x + self._attend_self(block.self_attn, q, x))
        read = self._attend(block.cross_attn_token_to_image, x + tokens, image, factor, norm)
        x = self._think(block, x, read)

        attention = block.cross_attn_image_to_token
        k, _, _ = self._to_write(attention, x, tokens)
        folded = (k @ self._weights_by_head(attention.q_proj.weight)).reshape(-1, self.channels)
        folded = torch.cat([folded, torch.full((1, self.channels), 1 / self.channels)])
        product = (folded * norm.weight) @ image.t()
        positions = attention.q_proj.weight @ (self._positions() + norm.bias.reshape(-1, 1))
        positions = positions + attention.q_proj.bias.reshape(-1, 1)
        scores = k @ positions.reshape(self.heads, -1, self.pixels)
        scores = scores + (product[:-1] * factor).reshape(self.heads, -1, self.pixels)
        return x, product[-1:], scores

    def _to_write(
        self, attention: Attention, x: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the image reads of tokens ``(T, C)``, all but the last as differences from it.

        Returns:
            Scaled keys ``(H, T - 1, d)``, values ``(H * (T - 1), C)`` and what is added to every
            pixel, ``(1, C)``.
        """
        k = self._by_head(x + tokens, attention.k_proj)
        k = (k[:, :-1] - k[:, -1:]) * (attention.k_proj.out_features // self.heads) ** -0.5
        weight = attention.out_proj.weight.t().reshape(self.heads, -1, self.channels)
        v = self._by_head(x, attention.v_proj) @ weight
        rest = v[:, -1:].sum(0) + attention.out_proj.bias
        return k, (v[:, :-1] - v[:, -1:]).reshape(-1, self.channels), rest

    def _shares(self, scores: Tensor) -> Tensor:
        """Softmax over tokens where the last one's score is zero: ``(H * (T - 1), N)``.

        Scores of trained networks differ by tens; beyond eighty, powers would leave float32.
        """
        powers = torch.exp(torch.minimum(scores, torch.full((1,), 80.0)))
        shares = powers / (powers.sum(1, keepdim=True) + 1)
        return shares.reshape(-1, self.pixels)

    def _finish(self, x: Tensor, tokens: Tensor, image: Tensor, factor: Tensor) -> Tensor:
        """The output tokens ``(5, C)`` after their last look at the image."""
        transformer, count = self.decoder.transformer, 1 + self.decoder.num_mask_tokens
        attention = transformer.final_attn_token_to_image
        x, tokens = x[:count], tokens[:count]
        read = self._attend(attention, x + tokens, image, factor, self.second.norm4)
        read = read.permute(1, 0, 2).reshape(count, -1)
        out: Tensor = transformer.norm_final_attn(x + attention.out_proj(read))
        return out
