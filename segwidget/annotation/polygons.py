"""Masks as polygons, and polygons as masks.

A mask's polygons follow the edges of its pixels exactly: their corners are whole numbers, (0, 0)
being the image's upper left corner. A polygon is a list of rings, the outer one first, then its
holes; no ring touches itself, and the first corner is not repeated at its end. The outer ring's
shoelace area is positive (clockwise where y points down), a hole's negative. Pixels that meet only
at a corner are islands, each a polygon of its own.

The other way, a pixel is inside where its centre (x + ½, y + ½) is: within a polygon by the
even-odd rule over its rings, and in the mask if it is in any of the polygons. A centre on an edge
belongs to what lies right of the edge. So masks → polygons → masks is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import AnnotationError
from segwidget.inference.rle import Rle

#: Corners (N, 2) as (x, y) in pixels, float64.
Ring: TypeAlias = NDArray[np.float64]

#: The outer ring, then the holes.
Polygon: TypeAlias = list[Ring]

MIN_IOU = 0.99  # of a simplified polygon with its mask


def polygons_of(rle: Rle, *, tolerance: float = 0.0) -> list[Polygon]:
    """The polygons of a mask, by their first pixel from the top.

    Args:
        rle: the mask.
        tolerance: how far, in pixels, a simplified ring may lie from the exact one (Douglas and
            Peucker). It is halved until the polygons' IoU with the mask is at least 0.99; 0 keeps
            every corner, and the mask comes back as it was.

    Raises:
        AnnotationError: a tolerance below zero, or that is no number.
    """
    if not tolerance >= 0:
        raise AnnotationError(f"The tolerance is {tolerance!r}; expected pixels, 0 or more.")
    exact = _exact(rle)
    while tolerance >= 0.25:
        simple = [[_simplified(ring, tolerance) for ring in polygon] for polygon in exact]
        if rle_of(simple, rle.size).iou(rle) >= MIN_IOU:
            return simple
        tolerance /= 2
    return exact


def rle_of(polygons: Iterable[Sequence[Any]], size: tuple[int, int]) -> Rle:
    """The mask of polygons, by the rule at the top of this module; what lies outside is cut off.

    Args:
        polygons: each a sequence of rings (N, 2), N ≥ 3, of finite numbers; the order of the rings
            and their directions do not matter.
        size: (height, width) of the mask.

    Raises:
        AnnotationError: a ring of another shape, numbers that are not finite, or a wrong size.
    """
    pieces = [made for rings in polygons if (made := _filled(rings, size)) is not None]
    if not pieces:
        return Rle.encode_box(np.zeros((0, 0), np.bool_), (0, 0), size)
    if len(pieces) == 1:
        return Rle.encode_box(*pieces[0], size)
    x0 = min(x for _, (x, _) in pieces)
    y0 = min(y for _, (_, y) in pieces)
    x1 = max(x + mask.shape[1] for mask, (x, _) in pieces)
    y1 = max(y + mask.shape[0] for mask, (_, y) in pieces)
    union = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for mask, (x, y) in pieces:
        union[y - y0 : y - y0 + mask.shape[0], x - x0 : x - x0 + mask.shape[1]] |= mask
    return Rle.encode_box(union, (x0, y0), size)


def joined(polygons: Sequence[Polygon]) -> Ring:
    """All rings as one, for formats that have no more: keyholes lead to holes and to islands.

    A keyhole is an edge that is walked there and back, so that by the even-odd rule nothing
    changes. Each ring is joined to the first one where they are nearest.

    Args:
        polygons: at least one.
    """
    from scipy.spatial import cKDTree

    first, *others = [ring for polygon in polygons for ring in polygon]
    if not others:
        return first
    tree = cKDTree(first)
    detours: dict[int, list[Ring]] = {}
    for ring in others:
        distances, places = (np.asarray(found) for found in tree.query(ring))
        start = int(np.argmin(distances))
        place = int(places[start])
        around = np.concatenate([ring[start:], ring[: start + 1]])
        detours.setdefault(place, []).append(np.concatenate([around, first[place : place + 1]]))
    pieces: list[Ring] = []
    last = 0
    for place in sorted(detours):
        pieces += [first[last : place + 1], *detours[place]]
        last = place + 1
    return np.concatenate([*pieces, first[last:]])


def ring_area(ring: Ring) -> float:
    """The shoelace area, positive for outer rings."""
    x, y = (ring - ring[0]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _filled(
    rings: Sequence[Any], size: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
    """The pixels of one polygon in their box, and the box's corner (x, y); None for nothing."""
    height, width = size
    edges = np.concatenate([_edges(ring) for ring in rings]) if len(rings) else np.zeros((0, 4))
    # An edge is the same in both directions, down to its rounding.
    up = edges[:, 1] > edges[:, 3]
    edges[up] = edges[up][:, [2, 3, 0, 1]]
    # Rows whose centre lies within [upper end, lower end).
    rows = np.clip(np.ceil(edges[:, [1, 3]] - 0.5), 0, height).astype(np.int64)
    counts = rows[:, 1] - rows[:, 0]
    edges, rows, counts = edges[counts > 0], rows[counts > 0], counts[counts > 0]
    if not counts.size:
        return None
    which = np.repeat(np.arange(counts.size), counts)
    row = np.arange(which.size) - np.repeat(np.cumsum(counts) - counts, counts) + rows[which, 0]
    slope = (edges[:, 2] - edges[:, 0]) / (edges[:, 3] - edges[:, 1])
    x = edges[which, 0] + (row + 0.5 - edges[which, 1]) * slope[which]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    x0, x1, y0, y1 = int(column.min()), int(column.max()), int(row.min()), int(row.max()) + 1
    if x0 == x1:
        return None
    wide = x1 - x0 + 1
    turns = np.bincount((row - y0) * wide + column - x0, minlength=(y1 - y0) * wide) & 1
    inside = np.cumsum(turns.astype(np.uint8).reshape(-1, wide), axis=1, dtype=np.uint8) & 1
    return inside[:, :-1].view(np.bool_), (x0, y0)


