"""The whole network: image encoder, prompt encoder and mask decoder in one module."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.errors import ImageError
from segwidget.sam.compact_encoder import CompactEncoder
from segwidget.sam.image_encoder import ImageEncoderViT
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.tiny_vit import TinyViT


class ImageFeatures(NamedTuple):
    """What the image encoder gives the decoder.

    Attributes:
        embedding: ``(I, C, h, w)``.
        high_res: ``(I, c, 2h, 2w)`` features of half the stride, or ``None``.
        finest: ``(I, c, 4h, 4w)`` features of a quarter of the stride, or ``None``; only networks
            of SAM 2's family have them.
    """

    embedding: Tensor
    high_res: Tensor | None = None
    finest: Tensor | None = None


class Sam(nn.Module):
    """Segment Anything: predicts masks from an image and prompts.

    Args:
        image_encoder: the backbone.
        prompt_encoder: encodes points, boxes and masks.
        mask_decoder: predicts masks and their IoU.
        pixel_mean: mean of each channel of the RGB input, 0 to 255.
        pixel_std: standard deviation of each channel.
    """

    mask_threshold = 0.0
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        image_encoder: ImageEncoderViT | TinyViT | CompactEncoder,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53),
        pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375),
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        mean = torch.tensor(pixel_mean).view(-1, 1, 1)
        std = torch.tensor(pixel_std).view(-1, 1, 1)
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    @property
    def device(self) -> torch.device:
        """The device that holds the parameters."""
        return self.pixel_mean.device

    @property
    def image_size(self) -> int:
        """Side of the square input in pixels."""
        return self.image_encoder.img_size

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalize a ``(B, 3, h, w)`` RGB image of 0 to 255 and pad it to the square input.

        The padding, right and below, is zeros after normalization, as published.

        Raises:
            ImageError: the image is larger than the input; it must be resized before.
        """
        h, w = x.shape[-2:]
        if max(h, w) > self.image_size:  # a negative padding would cut the image off in silence
            raise ImageError(
                f"The image is {w} x {h} pixels, but the network takes at most {self.image_size} "
                "on a side. Resize it first."
            )
        x = (x.to(self.pixel_mean) - self.pixel_mean) / self.pixel_std
        return F.pad(x, (0, self.image_size - w, 0, self.image_size - h))

    def encode(self, x: Tensor) -> ImageFeatures:
        """Encode a preprocessed ``(B, 3, S, S)`` image."""
        return ImageFeatures(*self.image_encoder(x))

    def decode(
        self,
        features: ImageFeatures,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        *,
        padded: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Predict all four masks for each prompt; see :class:`PromptEncoder` for the prompts.

        Returns:
            Low-resolution logits ``(B, 4, 4h, 4w)`` and predicted IoUs ``(B, 4)``; index 0 is the
            single-mask token, 1 to 3 are the masks for ambiguous prompts.
        """
        sparse, dense = self.prompt_encoder(points, boxes, masks, features.embedding, padded=padded)
        return self.mask_decoder.predict_masks(
            features.embedding,
            self.prompt_encoder.get_dense_pe(),
            sparse,
            dense,
            features.high_res,
        )
