"""What a mask is worth: IoU, also of boundaries, the oracle's choice, clicks, calibration.

And means with their uncertainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segwidget.errors import AnnotationError
from segwidget.inference.candidates import mask_box

RESAMPLES = 1000
MOST_CLICKS = 20
DILATION = 0.02


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two ``(H, W)`` bool masks; two empty ones have 1."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def oracle_iou(candidates: Iterable[NDArray[np.bool_]], target: NDArray[np.bool_]) -> float:
    """The IoU of the best candidate, chosen by one who knows the ground truth.

    "Segment Anything" (section 7.1, "oracle") reports it beside that of the model's own choice,
    since a single click may mean several things.
    """
    return max(iou(mask, target) for mask in candidates)


def boundary_iou(a: NDArray[np.bool_], b: NDArray[np.bool_], dilation: float = DILATION) -> float:
    """IoU of what lies near two masks' boundaries; of two empty masks 1.

    Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (2021),
    equation 4: of each mask only those pixels are compared that lie within a distance of the
    mask's own boundary. It tells apart large masks whose edges are good and bad, which IoU hardly
    does. The image's edge is a boundary; distance is that of the authors' code, the larger of the
    horizontal and the vertical one.

    Args:
        a: ``(H, W)`` bool.
        b: ``(H, W)`` bool.
        dilation: the distance, as a share of the image's diagonal; at least one pixel is taken.

    Raises:
        AnnotationError: the masks are of different shape.
    """
    if a.shape != b.shape:
        raise AnnotationError(
            f"The masks are {a.shape} and {b.shape}; expected the same (height, width). Compare "
            "masks of one image."
        )
    return iou(boundary_band(a, dilation), boundary_band(b, dilation))


def boundary_band(mask: NDArray[np.bool_], dilation: float = DILATION) -> NDArray[np.bool_]:
    """What of an ``(H, W)`` mask lies near its boundary, as :func:`boundary_iou` compares it.

    Args:
        mask: ``(H, W)`` bool; it stays as it is.
        dilation: how near, as a share of the image's diagonal; at least one pixel is taken.
    """
    distance = max(1, round(dilation * float(np.hypot(*mask.shape))))
    x0, y0, x1, y1 = mask_box(mask)
    band = mask.copy()
    # Beyond the box nothing is inside, as beyond the image: there is no window around the others.
    inner = _all_of_windows(mask[y0:y1, x0:x1], 2 * distance + 1)
    if inner.size:
        band[y0 + distance : y1 - distance, x0 + distance : x1 - distance] &= ~inner
    return band


def _all_of_windows(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Which square windows that lie within the array are all inside, ``(H - side + 1, ...)``.

    A window is the union of two smaller ones, so that doubling them needs few steps.
    """
    for _ in range(2):
        if len(mask) < side:
            return np.zeros((0, 0), bool)
        have = 1
        while have < side:
            step = min(have, side - have)
            mask = mask[:-step] & mask[step:]
            have += step
        mask = mask.T
    return mask


def number_of_clicks(curve: Sequence[float], threshold: float, most: int = MOST_CLICKS) -> int:
    """NoC@threshold of one mask: after how many clicks the IoU first was so high.

    As in Sofiiuk et al. (2021) and those whom they compare with: where it never is, the most that
    are made count, so that the mean over masks is a lower bound.

    Args:
        curve: IoU after the first click, the second, ….
        threshold: 0.85 or 0.9, usually.
        most: how many clicks are made at most.
    """
    reached = (count for count, value in enumerate(curve[:most], 1) if value >= threshold)
    return next(reached, most)


class Calibration(NamedTuple):
    """How well predicted IoU tells the actual one.

    Attributes:
        error: mean of |predicted − actual|.
        bias: mean of predicted − actual; above 0 the model thinks too well of itself.
        ece: expected calibration error (Guo et al., 2017) in ten bins of predicted IoU: the
            mean, weighted by count, of |mean predicted − mean actual| of the bins.
        pairs: how many answers were compared.
    """

    error: float
    bias: float
    ece: float
    pairs: int


def calibration(predicted: ArrayLike, actual: ArrayLike, bins: int = 10) -> Calibration:
    """Compare predicted with actual IoU.

    Args:
        predicted: ``(N,)`` in ``[0, 1]``.
        actual: ``(N,)`` in ``[0, 1]``.
        bins: equal parts of ``[0, 1]`` for the expected calibration error.

    Returns:
        The summary; NaN where there is nothing to compare.
    """
    p, a = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    if not p.size:
        return Calibration(np.nan, np.nan, np.nan, 0)
    gap = p - a
    ece = np.abs(np.bincount(_bins(p, bins), gap, bins)).sum() / p.size
    return Calibration(float(np.abs(gap).mean()), float(gap.mean()), float(ece), p.size)


class Bin(NamedTuple):
    """Answers of alike predicted IoU.

    Attributes:
        predicted: their mean predicted IoU.
        actual: their mean actual one.
        pairs: how many they are.
    """

    predicted: float
    actual: float
    pairs: int


def reliability(predicted: ArrayLike, actual: ArrayLike, bins: int = 10) -> list[Bin]:
    """The bins behind the expected calibration error, those that are not empty, in order.

    A reliability diagram (Guo et al., 2017) shows ``actual`` over ``predicted``; on its diagonal a
    model knows what it is worth. Arguments as :func:`calibration` has them.
    """
    p, a = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    which = _bins(p, bins)
    return [
        Bin(float(p[which == i].mean()), float(a[which == i].mean()), int((which == i).sum()))
        for i in range(bins)
        if (which == i).any()
    ]


def _bins(predicted: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    return np.clip((predicted * bins).astype(np.int64), 0, bins - 1)


class Mean(NamedTuple):
    """A mean and its 95 % interval.

    Attributes:
        value: the mean.
        low: 2.5th percentile of the bootstrap.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float


def mean_with_interval(groups: Sequence[tuple[ArrayLike, ArrayLike]], seed: int = 0) -> Mean:
    """The mean of one group's values, or of the means of several groups.

    The interval is a percentile bootstrap (Efron, 1979). Within each group whole images are drawn,
    not masks, since the masks of one image succeed and fail together.

    Args:
        groups: for each group its values ``(N,)`` and the image ``(N,)`` of each value, as
            anything that can be compared. A group may be a set of the data.
        seed: of the drawing.
    """
    rng = np.random.default_rng(seed)
    filled = [group for group in groups if np.size(group[0])]
    if not filled:
        return Mean(np.nan, np.nan, np.nan)
    value = float(np.mean([np.mean(np.asarray(values, np.float64)) for values, _ in filled]))
    draws = np.mean([resampled_means(*group, rng) for group in filled], axis=0)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Mean(value, float(low), float(high))


def resampled_means(
    values: ArrayLike, images: ArrayLike, rng: np.random.Generator, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Means ``(resamples,)`` of the values of as many randomly drawn images as there are."""
    _, index = np.unique(np.asarray(images), return_inverse=True)
    sums = np.bincount(index, np.asarray(values, np.float64))
    counts = np.bincount(index)
    drawn = rng.integers(len(counts), size=(resamples, len(counts)))
    means: NDArray[np.float64] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means