def _edges(ring: Any) -> NDArray[np.float64]:
    """Edges (N, 4) as x, y, x, y."""
    try:
        points = np.asarray(ring, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"A ring of a polygon is not made of numbers: {error}.") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise AnnotationError(
            f"A ring of a polygon has the shape {points.shape}; expected (N, 2), three points or "
            "more."
        )
    if not np.isfinite(points).all() or np.abs(points).max() > 1e15:
        raise AnnotationError("A ring of a polygon has points at infinity; expected pixels.")
    return np.concatenate([points, np.roll(points, -1, axis=0)], axis=1)


def _simplified(ring: Ring, tolerance: float) -> Ring:
    from skimage.measure import approximate_polygon

    simple = approximate_polygon(np.concatenate([ring, ring[:1]]), tolerance)[:-1]
    return np.asarray(simple, np.float64) if len(simple) >= 3 else ring


def _exact(rle: Rle) -> list[Polygon]:
    if rle.area == 0:
        return []
    mask, (left, top) = rle.decode_box()
    framed = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.bool_)
    framed[1:-1, 1:-1] = mask
    rings = [(ring, _is_outer(ring, framed)) for ring in _rings(framed)]
    outers = [ring for ring, outer in rings if outer]
    owner = {0: 0}
    parts: NDArray[Any] | None = None
    if len(outers) > 1 and len(rings) > len(outers):
        from scipy import ndimage

        parts, _ = ndimage.label(framed)
        owner = {int(parts[_seed(ring, 0)]): place for place, ring in enumerate(outers)}
    polygons: list[Polygon] = [[ring] for ring in outers]
    for ring, outer in rings:
        if not outer:
            # Above a hole's first edge there is the mask that it is a hole of.
            part = 0 if parts is None else int(parts[_seed(ring, -1)])
            polygons[owner[part]].append(ring)
    offset = np.array([left, top], np.float64)
    return [[_directed(ring, at == 0) + offset for at, ring in enumerate(p)] for p in polygons]


