"""A polygon or a mask as the network takes it: a box, points inside and low-resolution logits.

The published network knows points, boxes and the logits of an earlier answer. A shape becomes all
three: its tight box, up to three points deep inside, and its signed distance as logits of about
the size of real ones ("Segment Anything", section 3, mask prompts).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import Box, MaskPrompt, Point, Polygon
from segwidget.inference.rle import Rle

# Logits that the network is given are as large as its own are inside of a thing, or less.
MAX_LOGIT = 10.0
# Logits per low-resolution pixel across the outline.
SLOPE = 2.5
MAX_POINTS = 3
# Beyond that a page cannot tell logits apart.
_BOUND = 32.0
_STRIP_PIXELS = 1 << 24
_OUTLINE_SAMPLES = 20_000


@dataclass(frozen=True, eq=False)
class Derived:
    """What stands for a polygon or a mask when the network is asked.

    Attributes:
        box: the tight box, in pixels of the image.
        points: one to three foreground points, deep inside and apart from each other.
        logits: ``(s, s)`` float32, the mask prompt.
        distance: ``(s, s)`` float32, how far each sample lies within the outline, in pixels;
            outside it is negative.
        tolerance: how far the answer's outline may be from a polygon, in pixels; ``None`` where
            that is left to the network.
        slope: logits per pixel.
    """

    box: Box
    points: tuple[Point, ...]
    logits: NDArray[np.float32]
    distance: NDArray[np.float32]
    tolerance: float | None
    slope: float

    def clamped(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(C, s, s)`` whose outline stays within the tolerance.

        Signed distances change linearly, so that they are the same between the samples when they
        are enlarged.
        """
        if self.tolerance is None:
            return logits
        low, high = (
            np.clip(self.slope * (self.distance + by), -_BOUND, _BOUND)
            for by in (-self.tolerance, self.tolerance)
        )
        return np.clip(logits, low, high).astype(np.float32)


@lru_cache(maxsize=8)
def derive(shape: Polygon | MaskPrompt, frame: Frame) -> Derived:
    """Box, points and logits for a shape.

    Args:
        shape: in pixels of the image, within it.
        frame: how the image lies in the network's input.
    """
    slope = SLOPE * min(frame.logits_scale)
    if isinstance(shape, Polygon):
        distance = _polygon_distance(shape, frame)
        places = _deepest(distance, frame) or [_widest(shape)]
        box, tolerance = shape.box, shape.tolerance
    else:
        distance = _mask_distance(shape.rle, frame)
        places = [_nearest_inside(shape.rle, at, frame) for at in _deepest(distance, frame)]
        box, tolerance = Box(*shape.rle.box), None
    deepest = float(distance.max())
    cell = 1 / max(frame.logits_scale)
    # What is thinner than a sample still shows.
    shown = distance if deepest > 0 else distance + (0.5 * cell - deepest)
    logits = np.clip(slope * shown, -MAX_LOGIT, MAX_LOGIT).astype(np.float32)
    points = tuple(Point(round(x, 3), round(y, 3)) for x, y in places)
    for array in (logits, distance):
        array.flags.writeable = False
    return Derived(box, points, logits, distance, tolerance, slope)


