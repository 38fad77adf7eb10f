"""Between the pixels of an image and those of a network's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image as PILImage
from torch import Tensor

from segwidget.errors import ImageError
from segwidget.inference.preprocessing import MEDSAM


class ResizeLongestSide:
    """Scales an image, and what lies on it, so that its long side has a given length.

    Sizes of images are ``(H, W)`` here, as published. What is given is never changed.

    Args:
        target_length: of the long side in pixels.
    """

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def target_size(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        """``(h, w)`` of the scaled image."""
        return self.get_preprocess_shape(original_size[0], original_size[1], self.target_length)

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scale a ``uint8 (H, W, 3)`` image by Pillow's bilinear filter.

        Raises:
            ImageError: another shape or dtype.
        """
        h, w = self.target_size(checked_image(image).shape)
        picture = PILImage.fromarray(np.ascontiguousarray(image))
        return np.array(picture.resize((w, h), PILImage.Resampling.BILINEAR))

    def apply_coords(
        self, coords: NDArray[Any], original_size: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Scale ``(..., 2)`` positions ``(x, y)``; float64."""
        h, w = self.target_size(original_size)
        scale = np.array([w / original_size[1], h / original_size[0]])
        scaled: NDArray[np.float64] = np.asarray(coords, np.float64) * scale
        return scaled

    def apply_boxes(
        self, boxes: NDArray[Any], original_size: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Scale ``(B, 4)`` boxes ``xyxy``, or one; always ``(B, 4)`` float64."""
        corners = self.apply_coords(np.reshape(boxes, (-1, 2, 2)), original_size)
        return corners.reshape(-1, 4)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """Scale a ``(B, C, H, W)`` float batch, antialiased; near :meth:`apply_image`."""
        size = self.target_size(tuple(image.shape[-2:]))
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Tensor, original_size: tuple[int, ...]) -> Tensor:
        """Scale ``(..., 2)`` positions ``(x, y)``; float32."""
        h, w = self.target_size(original_size)
        scale = (w / original_size[1], h / original_size[0])
        return coords.float() * torch.tensor(scale, device=coords.device)

    def apply_boxes_torch(self, boxes: Tensor, original_size: tuple[int, ...]) -> Tensor:
        """Scale ``(B, 4)`` boxes ``xyxy``, or one; always ``(B, 4)`` float32."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """``(h, w)`` of an image after scaling; each at least one pixel."""
        scale = long_side_length / max(oldh, oldw)
        return max(1, int(oldh * scale + 0.5)), max(1, int(oldw * scale + 0.5))


class ResizeToSquare(ResizeLongestSide):
    """Squashes an image into a square, as MedSAM wants it."""

    def target_size(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        """Both sides have the target length."""
        del original_size
        return self.target_length, self.target_length

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Squash a ``uint8 (H, W, 3)`` image; see `segwidget.inference.preprocessing.Stretched`."""
        return MEDSAM.resize(checked_image(image), self.target_length)


def checked_image(image: object) -> NDArray[np.uint8]:
    """The image, if it is one of ``uint8 (H, W, 3)``.

    Raises:
        ImageError: another shape or dtype.
    """
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[-1] != 3
        or not image.size
    ):
        found = (
            f"an array of {image.dtype} {image.shape}"
            if isinstance(image, np.ndarray)
            else f"a {type(image).__name__}"
        )
        raise ImageError(
            f"The image is {found}; expected uint8 (H, W, 3) with values of 0 to 255. "
            "segwidget.open_image(image).pixels makes one of nearly anything."
        )
    return image
