"""Which masks are kept: stable ones, one of several alike, without crumbs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pycocotools.mask as coco
import scipy.ndimage as ndi
from numpy.typing import ArrayLike, NDArray

EDGE = 20  # pixels; as published
_ALL_NEIGHBORS = np.ones((3, 3), np.uint8)


def non_maximum(boxes: ArrayLike, scores: ArrayLike, threshold: float) -> NDArray[np.intp]:
    """Non-maximum suppression: of boxes that overlap, the one with the best score is kept.

    The arithmetic, float32, and the order of ties, that of the boxes, are torchvision's.

    Args:
        boxes: ``(N, 4)`` as ``(x0, y0, x1, y1)``.
        scores: ``(N,)``.
        threshold: boxes whose IoU is higher overlap.

    Returns:
        Which are kept, best first.
    """
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    x0, y0, x1, y1 = np.asarray(boxes, np.float32).reshape(-1, 4)[order].T
    areas = (x1 - x0) * (y1 - y0)
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = i + 1 + np.flatnonzero(alive[i + 1 :])
        w = np.minimum(x1[i], x1[rest]) - np.maximum(x0[i], x0[rest])
        h = np.minimum(y1[i], y1[rest]) - np.maximum(y0[i], y0[rest])
        shared = np.maximum(w, np.float32(0)) * np.maximum(h, np.float32(0))
        with np.errstate(invalid="ignore", divide="ignore"):  # a box without area overlaps nothing
            iou = shared / (areas[i] + areas[rest] - shared)
        alive[rest[iou.astype(np.float64) > threshold]] = False
    return order[alive]


def near_crop_edge(
    box: tuple[float, float, float, float],
    crop: tuple[int, int, int, int],
    width: int,
    height: int,
) -> bool:
    """Whether a mask is cut off: its box ends at the crop's edge, and not at the image's.

    Args:
        box: of the outermost pixels ``(x0, y0, x1, y1)``, inclusive, as published.
        crop: the crop's edges.
        width: of the image.
        height: of the image.
    """
    edges = zip(box, crop, (0, 0, width, height), strict=True)
    return any(abs(b - c) <= EDGE < abs(b - i) for b, c, i in edges)


def without_crumbs(mask: NDArray[np.bool_], min_area: int) -> tuple[NDArray[np.bool_], bool]:
    """Fill holes and remove islands of fewer than ``min_area`` pixels.

    Pixels that touch at a corner belong together, in the mask and in its background. If every
    island is too small, the largest stays.

    Args:
        mask: ``(H, W)``, with something inside.
        min_area: pixels.

    Returns:
        The mask, and whether it had a hole or an island that was too small: also where that was the
        only island, which stays as it is.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # Beyond this margin background is never small: it is as long as the margin, or at the image's
    # edge, where it is all there.
    window = tuple(
        slice(max(int(at[0]) - min_area, 0), int(at[-1]) + 1 + min_area) for at in (rows, columns)
    )
    part = mask[window]
    labels, sizes = _regions(~part)
    holes = sizes < min_area
    holes[0] = False
    filled = part | holes[labels] if holes.any() else part
    labels, sizes = _regions(filled)
    large = sizes >= min_area
    large[0] = False
    if large[1:].all():
        if filled is part:
            return mask, False
    else:
        if not large.any():
            large[1 + int(np.argmax(sizes[1:]))] = True
        filled = large[labels]
    result = mask.copy()
    result[window] = filled
    return result, True


def _regions(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The number of each pixel's region, 0 outside, and the regions' sizes."""
    labels: Any = ndi.label(mask, _ALL_NEIGHBORS)[0]
    return labels, np.bincount(labels.ravel(), minlength=1)


def mask_ious(
    masks: list[tuple[tuple[int, int], str]], others: list[tuple[tuple[int, int], str]]
) -> NDArray[np.float64]:
    """IoUs ``(N, M)`` of masks given as ``((height, width), counts)``, all of one size."""
    if not masks or not others:
        return np.zeros((len(masks), len(others)))
    packed: list[list[Any]] = [
        [{"size": list(size), "counts": counts.encode("ascii")} for size, counts in some]
        for some in (masks, others)
    ]
    matrix: Any = coco.iou(packed[0], packed[1], [0] * len(others))
    return np.asarray(matrix, np.float64).reshape(len(masks), len(others))
