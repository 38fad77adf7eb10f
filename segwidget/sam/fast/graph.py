"""SAM's prompt encoder and mask decoder as two graphs of ONNX operations, for one prompt at a time.

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
- The logits' smoothing, 1, 4, 6, 4, 1 both ways, is 1, 2, 1 twice.

Weights enter as they are; what is folded out of them stands in the graph as operations on
constants, which the runtime does once when it opens the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import MLP, LayerNorm2d
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import (
    BACKGROUND,
    BOX_TOP_LEFT,
    FOREGROUND,
    NOT_A_POINT,
    POINT_SIGMAS,
    PromptEncoder,
    overlap,
)
from segwidget.sam.transformer import Attention, TwoWayAttentionBlock

#: Maps that points and boxes are drawn into.
MAPS = 2 * len(POINT_SIGMAS) + 1


class _Graph(nn.Module):
    """What both graphs know of the network."""

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompts, self.decoder = prompts, decoder
        transformer = self.decoder.transformer
        self.first = cast(TwoWayAttentionBlock, transformer.layers[0])
        self.second = cast(TwoWayAttentionBlock, transformer.layers[1])
        self.heads = transformer.final_attn_token_to_image.num_heads
        self.size: tuple[int, int] = self.prompts.image_embedding_size
        self.pixels = self.size[0] * self.size[1]
        self.channels = self.prompts.embed_dim

    def _positions(self) -> Tensor:
        """``(C, N)``."""
        return self.prompts.get_dense_pe().reshape(self.channels, self.pixels)

    def _by_head(self, x: Tensor, layer: nn.Linear) -> Tensor:
        """Project tokens ``(T, C)`` to ``(H, T, d)``."""
        x, width = layer(x), layer.out_features
        return x.reshape(-1, self.heads, width // self.heads).permute(1, 0, 2)

    def _weights_by_head(self, weight: Tensor) -> Tensor:
        """A projection's weight ``(H * d, C)`` as ``(H, d, C)``."""
        return weight.reshape(self.heads, -1, self.channels)

    def _doubling(self, *, normalized: bool) -> Tensor:
        """From a centered image to the first doubling, centered: ``(C, 4 * half)``.

        Args:
            normalized: the image has the first block's norm behind it, else it has only been
                centered for that.
        """
        layer = cast(nn.ConvTranspose2d, self.decoder.output_upscaling[0])
        weight = layer.weight.permute(0, 2, 3, 1)
        weight = self.second.norm4.weight.reshape(-1, 1) * centered(weight).reshape(
            self.channels, -1
        )
        weight = weight - weight.mean(0, keepdim=True)
        if normalized:
            return weight
        weight = self.first.norm4.weight.reshape(-1, 1) * weight
        return weight - weight.mean(0, keepdim=True)


