"""What a mask is worth: IoU, the oracle's choice, calibration, means with their uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two ``(H, W)`` bool masks; two empty ones have 1."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def oracle_iou(candidates: Iterable[NDArray[np.bool_]], target: NDArray[np.bool_]) -> float:
    """The IoU of the best candidate, chosen by one who knows the ground truth.

    "Segment Anything" (section 7.1, "oracle") reports it beside that of the model's own choice,
    since a single click may mean several things.
    """
    return max(iou(mask, target) for mask in candidates)


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
    which = np.minimum((p * bins).astype(int), bins - 1)
    ece = np.abs(np.bincount(which, gap, bins)).sum() / p.size
    return Calibration(float(np.abs(gap).mean()), float(gap.mean()), float(ece), p.size)


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
