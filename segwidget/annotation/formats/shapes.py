"""What the formats share that hold outlines and boxes.

A box says less than a mask. It becomes an annotation whose mask is the filled box, to its nearest
whole pixels, whose one prompt is the box as it was, and whose `edits` are ("fill",): no model has
answered yet. `Segmenter.start_from` opens it as that box, and `Project.replay` asks a model for its
mask. As soon as it has a mask of its own, it is an annotation like all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segwidget.annotation.annotation import FILLED, Annotation, ImageInfo
from segwidget.annotation.polygons import rle_of
from segwidget.errors import FormatError
from segwidget.inference.prompts import Box
from segwidget.inference.rle import MAX_PIXELS, Rle

CUT = "reaches outside of the image and was cut off."


def image_of(name: str, width: int, height: int) -> ImageInfo:
    """What a file says of an image.

    Raises:
        AnnotationError: an impossible size.
        FormatError: no name, or more pixels than a mask may have.
    """
    info = ImageInfo(name, width, height)
    if not name.strip():
        raise FormatError("It has no name.")
    if info.width * info.height > MAX_PIXELS:
        raise FormatError(
            f"It claims {info.width} × {info.height} pixels; at most {MAX_PIXELS:,} are read."
        )
    return info


def filled(polygons: Sequence[Sequence[Any]], size: tuple[int, int]) -> tuple[Rle, bool]:
    """The mask of polygons, and whether they reach outside of the image.

    Args:
        polygons: each a list of rings (N, 2), see `segwidget.annotation.polygons`.
        size: (height, width) of the image.

    Raises:
        AnnotationError: rings that are none.
        FormatError: they hold no pixel of the image.
    """
    rle = rle_of(polygons, size)
    if rle.area == 0:
        raise FormatError("It holds no pixel of the image.")
    rings = [np.asarray(ring, np.float64) for polygon in polygons for ring in polygon]
    return rle, any(_outside(ring, size) for ring in rings)


def boxed(
    edges: Sequence[float], size: tuple[int, int], *, label: str, **fields: Any
) -> tuple[Annotation, bool]:
    """A box as an annotation, and whether it reaches outside of the image.

    Args:
        edges: x0, y0, x1, y1 in pixels.
        size: (height, width) of the image.
        label: what is in it.
        **fields: other attributes of `Annotation`.

    Raises:
        FormatError: no four finite numbers in order, or no pixel of the image.
        AnnotationError, LabelError: values that cannot be used.
    """
    height, width = size
    given = np.asarray(edges, np.float64)
    if given.shape != (4,) or not np.isfinite(given).all() or (given[:2] >= given[2:]).any():
        raise FormatError(f"Its box is {given.tolist()}; expected left < right and top < bottom.")
    inside = np.clip(given, 0, [width, height, width, height])
    x0, y0, x1, y1 = (int(edge) for edge in np.rint(inside))
    if x0 == x1 or y0 == y1:
        raise FormatError("It holds no pixel of the image.")
    rle = Rle.encode_box(np.ones((y1 - y0, x1 - x0), np.bool_), (x0, y0), size)
    made = {"origin": "imported", **fields, "prompts": (Box(*inside.tolist()),), "edits": FILLED}
    # Formats round to some digits; an edge that is over by less than that is on the image's.
    return Annotation.from_rle(rle, label=label, **made), _outside(given.reshape(2, 2), size)


def edges_of(item: Annotation) -> tuple[float, float, float, float]:
    """The box of an annotation, x0, y0, x1, y1: of a box as it was given, else of the mask."""
    box = item.as_box
    return item.box if box is None else (box.x0, box.y0, box.x1, box.y1)


def _outside(points: Any, size: tuple[int, int]) -> bool:
    slack = 0.01
    return bool((points < -slack).any() or (points > [size[1] + slack, size[0] + slack]).any())
