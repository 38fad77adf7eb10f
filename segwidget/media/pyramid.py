"""An image in tiles, at falling resolution: what a browser fetches where its preview is too coarse.

Level 0 is the image itself; a pixel of level n is the mean of 2ⁿ × 2ⁿ of the image. A tile is made
when it is asked for, from the pixels below it alone, so that nothing of the image's size is made.
"""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from segwidget.errors import ImageError
from segwidget.media.shrink import reduced

TILE = 512
#: A tile of the coarsest level is made of 4096 × 4096 pixels, which takes 50 ms.
MAX_LEVELS = 4

_PNG_BYTES = 120_000  # a tile of a photograph as JPEG is about as large
_JPEG_QUALITY = 90


class Tile(NamedTuple):
    """One encoded tile.

    Attributes:
        data: the file's bytes.
        mime: "image/png" or "image/jpeg".
    """

    data: bytes
    mime: str


def levels_beyond(image_width: int, preview_width: int) -> int:
    """How many levels a pyramid needs until a preview is as fine; 0 where it always is."""
    factor = image_width / max(1, preview_width)
    return 0 if factor <= 1 else min(MAX_LEVELS, int(np.ceil(np.log2(factor))))


def cut_tile(pixels: NDArray[np.uint8], level: int, column: int, row: int) -> NDArray[np.uint8]:
    """One tile of the pyramid.

    Args:
        pixels: the image, `uint8` (H, W, 3).
        level: 0 the image itself, to `MAX_LEVELS` - 1.
        column: of the tile, 0 the leftmost.
        row: likewise, 0 the uppermost.

    Returns:
        `uint8` (h, w, 3), `TILE` pixels a side but for the last column and row.

    Raises:
        ImageError: there is no such tile.
    """
    if not 0 <= level < MAX_LEVELS:
        raise ImageError(f"There is no level {level}; expected 0 to {MAX_LEVELS - 1}.")
    side = TILE << level
    height, width = pixels.shape[:2]
    columns, rows = -(-width // side), -(-height // side)
    if not (0 <= column < columns and 0 <= row < rows):
        raise ImageError(
            f"There is no tile {column}, {row} on level {level}; expected columns 0 to "
            f"{columns - 1} and rows 0 to {rows - 1}."
        )
    part = pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
    return np.array(part) if level == 0 else reduced(part, 1 << level, 1 << level)


def encode_tile(tile: NDArray[np.uint8]) -> Tile:
    """A tile as PNG, which loses nothing, where that is small; else as JPEG."""
    picture = PILImage.fromarray(tile)
    # Neighbors alike are what PNG packs well; of noise not even the attempt pays.
    alike = np.count_nonzero(tile[:, 1:] == tile[:, :-1]) / max(1, tile[:, 1:].size)
    if alike > 0.5 or tile.size < _PNG_BYTES:
        buffer = BytesIO()
        picture.save(buffer, "PNG", compress_level=3)
        if buffer.tell() <= _PNG_BYTES:
            return Tile(buffer.getvalue(), "image/png")
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return Tile(buffer.getvalue(), "image/jpeg")
