"""Masks one by one: each cut out of its image with some of what is around it, and outlined."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageColor

from segwidget.annotation.annotation import Annotation
from segwidget.media.image import Image
from segwidget.media.shrink import resized
from segwidget.widget.thumbnails import eroded, jpeg

MARGIN = 0.22  # of a mask's longer side, around it
LEAST = 24  # pixels of the image: a speck is seen with what it is a speck of
NEARLY = 0.93  # of the width or height: whole pixels of the image rarely fill a crop exactly
AROUND = 0.55  # brightness of what is around the mask
EDGE = 4  # pixels of the outline
MAX_KEPT = 1000  # crops, of some 15 kB each


class Crop(NamedTuple):
    """A mask's crop: which mask it is of, its (h, w) in pixels, and its JPEG file."""

    mask: Annotation
    shape: tuple[int, ...]
    data: bytes


class Crops:
    """Crops of masks as JPEG files, made when they are first looked at.

    Args:
        opener: opens an image by its key.
        size: width and height that a crop fits into, in pixels.
    """

    def __init__(self, opener: Callable[[str], Image], size: tuple[int, int]) -> None:
        self._opener, self.size = opener, size
        self._kept: OrderedDict[tuple[str, str, str], Crop] = OrderedDict()

    def make(self, key: str, mask: Annotation, color: str) -> Crop:
        """A mask's crop; the image is opened only where the mask was not seen like this before.

        Raises:
            SegwidgetError: the image cannot be opened.
        """
        place = key, mask.id, color
        found = self._kept.get(place)
        if found is None or found.mask.rle != mask.rle:
            pixels = crop(self._opener(key), mask, color, self.size)
            found = self._kept[place] = Crop(mask, pixels.shape[:2], jpeg(pixels, 88))
        self._kept.move_to_end(place)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found


def window(
    box: tuple[float, float, float, float], image: tuple[int, int], ratio: float
) -> tuple[int, int, int, int]:
    """The part of an image that a mask is shown in, in whole pixels (x0, y0, x1, y1).

    Args:
        box: of the mask, (x0, y0, x1, y1).
        image: its width and height.
        ratio: of width to height, which the part has unless the image ends before.
    """
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    margin = 2 * MARGIN * side
    width, height = max(x1 - x0 + margin, LEAST), max(y1 - y0 + margin, LEAST)
    width, height = max(width, height * ratio), max(height, width / ratio)
    left, right = _within((x0 + x1) / 2, width, image[0])
    top, bottom = _within((y0 + y1) / 2, height, image[1])
    return left, top, right, bottom


def crop(image: Image, mask: Annotation, color: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask and what is around it, which is darker; uint8 (h, w, 3) that fills `size` one way.

    Args:
        image: that it is of.
        mask: which.
        color: "#rrggbb" of its outline.
        size: width and height that the result fits into.
    """
    left, top, right, bottom = window(mask.box, (image.width, image.height), size[0] / size[1])
    scale = min(size[0] / (right - left), size[1] / (bottom - top))
    to = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    if min(to[0] / size[0], to[1] / size[1]) > NEARLY:
        to = size
    part = np.ascontiguousarray(image.pixels[top:bottom, left:right])
    smooth = PILImage.Resampling.BOX if scale < 1 else PILImage.Resampling.BICUBIC
    out = np.asarray(resized(part, to, smooth, gap=2), np.float32)
    inside = _inside(mask, (left, top, right, bottom), to)
    out[~inside] *= AROUND
    ring = inside
    for _ in range(EDGE):
        ring = _dilated(ring)
    out[_dilated(ring) & ~ring] *= 0.35  # so that the outline is seen on its own color, too
    out[ring & ~inside] = ImageColor.getrgb(color)[:3]
    return out.clip(0, 255).round().astype(np.uint8)


def _inside(
    mask: Annotation, part: tuple[int, int, int, int], to: tuple[int, int]
) -> NDArray[np.bool_]:
    """A mask within a part of its image, bool (h, w) at another size; it never vanishes."""
    found, _ = mask.rle.decode_box(part)
    full = PILImage.fromarray(found.astype(np.uint8) * 255)
    scaled = np.asarray(full.resize(to, PILImage.Resampling.BILINEAR, reducing_gap=2))
    inside: NDArray[np.bool_] = scaled > 127
    return inside if inside.any() else scaled == scaled.max()


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask with the pixels beside it."""
    grown: NDArray[np.bool_] = ~eroded(np.pad(~mask, 1, constant_values=True))[1:-1, 1:-1]
    return grown


def _within(middle: float, length: float, limit: int) -> tuple[int, int]:
    """A stretch around a middle, moved and cut so that it does not leave 0 to limit."""
    length = min(length, limit)
    start = min(max(0.0, middle - length / 2), limit - length)
    return int(start), min(limit, int(np.ceil(start + length)))