def _centers(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The samples' x and y, in pixels of the image, ``(s,)`` each."""
    at = np.arange(frame.logits_size, dtype=np.float64) + 0.5
    sx, sy = frame.logits_scale
    return np.asarray(at / sx, np.float64), np.asarray(at / sy, np.float64)


# Masks.


def _mask_distance(rle: Rle, frame: Frame) -> NDArray[np.float32]:
    """How far the samples lie within a mask, ``(s, s)``, in pixels of the image."""
    covered = coverage(rle, frame)
    sx, sy = frame.logits_scale
    least = min(0.5, float(covered.max()) / 2)  # a line thinner than a sample is a line
    inside = np.pad(covered >= least, 1)
    cell = np.array([1 / sy, 1 / sx])
    half = float(cell.mean()) / 2
    within, beyond = (
        ndi.distance_transform_edt(part, sampling=cell)[1:-1, 1:-1] for part in (inside, ~inside)
    )
    distance = np.where(inside[1:-1, 1:-1], within - half, half - beyond)
    # At the outline, a sample's share of the mask says more.
    near = np.abs(distance) <= half * 1.01
    distance[near] = 2 * half * (covered[near] - least)
    return np.asarray(distance, np.float32)


def coverage(rle: Rle, frame: Frame) -> NDArray[np.float32]:
    """The share of each low-resolution pixel that a mask covers, ``(s, s)``, 0 to 1."""
    x0, y0, x1, y1 = (int(edge) for edge in rle.box)
    side, (sx, sy) = frame.logits_size, frame.logits_scale
    down = _overlap(side, y0, y1, sy)
    out = np.zeros((side, side), np.float32)
    step = max(1, _STRIP_PIXELS // max(1, y1 - y0))
    for left in range(x0, x1, step):
        right = min(left + step, x1)
        part, _ = rle.decode_box((left, y0, right, y1))
        out += (down @ part.astype(np.float32)) @ _overlap(side, left, right, sx).T
    return np.asarray(np.minimum(out, 1), np.float32)


def _overlap(samples: int, start: int, stop: int, scale: float) -> NDArray[np.float32]:
    """How much of each sample each pixel covers along an axis, ``(samples, stop - start)``."""
    edges = np.arange(start, stop + 1) * scale
    at = np.arange(samples)[:, None]
    shared = np.minimum(edges[1:], at + 1) - np.maximum(edges[:-1], at)
    covered: NDArray[np.float32] = np.maximum(shared, 0).astype(np.float32)
    return covered


def _nearest_inside(rle: Rle, at: tuple[float, float], frame: Frame) -> tuple[float, float]:
    """The center of the pixel of the mask that is nearest to a place."""
    (x, y), (sx, sy) = at, frame.logits_scale
    reach_x, reach_y = 2 + 1 / sx, 2 + 1 / sy
    part, (left, top) = rle.decode_box((x - reach_x, y - reach_y, x + reach_x, y + reach_y))
    rows, columns = np.nonzero(part)
    if not len(rows):
        return x, y
    px, py = columns + left + 0.5, rows + top + 0.5
    nearest = int(((px - x) ** 2 + (py - y) ** 2).argmin())
    return float(px[nearest]), float(py[nearest])


# Polygons.


def _polygon_distance(polygon: Polygon, frame: Frame) -> NDArray[np.float32]:
    """How far the samples lie within a polygon, ``(s, s)``, in pixels of the image."""
    xs, ys = _centers(frame)
    corners = np.array(polygon.points)
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(*edges.T)
    # The nearest edge is that of the nearest of many places along the outline.
    spacing = max(0.5 / max(frame.logits_scale), float(lengths.sum()) / _OUTLINE_SAMPLES)
    counts = np.maximum(1, np.ceil(lengths / spacing)).astype(np.intp)
    edge = np.repeat(np.arange(len(corners)), counts)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[edge]
    along = corners[edge] + share[:, None] * edges[edge]
    samples = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    nearest = edge[cKDTree(along).query(samples)[1]]
    distance = np.full(len(samples), np.inf)
    for neighbor in (nearest, nearest - 1):  # a corner belongs to two
        offset = samples - corners[neighbor]
        length = np.maximum(np.square(edges[neighbor]).sum(axis=1), 1e-12)
        t = np.clip((offset * edges[neighbor]).sum(axis=1) / length, 0, 1)
        gap = np.hypot(*(offset - t[:, None] * edges[neighbor]).T)
        distance = np.minimum(distance, gap)
    inside = _inside(corners, xs, ys)
    signed = np.where(inside, 1, -1) * distance.reshape(inside.shape)
    return np.asarray(signed, np.float32)


def _inside(
    corners: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which places of a grid lie within a polygon, by the nonzero rule, as a canvas fills it."""
    row, x, turn = _crossings(corners, ys)
    winding = np.zeros((len(ys), len(xs) + 1), np.int64)
    np.add.at(winding, (row, np.searchsorted(xs, x)), turn)
    inside: NDArray[np.bool_] = np.cumsum(winding[:, :-1], axis=1) != 0
    return inside


def _crossings(
    corners: NDArray[np.float64], ys: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.int64]]:
    """Where horizontal lines at ascending ``ys`` cross a polygon: line, x and direction."""
    start, end = corners, np.roll(corners, -1, axis=0)
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first, last = np.searchsorted(ys, low, "left"), np.searchsorted(ys, high, "left")
    counts = last - first
    edge = np.repeat(np.arange(len(corners)), counts)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    rise = end[edge, 1] - start[edge, 1]
    x = start[edge, 0] + (ys[row] - start[edge, 1]) / rise * (end[edge, 0] - start[edge, 0])
    return row, x, np.sign(rise).astype(np.int64)


def _widest(polygon: Polygon) -> tuple[float, float]:
    """The middle of the widest of some lines across a polygon; for those thinner than a sample."""
    box, lines = polygon.box, 64
    ys = box.y0 + (np.arange(lines) + 0.5) / lines * (box.y1 - box.y0)
    row, x, turn = _crossings(np.array(polygon.points), ys)
    order = np.lexsort((x, row))
    row, x, winding = row[order], x[order], np.cumsum(turn[order])
    widths = np.where(winding[:-1] != 0, np.diff(x), -1.0)  # each line ends outside
    widest = int(widths.argmax())
    return float(x[widest] + x[widest + 1]) / 2, float(ys[row[widest]])


# Both.


def _deepest(distance: NDArray[np.float32], frame: Frame) -> list[tuple[float, float]]:
    """Up to three places that lie deep inside and apart, the deepest first."""
    rows, columns = frame.logits_shape
    left = distance[:rows, :columns].astype(np.float64)
    xs, ys = (axis[:count] for axis, count in zip(_centers(frame), (columns, rows), strict=True))
    places: list[tuple[float, float]] = []
    depth = float(left.max())
    for _ in range(MAX_POINTS):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        if left[row, column] <= (depth / 2 if places else 0):
            break
        x, y = min(xs[column], frame.width - 0.5), min(ys[row], frame.height - 0.5)
        places.append((float(x), float(y)))
        near = (xs[None, :] - x) ** 2 + (ys[:, None] - y) ** 2 < (2 * depth) ** 2
        left[near] = -np.inf
        left[row, column] = -np.inf
    return places
