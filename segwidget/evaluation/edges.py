"""Edges from everything mode ("Segment Anything", section 7.2 and appendix D.2).

A grid of 16 × 16 points is asked about, which gives 768 masks, three a point; nothing is filtered
by quality, duplicates are taken out by non-maximum suppression of boxes. Of each mask that is left
the Sobel filter of the unthresholded probabilities is taken, and kept on the mask's boundary alone:
on pixels inside that touch the outside, and the other way round. The maximum over masks, scaled to
1, is thinned by suppressing what is not the largest across its edge (Canny, 1986), as Dollár and
Zitnick, "Fast Edge Detection Using Structured Forests" (2015) do it; see :func:`thinned`.

A model was never trained for edges, so its recall is what is to be looked at first: it draws also
edges that no person has drawn.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    convolve1d,
    distance_transform_edt,
    map_coordinates,
    sobel,
)
from torch import Tensor

from segwidget.annotation.formats.shards import ShardMask
from segwidget.evaluation.protocol import MaskedImage
from segwidget.inference.candidates import mask_box
from segwidget.inference.everything.filters import non_maximum
from segwidget.inference.everything.grid import point_grid
from segwidget.inference.predictor import Predictor
from segwidget.sam.prompt_encoder import FOREGROUND, NOT_A_POINT

SIDE = 16
NMS = 0.7
# Points that are asked about at once: on a CPU so many as its cache has room for.
_BATCH, _CPU_BATCH = 16, 2
_SQUARE = np.ones((3, 3), bool)
# Of the image, what a person's regions cover at least, so that they divide all of it.
_COVERED = 0.95


def edge_map(predictor: Predictor, points_per_side: int = SIDE) -> NDArray[np.float32]:
    """How likely each pixel of a predictor's image is an edge.

    Args:
        predictor: with an image.
        points_per_side: of the grid.

    Returns:
        ``(H, W)`` float32 of 0 to 1, thinned.

    Raises:
        PromptError: the predictor has no image.
    """
    frame = predictor.frame
    strength = np.zeros((frame.height, frame.width), np.float32)
    for logits in distinct_masks(predictor, points_per_side):
        with torch.inference_mode():
            full: NDArray[np.float32] = frame.upsample(logits.float()[None])[0].numpy()
        add_edges(strength, full)
    highest = strength.max()
    return thinned(strength / highest if highest > 0 else strength)


def distinct_masks(predictor: Predictor, points_per_side: int = SIDE) -> list[Tensor]:
    """Low-resolution logits ``(s, s)`` of a grid of points, best first, without duplicates."""
    network, frame = predictor.model.network, predictor.frame
    prepared = predictor.prepared
    rows, columns = frame.logits_shape
    points = point_grid(points_per_side) * np.array(frame.resized)
    kept: list[Tensor] = []
    scores: list[float] = []
    boxes: list[tuple[int, int, int, int]] = []
    batch = _CPU_BATCH if network.device.type == "cpu" else _BATCH
    for start in range(0, len(points), batch):
        some = points[start : start + batch]
        coords = torch.zeros(len(some), 2, 2)
        coords[:, 0] = torch.from_numpy(some)
        labels = torch.tensor([FOREGROUND, NOT_A_POINT]).repeat(len(some), 1)
        with predictor.lock, torch.inference_mode():
            logits, iou = network.decode(
                prepared, coords.to(network.device), labels.to(network.device)
            )
        answers = logits[:, 1:].flatten(0, 1).float().cpu()
        # Boxes of low-resolution masks: their IoUs are those of the image, but for rounding.
        for one, score in zip(answers, iou[:, 1:].flatten().tolist(), strict=True):
            box = mask_box((one[:rows, :columns] > 0).numpy())
            if box[2]:
                kept.append(one.half())
                scores.append(score)
                boxes.append(box)
    return [kept[i] for i in non_maximum(boxes, scores, NMS)]


def add_edges(strength: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
    """Raise edges to those of one mask.

    Args:
        strength: ``(H, W)`` float32, changed in place.
        logits: ``(H, W)`` float32 of the mask.
    """
    mask = logits > 0
    x0, y0, x1, y1 = mask_box(mask)
    if not x1:
        return
    # With a margin that the boundary and the filter reach, but not beyond the image, whose edge
    # is none.
    window = slice(max(y0 - 2, 0), y1 + 2), slice(max(x0 - 2, 0), x1 + 2)
    part = mask[window]
    boundary = binary_dilation(part, _SQUARE) & ~binary_erosion(part, _SQUARE, border_value=1)
    chance = 1 / (1 + np.exp(-np.clip(logits[window], -30, 30)))
    slope = np.hypot(sobel(chance, 0), sobel(chance, 1)).astype(np.float32)
    np.maximum(strength[window], np.where(boundary, slope, 0), out=strength[window])


def thinned(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Non-maximum suppression across edges: only crests are left.

    A pixel stays if its value, raised by 1 %, is not below those one pixel to either side, across
    the edge. An edge is crossed where the map, smoothed by a triangle of radius 4, is curved most.
    Within five pixels of the image's border values are lowered in proportion. These are the
    settings of the authors' code, which takes the direction from a rougher formula.

    Args:
        strength: ``(H, W)`` float32.

    Returns:
        ``(H, W)`` float32; what is suppressed is 0.
    """
    angle = _across(strength)
    rows, columns = np.mgrid[: strength.shape[0], : strength.shape[1]].astype(np.float64)
    keep = strength > 0
    for step in (-1, 1):
        at = [rows + step * np.sin(angle), columns + step * np.cos(angle)]
        keep &= strength * 1.01 >= map_coordinates(strength, at, order=1, mode="nearest")
    height, width = strength.shape
    from_edge = np.minimum.outer(
        np.minimum(np.arange(height), np.arange(height)[::-1]),
        np.minimum(np.arange(width), np.arange(width)[::-1]),
    )
    lowered = np.minimum(from_edge / 5, 1).astype(np.float32)
    crests: NDArray[np.float32] = np.where(keep, strength * lowered, 0).astype(np.float32)
    return crests


