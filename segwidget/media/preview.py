"""A small copy of an image for the browser."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from segwidget.errors import ImageError
from segwidget.media.shrink import reduced, shrink_factors

JPEG_QUALITIES = (92, 85, 75, 60, 45, 30)


def encode_preview(
    pixels: NDArray[np.uint8], max_side: int, max_bytes: int
) -> tuple[bytes, str, tuple[int, int]]:
    """Encode an image as a file that is small enough to send.

    PNG, which loses nothing, where it fits; else JPEG of falling quality; and where even that is
    too large, a smaller picture.

    Args:
        pixels: `uint8` (H, W, 3).
        max_side: the preview's longer side, in pixels, is at most this; nothing is enlarged.
        max_bytes: the file's size is at most this.

    Returns:
        The file's bytes, its MIME type, and the preview's (width, height) in pixels.

    Raises:
        ImageError: a limit below 1 pixel, or so few bytes that not even one pixel fits.
    """
    if max_side < 1:
        raise ImageError(f"max_side is {max_side}; expected 1 pixel or more. Pass 2048, say.")
    height, width = pixels.shape[:2]
    side = min(max(width, height), max_side)
    # Not copied whole where it is huge. Two pixels for each of the preview's are enough to filter.
    across, down = shrink_factors(pixels, _fit(width, height, side), gap=2)
    full = PILImage.fromarray(pixels if across == down == 1 else reduced(pixels, across, down))
    seen = (0, 0, width / across, height / down)
    while True:
        size = _fit(width, height, side)
        picture = full
        if size != full.size:
            picture = full.resize(size, PILImage.Resampling.LANCZOS, box=seen)
        if _png_may_fit(np.asarray(picture), max_bytes):
            data = _encode(picture, "PNG", compress_level=6)
            if len(data) <= max_bytes:
                return data, "image/png", size
        for quality in JPEG_QUALITIES:
            data = _encode(picture, "JPEG", quality=quality)
            if len(data) <= max_bytes:
                return data, "image/jpeg", size
        if side == 1:
            raise ImageError(
                f"No preview fits into max_bytes={max_bytes}; the smallest takes {len(data)} "
                "bytes. Pass a larger limit."
            )
        side = max(1, side * 3 // 4)


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    """The size whose longer side is `side`; the shorter one keeps at least one pixel."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _png_may_fit(pixels: NDArray[np.uint8], max_bytes: int) -> bool:
    """Judge by a few rows, because encoding a large photograph as PNG in vain takes a second."""
    rows = pixels[:: max(1, len(pixels) // 32)]
    differences = np.diff(rows, axis=1, prepend=np.uint8(0)).tobytes()  # PNG's "sub" filter
    packed = len(zlib.compress(differences, 1)) / len(differences)
    return packed * pixels.size <= 1.5 * max_bytes


def _encode(picture: PILImage.Image, kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
