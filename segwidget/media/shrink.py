"""Huge images made small, a strip at a time, so that they are never copied whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

#: Images of more pixels are averaged in blocks before they are resized.
HUGE = 2**26

_STRIP_PIXELS = 2**21  # of a strip, before it is made small


def reduced(pixels: NDArray[np.uint8], across: int, down: int) -> NDArray[np.uint8]:
    """Average blocks of pixels, as `PIL.Image.reduce` does; the last ones may be smaller.

    Args:
        pixels: `uint8` (H, W, 3). Only a few million of them are in memory at a time.
        across: columns of a block.
        down: rows of a block.

    Returns:
        A new `uint8` array (⌈H / down⌉, ⌈W / across⌉, 3).
    """
    height, width = pixels.shape[:2]
    out = np.empty((-(-height // down), -(-width // across), 3), np.uint8)
    step = max(1, _STRIP_PIXELS // (width * down))  # rows of the result at a time
    for top in range(0, len(out), step):
        strip = PILImage.fromarray(np.asarray(pixels[top * down : (top + step) * down]))
        out[top : top + step] = np.asarray(strip.reduce((across, down)))
    return out


def shrink_factors(pixels: NDArray[np.uint8], size: tuple[int, int], gap: float) -> tuple[int, int]:
    """By how much to average a huge image before it is resized; (1, 1) for any other.

    Args:
        pixels: `uint8` (H, W, 3).
        size: the (width, height) that it will be resized to.
        gap: how many averaged pixels must be left for one of the result, in each direction. From 3
            on the result is hardly different from that of the whole image (`reducing_gap` of
            `PIL.Image.resize`).
    """
    height, width = pixels.shape[:2]
    if width * height <= HUGE:
        return 1, 1
    return max(1, int(width / size[0] / gap)), max(1, int(height / size[1] / gap))


def resized(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    resample: PILImage.Resampling,
    gap: float = 3.0,
) -> PILImage.Image:
    """Resize an image by Pillow; a huge one is averaged in blocks first.

    Args:
        pixels: `uint8` (H, W, 3).
        size: (width, height) of the result.
        resample: Pillow's filter.
        gap: see `shrink_factors`.
    """
    across, down = shrink_factors(pixels, size, gap)
    if across == down == 1:
        return PILImage.fromarray(pixels).resize(size, resample)
    height, width = pixels.shape[:2]
    small = PILImage.fromarray(reduced(pixels, across, down))
    # The last blocks may be smaller: only so much of them is image.
    return small.resize(size, resample, box=(0, 0, width / across, height / down))
