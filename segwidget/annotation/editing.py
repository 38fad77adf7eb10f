"""Work on masks by hand: paint, tidy, combine. Pure functions on run lengths.

Each looks at the box that matters and no further, so that a stroke on a large image takes no longer
than one on a small image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from segwidget.annotation import checks
from segwidget.errors import AnnotationError
from segwidget.inference.rle import Rle

MAX_POINTS = 10_000
# A stroke goes back and forth so often at most: what is longer was not made by a hand.
_MAX_CROSSINGS = 50
_ROWS_AT_ONCE = 1 << 18

Combination: TypeAlias = Literal["add", "subtract", "intersect"]
Box: TypeAlias = tuple[int, int, int, int]

_ALL_NEIGHBORS = np.ones((3, 3), np.uint8)


def painted(rle: Rle, points: Sequence[Any], radius: float, add: bool) -> Rle:
    """A mask with a stroke of a round brush added to it, or erased from it.

    Args:
        rle: the mask.
        points: (x, y) in pixels of the image, along the stroke; one alone is a dab.
        radius: pixels whose centers are at most so far from the stroke are painted.
        add: or erase.

    Raises:
        AnnotationError: no points, too many, too long a way, or a radius that is not above 0.
    """
    stroke, (x, y) = brushed(points, radius, rle.size)
    h, w = stroke.shape
    if h == 0 or w == 0:
        return rle
    if not add:
        return _without(rle, stroke, (x, y))
    box = _around(_tight(rle), (x, y, x + w, y + h)) if rle.area else (x, y, x + w, y + h)
    mask, (left, top) = rle.decode_box(box)
    mask[y - top : y - top + h, x - left : x - left + w] |= stroke
    return Rle.encode_box(mask, (left, top), rle.size)


def brushed(
    points: Sequence[Any], radius: float, size: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The pixels under a stroke of a round brush.

    Args:
        points: (x, y) in pixels of the image, along the stroke.
        radius: in pixels.
        size: (height, width) of the image.

    Returns:
        (h, w) bool, the part of the image around the stroke, and the (x, y) of its upper left
        pixel.

    Raises:
        AnnotationError: as `painted` says.
    """
    height, width = size
    radius = checks.finite("brush's radius", radius)
    if not 0 < radius <= max(width, height):
        raise AnnotationError(
            f"The radius of the brush is {radius:g}; expected more than 0 and at most "
            f"{max(width, height)} pixels."
        )
    way = _way(points, radius, size)
    x0, y0 = np.maximum(np.floor(way.min(axis=0) - radius), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(way.max(axis=0) + radius), (width, height)).astype(int)
    w, h = max(0, int(x1 - x0)), max(0, int(y1 - y0))
    edges = np.zeros((h, w + 1), np.int32)
    starts, ends = (way, way) if len(way) == 1 else (way[:-1], way[1:])
    heights = np.abs(ends[:, 1] - starts[:, 1]) + 2 * radius + 2
    step = np.cumsum(heights) // _ROWS_AT_ONCE
    for part in np.unique(step):
        some = step == part
        _mark(edges, starts[some] - (x0, y0), ends[some] - (x0, y0), radius)
    return np.cumsum(edges[:, :-1], axis=1) > 0, (int(x0), int(y0))


def tidied(rle: Rle, holes: int = 0, islands: int = 0) -> Rle:
    """A mask with small holes filled, and small islands dropped; the largest island stays.

    Pixels of an island touch at edges or corners; those of a hole, which the mask encloses, at
    edges.

    Args:
        rle: the mask.
        holes: those of at most so many pixels are filled.
        islands: those of fewer pixels are dropped.

    Raises:
        AnnotationError: not whole numbers from 0.
    """
    holes, islands = checks.index("holes", holes), checks.index("islands", islands)
    if rle.area == 0:
        return rle
    part, corner = rle.decode_box()
    mask = np.pad(part, 1)
    if holes:
        labels, sizes = _regions(~mask, None)
        small = sizes <= holes
        small[[0, labels[0, 0]]] = False  # the mask itself, and what is around it
        mask |= small[labels]
    if islands:
        labels, sizes = _regions(mask, _ALL_NEIGHBORS)
        large = sizes >= islands
        large[1 + int(sizes[1:].argmax())] = True
        large[0] = False
        mask = large[labels]
    return Rle.encode_box(np.ascontiguousarray(mask[1:-1, 1:-1]), corner, rle.size)


def combined(rle: Rle, other: Rle, how: Combination) -> Rle:
    """A mask and another one of the same size.

    Args:
        rle: the mask.
        other: what is added to it, subtracted from it or intersected with it.
        how: which of these.

    Raises:
        AnnotationError: masks of different size, or another word.
    """
    if how not in get_args(Combination):
        raise AnnotationError(
            f"Masks are combined by {str(how)[:40]!r}; expected one of "
            f"{', '.join(get_args(Combination))}."
        )
    if rle.size != other.size:
        raise AnnotationError(
            f"Masks of size {rle.size} and {other.size} cannot be combined; expected the same "
            "(height, width). Take both from the same image."
        )
    if how == "subtract":
        return without(rle, [other])
    boxes = [_tight(one) for one in (rle, other) if one.area]
    if not boxes:
        return rle
    box = _around(*boxes) if how == "add" else _tight(rle)
    mask, corner = rle.decode_box(box)
    more, _ = other.decode_box(box)
    return Rle.encode_box(mask | more if how == "add" else mask & more, corner, rle.size)