class PrepareGraph(_Graph):
    """What depends on the image and on a mask prompt: inputs of :class:`DecodeGraph`."""

    @property
    def names(self) -> list[str]:
        """Of the outputs, which are inputs of :class:`DecodeGraph`."""
        names = ["image", "keys", "values", "queries", "doubled"]
        if self.decoder.high_res is not None:
            names.append("skip")
        if self.prompts.point_feature is not None:
            names.append("sampled")
        return names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Prepare.

        Args:
            *inputs: the embedding ``(1, C, h, w)``, where the network has them the features of
                half the stride ``(1, c, 2h, 2w)``, a mask prompt's logits ``(1, 1, 4h, 4w)``, and
                whether there is one, ``(1,)``.
        """
        embedding, *high_res, mask, has_mask = inputs
        dense: Tensor = self.prompts.mask_downscaling(mask)
        no_mask = self.prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        image = embedding + has_mask * dense + (1 - has_mask) * no_mask
        if self.prompts.dense_prompt is not None and self.prompts.dense_prompt.bias is not None:
            image = image + self.prompts.dense_prompt.bias.reshape(1, -1, 1, 1)
        image = image.reshape(self.channels, self.pixels)
        read, write = self.first.cross_attn_token_to_image, self.first.cross_attn_image_to_token
        position = self._positions()
        keys = read.k_proj.weight @ image + read.k_proj.weight @ position
        queries = write.q_proj.weight @ image + (
            write.q_proj.weight @ position + write.q_proj.bias.reshape(-1, 1)
        )
        tokens = image.t()
        values = self._by_head(tokens, read.v_proj)
        x = centered(tokens)
        outputs = [
            x,
            keys.reshape(self.heads, -1, self.pixels),
            values,
            queries.reshape(self.heads, -1, self.pixels),
            x @ self._doubling(normalized=False),
        ]
        if self.decoder.high_res is not None:
            outputs.append(self._skip(high_res[0]))
        if self.prompts.point_feature is not None:
            outputs.append(embedding + 0)
        return tuple(outputs)

    def _skip(self, high_res: Tensor) -> Tensor:
        """The features of half the stride as the first doubling takes them, ``(N, 4 * half)``."""
        (h, w), layer = self.size, cast(nn.Conv2d, self.decoder.high_res)
        x: Tensor = layer(high_res)
        x = x.reshape(-1, h, 2, w, 2).permute(1, 3, 2, 4, 0)
        return centered(x).reshape(self.pixels, -1)


class DecodeGraph(_Graph):
    """The answer to one prompt: all four masks at low resolution, and their predicted IoUs."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Answer.

        Args:
            *inputs: what :class:`PrepareGraph` has made; coordinates ``(1, P, 2)`` in pixels of the
                network's input, pixel centers at integers; labels ``(1, P)`` float32, as
                :class:`PromptEncoder` has them, with the padding point where there is no box.

        Returns:
            Logits ``(1, 4, 4h, 4w)`` and predicted IoUs ``(1, 4)``.
        """
        *prepared, coords, labels = inputs
        image, keys, values, queries, doubled, *others = prepared
        coords, labels = coords.reshape(-1, 2), labels.reshape(-1)
        embedding = others[-1] if self.prompts.point_feature is not None else None
        tokens = self._tokens(coords, labels, embedding)
        drawn = self._draw(coords, labels) if self.prompts.dense_prompt is not None else None

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
        weight = centered(layer.weight.permute(0, 2, 3, 1)).reshape(self.channels, -1)
        bias = self.second.norm4.bias.reshape(1, -1) @ weight
        if layer.bias is not None:
            bias = bias + centered(layer.bias).repeat(4)
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
        return self._masks(out[1:], doubled, spread), iou

    # Tokens.

    def _tokens(self, coords: Tensor, labels: Tensor, embedding: Tensor | None) -> Tensor:
        """Output tokens and prompts, ``(T, C)``."""
        prompts = self.prompts
        height, width = prompts.input_image_size
        share = (coords + 0.5) / torch.tensor([float(width), float(height)])
        encoding = prompts.pe_layer.encode(share)
        table = torch.cat(
            [prompts.not_a_point_embed.weight, *prompts.point_embeddings.parameters()]
        )
        is_point = (labels != NOT_A_POINT).float().unsqueeze(-1)
        sparse = encoding * is_point + table[labels.long() + 1]
        if embedding is not None and prompts.point_feature is not None:
            sampled = F.grid_sample(
                embedding,
                (2 * share - 1).reshape(1, -1, 1, 2),
                padding_mode="border",
                align_corners=False,
            )
            reads = ((labels == FOREGROUND) | (labels == BACKGROUND)).float().unsqueeze(-1)
            feature = prompts.point_feature(sampled.reshape(self.channels, -1).t())
            sparse = sparse + feature * reads
        return torch.cat([self.decoder.iou_token.weight, self.decoder.mask_tokens.weight, sparse])

    def _draw(self, coords: Tensor, labels: Tensor) -> Tensor:
        """As :meth:`PromptEncoder._draw`: ``(2 * sigmas + 1, N)``."""
        h, w = self.size
        height, width = self.prompts.input_image_size
        cells = (coords + 0.5) * torch.tensor([w / width, h / height])
        x, y = cells[:, :1], cells[:, 1:]
        edges_x, edges_y = torch.arange(w).float(), torch.arange(h).float()
        rows, columns = [], []
        for sigma in POINT_SIGMAS:
            bump_x, bump_y = (
                torch.exp(-0.5 * ((edges + 0.5 - at) / sigma) ** 2)
                for edges, at in ((edges_x, x), (edges_y, y))
            )
            for kind in (FOREGROUND, BACKGROUND):
                rows.append(bump_y * (labels == kind).float().unsqueeze(-1))
                columns.append(bump_x)
        # A box's second corner follows its first; nothing starts at the last point.
        end = torch.cat([cells[1:], cells[-1:]])
        starts = (labels == BOX_TOP_LEFT).float().unsqueeze(-1)
        rows.append(overlap(edges_y, y, end[:, 1:]) * starts)
        columns.append(overlap(edges_x, x, end[:, :1]))
        maps = torch.stack(rows).unsqueeze(-1) * torch.stack(columns).unsqueeze(-2)
        return maps.amax(1).reshape(-1, self.pixels)

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
        """Softmax over tokens where the last one's score is zero: ``(H * (T - 1), N)``."""
        most = F.relu(scores.amax(1, keepdim=True))
        powers = torch.exp(scores - most)
        shares = powers / (powers.sum(1, keepdim=True) + torch.exp(-most))
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

    # From tokens to masks.

    def _masks(self, tokens: Tensor, x: Tensor, spread: Tensor) -> Tensor:
        """Double ``x (N, 4 * half)`` once more and weigh its channels: ``(1, 4, 4h, 4w)``."""
        _, norm, act, layer, last = self.decoder.output_upscaling
        norm, layer = cast(LayerNorm2d, norm), cast(nn.ConvTranspose2d, layer)
        x = x.reshape(self.pixels, 4, layer.in_channels)
        variance = (x * x).mean(-1, keepdim=True) + norm.eps * (spread * spread).reshape(-1, 1, 1)
        x = activated(x * (1 / variance.sqrt()) * norm.weight + norm.bias, act)
        weight = layer.weight.permute(0, 2, 3, 1).reshape(layer.in_channels, -1)
        bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
        x = x.reshape(-1, layer.in_channels) @ weight
        hyper = self._hyper(self.decoder.output_hypernetworks_mlps, tokens)
        if isinstance(last, nn.ReLU):
            # relu(x + b) = max(x, -b) + b: the bias adds the same all over a mask.
            masks = hyper @ torch.maximum(x, -bias.repeat(4)).reshape(-1, layer.out_channels).t()
            masks = masks + hyper @ bias.reshape(-1, 1)
        else:
            masks = hyper @ last(x + bias.repeat(4)).reshape(-1, layer.out_channels).t()
        h, w = self.size
        masks = masks.reshape(-1, h, w, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
        masks = masks.reshape(1, -1, 4 * h, 4 * w)
        return smoothed_twice(masks) if self.decoder.smooth else masks

    def _hyper(self, mlps: nn.ModuleList, tokens: Tensor) -> Tensor:
        """The hyper-networks side by side: ``(M, C)`` to ``(M, c)``."""
        layers: Sequence[Sequence[nn.Linear]] = [
            cast(Sequence[nn.Linear], layers)
            for layers in zip(*(cast(MLP, mlp).layers for mlp in mlps), strict=True)
        ]
        x = tokens.unsqueeze(1)
        for i, layer in enumerate(layers):
            weight = torch.stack([one.weight for one in layer]).transpose(1, 2)
            bias = torch.stack([one.bias for one in layer]).unsqueeze(1)
            x = (x if i == 0 else F.relu(x)) @ weight + bias
        return x.squeeze(1)


def activated(x: Tensor, act: nn.Module) -> Tensor:
    """Apply an activation to a map.

    As a maximum a rectifier costs a pass; as the runtime's own, fused with the product before it,
    it would double the product's time in wasm.
    """
    out: Tensor = torch.maximum(x, torch.zeros(1)) if isinstance(act, nn.ReLU) else act(x)
    return out


def centered(x: Tensor) -> Tensor:
    """Without the mean over the last axis."""
    return x - x.mean(-1, keepdim=True)


def smoothed_twice(logits: Tensor) -> Tensor:
    """As :func:`segwidget.sam.mask_decoder.smoothed`, of ``(1, M, h, w)``."""
    kernel = torch.tensor([[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]) / 16
    x = F.pad(logits, (2, 2, 2, 2), mode="replicate").transpose(0, 1)
    return F.conv2d(F.conv2d(x, kernel), kernel).transpose(0, 1)
