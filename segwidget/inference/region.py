"""A part of an image that is embedded on its own, so that small things in it are seen sharply."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from segwidget.errors import PromptError
from segwidget.inference.prompts import EDGE_TOLERANCE, Box, MaskPrompt, Point, Polygon, Prompt
from segwidget.inference.rle import Rle
from segwidget.media.image import Image

MIN_SIDE = 16


@dataclass(frozen=True)
class Region:
    """Where a part of an image lies. :meth:`Region.around` makes one.

    Attributes:
        box: ``(x0, y0, x1, y1)`` in whole pixels of the image.
        image_size: ``(height, width)`` of the image.
    """

    box: tuple[int, int, int, int]
    image_size: tuple[int, int]

    @classmethod
    def around(cls, box: Box | Iterable[float], width: int, height: int) -> Region | None:
        """The region around a box: rounded outward, at least 16 pixels wide and high.

        Args:
            box: in pixels of the image; what lies beyond its edges is left out.
            width: of the image.
            height: likewise.

        Returns:
            ``None`` where that is the whole image.

        Raises:
            PromptError: no box, or one outside the image.
        """
        inner = Box.of(box, "region").clipped(width, height)
        x0, x1 = _grown(inner.x0, inner.x1, width)
        y0, y1 = _grown(inner.y0, inner.y1, height)
        whole = (x0, y0, x1, y1) == (0, 0, width, height)
        return None if whole else cls((x0, y0, x1, y1), (height, width))

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` in pixels."""
        x0, y0, x1, y1 = self.box
        return x1 - x0, y1 - y0

    def cut(self, image: Image) -> Image:
        """The part of the image, at full resolution."""
        x0, y0, x1, y1 = self.box
        return Image(image.pixels[y0:y1, x0:x1], image.name)

    def into(self, prompt: Prompt) -> Prompt:
        """A prompt of the image in pixels of the region.

        Raises:
            PromptError: it does not lie within the region.
        """
        x0, y0 = self.box[:2]
        width, height = self.size
        if isinstance(prompt, Point):
            self._require(prompt.x, prompt.y, prompt.x, prompt.y, "point")
            x, y = min(max(prompt.x - x0, 0.0), width), min(max(prompt.y - y0, 0.0), height)
            return replace(prompt, x=x, y=y)
        if isinstance(prompt, MaskPrompt):
            self._require(*prompt.rle.box, "mask")
            part, _ = prompt.rle.decode_box(self.box)
            return MaskPrompt(Rle.encode(part))
        box = prompt.box if isinstance(prompt, Polygon) else prompt
        name = "polygon" if isinstance(prompt, Polygon) else "box"
        self._require(box.x0, box.y0, box.x1, box.y1, name)
        if isinstance(prompt, Polygon):
            moved = Polygon(tuple((x - x0, y - y0) for x, y in prompt.points), prompt.tolerance)
            return moved.clipped(width, height)
        return Box(box.x0 - x0, box.y0 - y0, box.x1 - x0, box.y1 - y0).clipped(width, height)

    def point_out_of(self, point: Point) -> Point:
        """A point of the region in pixels of the image."""
        return replace(point, x=point.x + self.box[0], y=point.y + self.box[1])

    def box_out_of(self, box: Box) -> Box:
        """A box of the region in pixels of the image."""
        x, y = self.box[:2]
        return Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y)

    def contains(self, prompts: Iterable[Prompt]) -> bool:
        """Whether all of them lie within the region."""
        try:
            for prompt in prompts:
                self.into(prompt)
        except PromptError:
            return False
        return True

    def _require(self, x0: float, y0: float, x1: float, y1: float, name: str) -> None:
        left, top, right, bottom = self.box
        e = EDGE_TOLERANCE
        if not (left - e <= x0 and top - e <= y0 and x1 <= right + e and y1 <= bottom + e):
            raise PromptError(
                f"The {name} reaches outside the region that is looked at closely, x {left} to "
                f"{right} and y {top} to {bottom}. Leave the region first, with R or "
                "seg.leave_region()."
            )


def _grown(low: float, high: float, limit: int) -> tuple[int, int]:
    """Whole pixels from ``low`` to ``high``, not too few, between 0 and ``limit``."""
    start, end = max(0, math.floor(low)), min(limit, math.ceil(high))
    least = min(MIN_SIDE, limit)
    if end - start < least:
        start = min(max(0, start - (least - (end - start)) // 2), limit - least)
        end = start + least
    return start, end