def without(rle: Rle, others: Iterable[Rle]) -> Rle:
    """A mask without the pixels of others; the same one where they have none in common."""
    box = _tight(rle)
    near = [other for other in others if _overlap(box, _tight(other))]
    if not near or rle.area == 0:
        return rle
    mask, corner = rle.decode_box(box)
    before = np.count_nonzero(mask)
    for other in near:
        taken, _ = other.decode_box(box)
        mask &= ~taken
    return rle if np.count_nonzero(mask) == before else Rle.encode_box(mask, corner, rle.size)


def _without(rle: Rle, stroke: NDArray[np.bool_], at: tuple[int, int]) -> Rle:
    return without(rle, [Rle.encode_box(stroke, at, rle.size)])


def _tight(rle: Rle) -> Box:
    x0, y0, x1, y1 = (int(edge) for edge in rle.box)
    return x0, y0, x1, y1


def _around(*boxes: Box) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _regions(
    mask: NDArray[np.bool_], neighbors: NDArray[np.uint8] | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The number of each pixel's region, 0 outside, and the regions' sizes."""
    labels: Any = ndi.label(mask, neighbors)[0]
    return labels, np.bincount(labels.ravel(), minlength=1)


def _way(points: Sequence[Any], radius: float, size: tuple[int, int]) -> NDArray[np.float64]:
    """A stroke's points (N, 2), without those that make no difference."""
    try:
        way = np.array(points, np.float64)
    except (TypeError, ValueError):
        way = np.zeros(0)
    if way.ndim != 2 or way.shape[1:] != (2,) or not np.isfinite(way).all():
        raise AnnotationError(
            "The points of a stroke are no pairs of numbers; expected such as [(10, 10), (20, 15)]."
        )
    if not 0 < len(way) <= MAX_POINTS:
        raise AnnotationError(
            f"A stroke has {len(way)} points; expected 1 to {MAX_POINTS}. Paint several strokes."
        )
    height, width = size
    far = 4 * (width + height)
    way = np.clip(way, -far, far)
    lengths = np.hypot(*np.diff(way, axis=0).T)
    if lengths.sum() > _MAX_CROSSINGS * (width + height + radius):
        raise AnnotationError("A stroke goes too far back and forth. Paint several strokes.")
    # Places so near to each other cover the same pixels, but for hairs.
    step = np.floor(np.concatenate([[0], np.cumsum(lengths)]) / (radius / 32))
    new = np.concatenate([[True], np.diff(step) > 0])
    new[-1] = True
    chosen: NDArray[np.float64] = way[new]
    return chosen


def _mark(
    edges: NDArray[np.int32],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    radius: float,
) -> None:
    """Count, along each row, where brushed pieces of the way begin and end.

    What a round brush covers along a straight piece is convex: one interval in each row.

    Args:
        edges: (h, w + 1), changed in place.
        starts: (N, 2) of the pieces, in pixels of the part.
        ends: likewise.
        radius: of the brush.
    """
    h, w = edges.shape[0], edges.shape[1] - 1
    low = np.minimum(starts[:, 1], ends[:, 1]) - radius
    high = np.maximum(starts[:, 1], ends[:, 1]) + radius
    first = np.clip(np.ceil(low - 0.5), 0, h).astype(np.int64)
    last = np.clip(np.floor(high - 0.5) + 1, 0, h).astype(np.int64)
    counts = np.maximum(last - first, 0)
    piece = np.repeat(np.arange(len(starts)), counts)
    row = first[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
    y = row + 0.5
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    a, b = starts[piece], ends[piece]
    for end in (a, b):  # the round ends
        reach = radius**2 - (y - end[:, 1]) ** 2
        half = np.sqrt(np.maximum(reach, 0))
        left = np.where(reach >= 0, np.minimum(left, end[:, 0] - half), left)
        right = np.where(reach >= 0, np.maximum(right, end[:, 0] + half), right)
    # The straight sides between them.
    along = b - a
    length = np.hypot(*along.T)
    unit = along / np.maximum(length, 1e-12)[:, None]
    for side in (-radius, radius):
        from_y, to_y = a[:, 1] + side * unit[:, 0], b[:, 1] + side * unit[:, 0]
        rise = to_y - from_y
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (y - from_y) / rise
            x = a[:, 0] - side * unit[:, 1] + share * along[:, 0]
        on = (length > 0) & (rise != 0) & (share >= 0) & (share <= 1)
        left = np.where(on, np.minimum(left, x), left)
        right = np.where(on, np.maximum(right, x), right)
    seen = left <= right
    begin = np.clip(np.ceil(left[seen] - 0.5), 0, w).astype(np.int64)
    end = np.clip(np.floor(right[seen] - 0.5) + 1, 0, w).astype(np.int64)
    full = begin < end
    np.add.at(edges, (row[seen][full], begin[full]), 1)
    np.add.at(edges, (row[seen][full], end[full]), -1)
