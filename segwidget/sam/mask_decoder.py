"""The mask decoder of SAM ("Segment Anything", section 3 and appendix A, figure 14)."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import MLP, LayerNorm2d
from segwidget.sam.transformer import TwoWayTransformer, add_shared

#: A mean of four after a mean of two, which leave nothing of what repeats with every fourth or
#: second pixel, made as sharp again by -1, 6, -1 as 1, 4, 6, 4, 1 would be.
SMOOTHING = tuple(weight / 32 for weight in (-1, 4, 9, 8, 9, 4, -1))


class MaskDecoder(nn.Module):
    """Predicts masks and their IoU from an image embedding and encoded prompts.

    Args:
        transformer_dim: channels of tokens and of the image embedding.
        transformer: the two-way transformer.
        num_multimask_outputs: masks for an ambiguous prompt; one more token gives the single mask.
        iou_head_depth: layers of the IoU head.
        iou_head_hidden_dim: its hidden channels.
        upscaled_channels: channels after the first and the second doubling; the published model's
            are a quarter and an eighth of ``transformer_dim``.
        activation: between the doublings; the published model's is GELU.
        high_res_channels: channels of the encoder's stride-4 map that the first doubling adds in
            (as HQ-SAM and SAM 2 do); 0 for an encoder without one.
        smooth: smooth the logits; the published model does not.
    """

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: TwoWayTransformer,
        num_multimask_outputs: int = 3,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
        upscaled_channels: tuple[int, int] | None = None,
        activation: type[nn.Module] = nn.GELU,
        high_res_channels: int = 0,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        half, full = upscaled_channels or (transformer_dim // 4, transformer_dim // 8)
        self.transformer = transformer
        self.smooth = smooth
        self.num_mask_tokens = num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, transformer_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, transformer_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(transformer_dim, half, kernel_size=2, stride=2),
            LayerNorm2d(half),
            activation(),
            nn.ConvTranspose2d(half, full, kernel_size=2, stride=2),
            activation(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(transformer_dim, transformer_dim, full, 3) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = MLP(
            transformer_dim, iou_head_hidden_dim, self.num_mask_tokens, iou_head_depth
        )
        self.high_res = (
            nn.Conv2d(high_res_channels, half, kernel_size=1) if high_res_channels else None
        )

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
        high_res_features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Predict masks for ``B`` prompts on ``I`` images, ``B`` a multiple of ``I``.

        Args:
            image_embeddings: ``(I, C, h, w)``.
            image_pe: ``(1, C, h, w)``.
            sparse_prompt_embeddings: ``(B, T, C)``, prompts of one image side by side.
            dense_prompt_embeddings: ``(B or 1, C, h, w)``.
            multimask_output: three masks for an ambiguous prompt, else the single mask.
            high_res_features: ``(I, high_res_channels, 2h, 2w)`` where the encoder has them.

        Returns:
            Low-resolution logits ``(B, M, 4h, 4w)`` and predicted IoUs ``(B, M)``, ``M`` 3 or 1.
        """
        masks, iou = self.predict_masks(
            image_embeddings,
            image_pe,
            sparse_prompt_embeddings,
            dense_prompt_embeddings,
            high_res_features,
        )
        wanted = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, wanted], iou[:, wanted]

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        high_res_features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`forward` for all four tokens, the single mask first: ``M`` is 4."""
        b = len(sparse_prompt_embeddings)
        h, w = image_embeddings.shape[-2:]
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(b, -1, -1), sparse_prompt_embeddings], dim=1)
        if len(dense_prompt_embeddings) == 1:  # one map for all: the image side stays shared
            image = as_tokens(image_embeddings + dense_prompt_embeddings)
        else:
            image = as_tokens(add_shared(image_embeddings, dense_prompt_embeddings))
        tokens, image = self.transformer(image, as_tokens(image_pe), tokens)

        iou: Tensor = self.iou_prediction_head(tokens[:, 0])
        upscaled = self._upscale(image.unflatten(1, (h, w)), high_res_features)
        hyper = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=2
        )
        # The product first and the order of the pixels after it: four maps to move, not a map
        # for each channel.
        masks = in_order((upscaled.flatten(1, 4) @ hyper).unflatten(1, upscaled.shape[1:5]))
        masks = masks.permute(0, 3, 1, 2).contiguous()
        return smoothed(masks) if self.smooth else masks, iou

    def _upscale(self, image: Tensor, high_res_features: Tensor | None) -> Tensor:
        """Double twice, with the stride-4 features added half-way.

        Args:
            image: ``(B, h, w, C)``.
            high_res_features: ``(I, high_res_channels, 2h, 2w)`` or ``None``.

        Returns:
            ``(B, 2h, 2w, 2, 2, c)``, as :func:`double` leaves it.
        """
        first, norm, act, second, last_act = self.output_upscaling
        x = in_order(double(image, cast(nn.ConvTranspose2d, first)))
        if self.high_res is not None and high_res_features is not None:
            skip = self.high_res(high_res_features).permute(0, 2, 3, 1)
            x = add_shared(skip, x)
        x = act(cast(LayerNorm2d, norm).channels_last(x))
        out: Tensor = last_act(double(x, cast(nn.ConvTranspose2d, second)))
        return out


def as_tokens(x: Tensor) -> Tensor:
    """``(B, C, h, w)`` to ``(B, h*w, C)``."""
    return x.flatten(2).transpose(1, 2)


def smoothed(logits: Tensor) -> Tensor:
    """Smooth ``(B, M, h, w)`` logits by :data:`SMOOTHING` both ways.

    The two doublings treat the sixteen pixels of a cell apart, so that a network that has learned
    from little leaves a pattern that repeats with every fourth pixel: combs along outlines, and
    holes in a grid where it is unsure. This takes it off without a rest.
    """
    rows, columns = (smoothing_matrix(n).to(logits) for n in logits.shape[-2:])
    return rows @ (logits @ columns.t())


@lru_cache
def smoothing_matrix(size: int) -> Tensor:
    """:data:`SMOOTHING` along ``size`` pixels, the outermost repeated: ``(size, size)`` float32.

    A convolution of one channel is slow on a CPU, and so is the gradient of sums of shifted maps.
    """
    reach = len(SMOOTHING) // 2
    with torch.inference_mode(False):  # else a gradient could not be led through it later
        matrix = torch.zeros(size, size)
        for shift, weight in enumerate(SMOOTHING, start=-reach):
            neighbor = (torch.arange(size) + shift).clamp(0, size - 1)
            matrix[torch.arange(size), neighbor] += weight
    return matrix


def double(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """Apply a transposed 2x2 convolution of stride 2 to a channels-last map as one matrix product.

    Args:
        x: ``(B, h, w, C)``.
        layer: the convolution; kernel and stride 2, so that its windows do not overlap.

    Returns:
        ``(B, h, w, 2, 2, C')``: for each cell the rows and columns of its window.
    """
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * C', C)
    bias = None if layer.bias is None else layer.bias.repeat(4)
    cells: Tensor = F.linear(x, weight, bias).unflatten(-1, (2, 2, -1))
    return cells


def in_order(cells: Tensor) -> Tensor:
    """``(B, h, w, 2, 2, C)`` to ``(B, 2h, 2w, C)``: each window's pixels into their places."""
    return cells.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)
