"""What a mask takes by hand: the corners of a polygon, the strokes of a brush.

Both are what a person of perfect aim would need at least, found by a simple search, and so in favor
of the hand: real people click more corners than they must, and paint over edges.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from segwidget.annotation.polygons import Ring, polygons_of, ring_area, rle_of
from segwidget.errors import AnnotationError
from segwidget.inference.candidates import mask_box
from segwidget.inference.rle import Rle

#: The brush's radius over the depth of where it is put; the rest is room to drag it along.
BRUSH = 0.8
#: More strokes are not counted.
MOST_STROKES = 300

_MITRE = 3.0  # a sharp corner is moved at most so far, in units of its edges' shift
_NEAR = 3  # fewer corners by so many are tried where a search ends


def fewest_vertices(target: NDArray[np.bool_], threshold: float) -> int:
    """How many corners a polygon must have to reach an IoU with a mask.

    From the exact outline, corners are left out by the area that they span with their neighbors,
    the smallest first (Visvalingam and Whyatt, 1993), over all rings together: holes and islands
    are rings of three corners or more, or are left out whole. What is left of each ring is moved
    outward (or inward) until its area is that of the ring it stands for, where that is better; for
    corners on the outline itself would cut every bulge. The number of corners is bisected.

    Args:
        target: ``(H, W)`` bool with at least one pixel inside.
        threshold: the IoU, above 0 and at most 1.

    Returns:
        At least 3. It is an upper bound of the fewest, near it for smooth things.

    Raises:
        AnnotationError: the mask is empty, or the threshold is out of range.
    """
    exact = Rle.encode(_cropped(target, threshold))
    rings = [ring for polygon in polygons_of(exact) for ring in polygon]
    weights = [_weights(ring) for ring in rings]
    order = np.sort(np.concatenate(weights))[::-1]

    def reached(count: int) -> bool:
        return _iou(rings, weights, order[count - 1], exact) >= threshold

    low, high = 2, len(order)  # two corners are no polygon; all of them are the mask
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    # The IoU does not always grow with the corners.
    for count in range(high - 1, max(2, high - 1 - _NEAR), -1):
        high = count if reached(count) else high
    kept = (weight >= order[high - 1] for weight in weights)
    return sum(int(k.sum()) for k in kept if k.sum() >= 3)


def fewest_strokes(target: NDArray[np.bool_], threshold: float) -> int:
    """How many strokes of a round brush paint a mask up to an IoU.

    Greedy: a stroke is put where what is still missing is deepest, with a brush of 0.8 of the depth
    there, and is dragged along the middle of what is missing as far as the brush fits in one piece,
    branches included. A stroke never leaves the mask. Its radius may differ from the last one's,
    which counts nothing.

    Args:
        target: ``(H, W)`` bool with at least one pixel inside.
        threshold: the IoU, above 0 and at most 1.

    Returns:
        From 1 to 300, which stands for more, too.

    Raises:
        AnnotationError: the mask is empty, or the threshold is out of range.
    """
    missing = np.pad(_cropped(target, threshold), 1)
    wanted = math.ceil(threshold * np.count_nonzero(missing) - 1e-9)
    painted = 0
    for count in range(1, MOST_STROKES + 1):
        depth = distance_transform_edt(missing)
        radius = BRUSH * depth.max()
        parts, _ = label(depth >= radius, np.ones((3, 3), int))
        center = parts == parts.ravel()[depth.argmax()]
        stroke = (distance_transform_edt(~center) < radius) & missing
        missing &= ~stroke
        painted += int(np.count_nonzero(stroke))
        if painted >= wanted:
            return count
    return MOST_STROKES


def _cropped(target: NDArray[np.bool_], threshold: float) -> NDArray[np.bool_]:
    """The mask in its box, for neither polygon nor brush needs more."""
    if not 0 < threshold <= 1:
        raise AnnotationError(f"The IoU to reach is {threshold!r}; expected above 0, at most 1.")
    x0, y0, x1, y1 = mask_box(target)
    if x1 == 0:
        raise AnnotationError(
            "The mask is empty; expected at least one pixel inside. Leave it out."
        )
    return np.ascontiguousarray(target[y0:y1, x0:x1])


def _weights(ring: Ring) -> NDArray[np.float64]:
    """``(N,)`` how much each corner matters; the last three go together."""
    count = len(ring)
    before = [(i - 1) % count for i in range(count)]
    after = [(i + 1) % count for i in range(count)]
    x, y = ring.T.tolist()

    def area(i: int) -> float:
        a, b = before[i], after[i]
        cross = (x[i] - x[a]) * (y[b] - y[a]) - (x[b] - x[a]) * (y[i] - y[a])
        return float(abs(cross)) / 2

    weights = np.zeros(count)
    newest = [area(i) for i in range(count)]
    heap = [(weight, i) for i, weight in enumerate(newest)]
    heapq.heapify(heap)
    gone = [False] * count
    left, most = count, 0.0
    while left > 3:
        weight, i = heapq.heappop(heap)
        if gone[i] or weight != newest[i]:
            continue
        # Never less than what went before: so leaving out by weight is leaving out in this order.
        most = max(most, weight)
        weights[i], gone[i] = most, True
        left -= 1
        a, b = before[i], after[i]
        after[a], before[b] = b, a
        for j in (a, b):
            newest[j] = area(j)
            heapq.heappush(heap, (newest[j], j))
    rest = ~np.array(gone)
    weights[rest] = max(most, area(int(np.flatnonzero(rest)[0])))
    return weights


def _iou(rings: list[Ring], weights: list[NDArray[np.float64]], least: float, exact: Rle) -> float:
    """The IoU of the polygon that has the corners of at least some weight."""
    plain, fitted = [], []
    for ring, weight in zip(rings, weights, strict=True):
        kept = ring[weight >= least]
        if len(kept) >= 3:
            plain.append(kept)
            fitted.append(_fitted(kept, ring_area(ring)))
    if not plain:
        return 0.0
    values = [rle_of([shape], exact.size).iou(exact) for shape in (plain, fitted)]
    return max(values)


def _fitted(ring: Ring, area: float) -> Ring:
    """A ring whose edges are moved along their normals until it has nearly an area."""
    edges = np.roll(ring, -1, axis=0) - ring
    lengths = np.hypot(*edges.T)
    if (lengths == 0).any():
        return ring
    shift = (area - ring_area(ring)) / lengths.sum()
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / lengths[:, None]
    others = np.roll(normals, 1, axis=0)
    mitre = (normals + others) / np.maximum(1 + (normals * others).sum(axis=1), 1e-9)[:, None]
    sizes = np.hypot(*mitre.T)
    mitre *= np.minimum(1, _MITRE / np.maximum(sizes, 1e-9))[:, None]
    moved: Ring = ring + shift * mitre
    return moved
