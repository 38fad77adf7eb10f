"""What is made of an image before any prompt, and what a mask prompt changes of it.

See :mod:`segwidget.sam.fast.graph`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from segwidget.sam.fast.graph_masks import centered, doubling_weight, halved
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.transformer import TwoWayAttentionBlock


class Graph(nn.Module):
    """What all graphs know of the network."""

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
        weight = self.second.norm4.weight.reshape(-1, 1) * doubling_weight(self.decoder)
        weight = weight - weight.mean(0, keepdim=True)
        if normalized:
            return weight
        weight = self.first.norm4.weight.reshape(-1, 1) * weight
        return weight - weight.mean(0, keepdim=True)


class PrepareGraph(Graph):
    """What depends on the image: inputs of :class:`segwidget.sam.fast.graph.DecodeGraph`."""

    @property
    def names(self) -> list[str]:
        """Of the outputs, which are inputs of :class:`segwidget.sam.fast.graph.DecodeGraph`."""
        names = [*RefineGraph.NAMES]
        if self.decoder.high_res is not None:
            names.append("skip")
        if self.prompts.point_feature is not None:
            names.append("sampled")
        return names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Prepare.

        Args:
            *inputs: the embedding ``(1, C, h, w)``, and where the network has them the features of
                half the stride ``(1, c, 2h, 2w)``.
        """
        embedding, *high_res = inputs
        image = embedding + self.prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
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
        return halved(self.decoder, x).reshape(self.pixels, -1)


class RefineGraph(Graph):
    """What a mask prompt changes of what :class:`PrepareGraph` has made.

    Its weights are folded already: of sixteen channels they are few.
    """

    #: Of its inputs before the mask, and of what its outputs stand in for.
    NAMES = ("image", "keys", "values", "queries", "doubled")

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder) -> None:
        super().__init__(prompts, decoder)
        self.layers = prompts.mask_downscaling[:-1]
        last = cast(nn.Conv2d, prompts.mask_downscaling[-1])
        read, write = self.first.cross_attn_token_to_image, self.first.cross_attn_image_to_token
        with torch.no_grad():
            weight = last.weight.reshape(self.channels, -1)
            other = cast(Tensor, last.bias) - prompts.no_mask_embed.weight.reshape(-1)
            added = torch.cat([weight.t(), other.reshape(1, -1)])
            values = (added @ read.v_proj.weight.t()).reshape(len(added), self.heads, -1)
            self.of_image = nn.Buffer(centered(added))
            self.of_keys = nn.Buffer(read.k_proj.weight @ added.t())
            self.of_values = nn.Buffer(values.permute(1, 0, 2).contiguous())
            self.of_queries = nn.Buffer(write.q_proj.weight @ added.t())
            self.of_doubled = nn.Buffer(centered(added) @ self._doubling(normalized=False))

    def forward(
        self,
        image: Tensor,
        keys: Tensor,
        values: Tensor,
        queries: Tensor,
        doubled: Tensor,
        mask: Tensor,
    ) -> tuple[Tensor, ...]:
        """Add a mask prompt's logits ``(1, 1, 4h, 4w)`` to what was prepared without one."""
        mask = self.layers(mask).reshape(-1, self.pixels)
        mask = torch.cat([mask, torch.ones(1, self.pixels)])
        pixels = mask.t()
        return (
            torch.addmm(image, pixels, self.of_image),
            keys + (self.of_keys @ mask).reshape(keys.shape),
            values + pixels @ self.of_values,
            queries + (self.of_queries @ mask).reshape(queries.shape),
            torch.addmm(doubled, pixels, self.of_doubled),
        )
