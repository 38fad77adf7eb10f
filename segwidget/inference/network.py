"""What a predictor asks of a network, whoever runs it."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwidget.inference.preprocessing import COMPACT, SAM, Frame, Preprocessing
from segwidget.sam.compact_encoder import CompactEncoder
from segwidget.sam.sam import ImageFeatures, Sam

#: What a network has computed of one image for its decoder; each network's own affair.
Prepared: TypeAlias = Any


class Network(Protocol):
    """A promptable segmentation network that is ready to answer."""

    @property
    def variant(self) -> str:
        """What else than weights and pixels an embedding depends on, such as ``"sam-float32"``.

        How images are preprocessed, and in which precision they are embedded.
        """
        ...

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        ...

    def frame(self, width: int, height: int) -> Frame:
        """How an image of this size lies in the network's input."""
        ...

    def encode(self, pixels: NDArray[np.uint8]) -> ImageFeatures:
        """Embed an RGB image, ``uint8 (H, W, 3)``."""
        ...

    def prepare(self, features: ImageFeatures) -> Prepared:
        """Compute what depends on the image alone and every answer needs."""
        ...

    def decode(
        self,
        prepared: Prepared,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer ``B`` prompts about one image.

        Args:
            prepared: of the image.
            coords: ``(B, N, 2)`` in pixels of the network's input, pixel centers at integers.
            labels: ``(B, N)``: 1 foreground, 0 background, 2 and 3 a box's corners next to each
                other, -1 padding, which ends every prompt without a box.
            masks: logits ``(B, 1, s, s)`` of earlier answers.

        Returns:
            Low-resolution logits ``(B, 4, s, s)`` and predicted IoUs ``(B, 4)``, float32; index 0
            is the single-mask token, 1 to 3 are the masks for ambiguous prompts.
        """
        ...


class SamNetwork:
    """A :class:`Sam` as a predictor's network.

    Args:
        sam: in evaluation mode.
        preprocessing: how an image becomes its input; by default that of its encoder.
    """

    def __init__(self, sam: Sam, preprocessing: Preprocessing | None = None) -> None:
        self.sam = sam
        compact = isinstance(sam.image_encoder, CompactEncoder)
        self.preprocessing = preprocessing or (COMPACT if compact else SAM)

    @property
    def variant(self) -> str:
        """How images are preprocessed and in which precision they are embedded."""
        return f"{self.preprocessing.name}-float32"

    @property
    def device(self) -> torch.device:
        """The device that holds the parameters."""
        return self.sam.device

    def frame(self, width: int, height: int) -> Frame:
        """How an image of this size lies in the network's input."""
        logits_size = self.sam.prompt_encoder.mask_input_size[0]
        return self.preprocessing.frame(width, height, self.sam.image_size, logits_size)

    def encode(self, pixels: NDArray[np.uint8]) -> ImageFeatures:
        """Embed an RGB image, ``uint8 (H, W, 3)``."""
        height, width = pixels.shape[:2]
        frame = self.frame(width, height)
        with torch.inference_mode():
            x = self.preprocessing.to_input(pixels, frame).to(self.sam.device)
            return self.sam.encode(x if self.preprocessing.normalized else self.sam.preprocess(x))

    def prepare(self, features: ImageFeatures) -> Prepared:
        """Compute what depends on the image alone and every answer needs."""
        return features

    def decode(
        self,
        prepared: Prepared,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer prompts; see :meth:`Network.decode`."""
        with torch.inference_mode():
            return self.sam.decode(prepared, (coords, labels), masks=masks, padded=True)