def _first(ring: Ring) -> tuple[int, int]:
    """The topmost corner, of those the leftmost, as (x, y)."""
    at = np.lexsort((ring[:, 0], ring[:, 1]))[0]
    return int(ring[at, 0]), int(ring[at, 1])


def _seed(ring: Ring, shift: int) -> tuple[int, int]:
    """The framed mask's index of the pixel right of the first corner: below (0), above (-1)."""
    x, y = _first(ring)
    return y + 1 + shift, x + 1


def _is_outer(ring: Ring, framed: NDArray[np.bool_]) -> bool:
    return bool(framed[_seed(ring, 0)])


def _directed(ring: Ring, outer: bool) -> Ring:
    return ring if (ring_area(ring) > 0) == outer else ring[::-1]


def _rings(framed: NDArray[np.bool_]) -> list[Ring]:
    """The rings of a framed mask, in its unframed pixels, from the top; none touches itself.

    Along a row of corners, the first and the second are the ends of an edge, and so on; likewise
    along a column. A corner where two pixels meet diagonally is there twice.
    """
    p = framed.view(np.uint8)
    above, below = p[:-1, :-1] + 2 * p[:-1, 1:], p[1:, :-1] + 2 * p[1:, 1:]
    wide = above.shape[1]
    turns = np.flatnonzero((above ^ below) % 3)  # one or three of the four pixels
    crossed = np.flatnonzero((above + below == 3) & (above != below) & (above % 3 != 0))
    spots = np.sort(np.concatenate([turns, crossed, crossed]))
    y, x = np.divmod(spots, wide)
    # Of the two at a crossing the one belongs to the left edge, the other to the right one. The
    # upper edge goes with the left one where the upper left pixel is inside.
    copies = np.flatnonzero(spots[1:] == spots[:-1])
    second = np.zeros(spots.size, np.int64)
    second[copies + 1] = 1
    swapped = np.isin(spots, crossed[above.ravel()[crossed] == 2])
    down = np.lexsort((second ^ swapped, y, x))
    across = np.arange(spots.size) ^ 1
    along = np.empty(spots.size, np.int64)
    along[down[0::2]], along[down[1::2]] = down[1::2], down[0::2]
    points = np.stack([x, y], axis=1).astype(np.float64)
    has_copy = np.isin(spots, crossed)
    return [
        points[loop]
        for ring in _walk(across.tolist(), along.tolist())
        for loop in _loops(ring, spots, has_copy)
    ]


def _walk(across: list[int], along: list[int]) -> list[list[int]]:
    seen = bytearray(len(across))
    rings = []
    for start in range(len(across)):
        if seen[start]:
            continue
        ring = []
        here = start
        while not seen[here]:
            other = across[here]
            seen[here] = seen[other] = 1
            ring += [here, other]
            here = along[other]
        rings.append(ring)
    return rings


def _loops(
    ring: list[int], spots: NDArray[np.int64], has_copy: NDArray[np.bool_]
) -> list[list[int]]:
    """Cut a ring where it touches itself, so that no corner is there twice."""
    if not has_copy[ring].any():
        return [ring]
    loops: list[list[int]] = []
    path: list[int] = []
    at: dict[int, int] = {}
    for corner, spot in zip(ring, spots[ring].tolist(), strict=True):
        if spot in at:
            place = at[spot]
            loop = path[place:]
            for gone in loop[1:]:
                del at[int(spots[gone])]
            loops.append(loop)
            del path[place + 1 :]
        else:
            at[spot] = len(path)
            path.append(corner)
    return [*loops, path]