def _across(strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """The angle at which each pixel's edge is crossed, in radians from the x axis."""
    triangle = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25
    smooth = strength.astype(np.float64)
    for axis in (0, 1):
        smooth = convolve1d(smooth, triangle, axis, mode="reflect")
    dy, dx = _slopes(smooth)
    dxy, dxx = _slopes(dx)
    dyy, _ = _slopes(dy)
    # Along the principal axis of the larger curvature; on a crest that is the negative one.
    angle: NDArray[np.float64] = 0.5 * np.arctan2(2 * dxy, dxx - dyy)
    return angle + np.where(dxx + dyy < 0, np.pi / 2, 0)


def _slopes(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Down and to the right; an axis of one pixel has none."""
    down, right = (
        np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)
        for axis in (0, 1)
    )
    return down, right


def boundaries_of(item: MaskedImage) -> list[NDArray[np.bool_]]:
    """The boundaries that several people have drawn by dividing an image.

    Args:
        item: an image with masks.

    Returns:
        ``(H, W)`` bool for each person; empty unless at least two have each divided all of it into
        regions that do not overlap.
    """
    by_person: dict[int, list[ShardMask]] = {}
    for mask in item.masks:
        by_person.setdefault(mask.annotator, []).append(mask)
    if len(by_person) < 2:
        return []
    found = []
    for masks in by_person.values():
        labels = np.zeros(masks[0].rle.size, np.int32)
        total = 0
        for number, mask in enumerate(masks, 1):
            labels[mask.rle.decode()] = number
            total += mask.rle.area
        covered = int(np.count_nonzero(labels))
        if total != covered or covered < _COVERED * labels.size:
            return []
        found.append(boundary(labels))
    return found


def boundary(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where regions meet, one pixel wide: pixels unlike that to the right, below, or both.

    Args:
        labels: ``(H, W)``, 0 where there is no region: there the nearest one is taken.
    """
    nothing = labels == 0
    if nothing.any():
        nearest = distance_transform_edt(nothing, return_distances=False, return_indices=True)
        labels = labels[tuple(nearest)]
    padded = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    found: NDArray[np.bool_] = (
        (labels != padded[:-1, 1:]) | (labels != padded[1:, :-1]) | (labels != padded[1:, 1:])
    )
    return found
