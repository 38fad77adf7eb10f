"""Metrics against values computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, gaussian_filter

from segwidget.errors import AnnotationError
from segwidget.evaluation.metrics import (
    Mean,
    boundary_band,
    boundary_iou,
    calibration,
    iou,
    mean_with_interval,
    number_of_clicks,
    oracle_iou,
    reliability,
    resampled_means,
)


def mask(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def test_iou():
    assert iou(mask("##.", "##."), mask(".##", ".##")) == 2 / 6
    assert iou(mask("##"), mask("##")) == 1
    assert iou(mask("#."), mask(".#")) == 0
    assert iou(mask(".."), mask(".#")) == 0
    assert iou(mask(".."), mask("..")) == 1


def test_oracle_takes_the_best():
    target = mask("###.")
    assert oracle_iou([mask("#..."), mask("##.."), mask("...#")], target) == 2 / 3
    assert oracle_iou([mask("####")], target) == 3 / 4


def test_calibration():
    found = calibration([0.95, 0.85, 0.25], [0.75, 0.95, 0.25])
    assert found.error == pytest.approx((0.2 + 0.1 + 0) / 3)
    assert found.bias == pytest.approx((0.2 - 0.1 + 0) / 3)
    assert found.ece == pytest.approx(0.1)  # three bins of one pair each
    assert found.pairs == 3


def test_errors_within_a_bin_cancel_in_ece_only():
    found = calibration([0.85, 0.85, 1.0], [0.75, 0.95, 1.0])
    assert found.error == pytest.approx(0.2 / 3)
    assert found.ece == pytest.approx(0)


def test_calibration_of_nothing():
    found = calibration([], [])
    assert found.pairs == 0
    assert np.isnan([found.error, found.bias, found.ece]).all()


def test_mean_of_one_group_is_over_values():
    found = mean_with_interval([([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"])])
    assert found.value == 0.75
    assert found.low == 0  # both draws were image a
    assert found.high == 1


def test_mean_of_groups_counts_each_alike():
    groups = [([1.0], ["x"]), ([0.0, 0.5, 0.25, 0.25], list("abcd"))]
    found = mean_with_interval(groups)
    assert found.value == (1 + 0.25) / 2
    assert found.low < found.value < found.high
    assert found == mean_with_interval(groups)
    assert found != mean_with_interval(groups, seed=1)


def test_interval_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(0.6, 0.2, 400)
    found = mean_with_interval([(values, np.arange(400))])
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_masks_of_one_image_widen_the_interval():
    values = np.repeat([0.2, 0.4, 0.6, 0.8], 25)
    alone = mean_with_interval([(values, np.arange(100))])
    together = mean_with_interval([(values, np.repeat(list("abcd"), 25))])
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_empty_groups_do_not_count():
    assert mean_with_interval([([], []), ([0.5], ["a"])]) == Mean(0.5, 0.5, 0.5)
    assert np.isnan(mean_with_interval([]).value)


def test_resampled_means_weigh_masks():
    draws = resampled_means([0, 1, 1], ["a", "b", "b"], np.random.default_rng(0), 500)
    assert draws.shape == (500,)
    assert {round(float(d), 4) for d in draws} == {0, 0.6667, 1}


def test_number_of_clicks():
    assert number_of_clicks([0.5, 0.85, 0.9], 0.85) == 2
    assert number_of_clicks([0.5, 0.85, 0.9], 0.9) == 3
    assert number_of_clicks([0.95, 0.2], 0.9) == 1
    assert number_of_clicks([0.5] * 20, 0.85) == 20
    assert number_of_clicks([0.5] * 25 + [1.0], 0.85) == 20
    assert number_of_clicks([0.5], 0.85, most=5) == 5


def square(side, x0, y0, x1, y1):
    found = np.zeros((side, side), bool)
    found[y0:y1, x0:x1] = True
    return found


def test_boundary_iou_of_shifted_squares():
    # 2 % of the diagonal of 100 pixels is 2.8, so rims of 3 pixels: 40² − 34² = 444 of each.
    a, b = square(100, 20, 20, 60, 60), square(100, 30, 20, 70, 60)
    both = rim_by_hand(a, 3) & rim_by_hand(b, 3)
    assert rim_by_hand(a, 3).sum() == 444
    assert boundary_iou(a, b) == pytest.approx(both.sum() / (888 - both.sum()))
    assert boundary_iou(a, b) < iou(a, b)
    assert boundary_iou(a, a) == 1


def rim_by_hand(mask, distance):
    """As the authors' code: erosion by a 3 × 3 square, again and again, outside counting as 0."""
    inner = mask
    for _ in range(distance):
        inner = binary_erosion(inner, np.ones((3, 3)))
    return mask & ~inner


def test_boundary_iou_against_repeated_erosion():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = (gaussian_filter(rng.random((60, 90)), 4) > 0.5 for _ in range(2))
        rims = [rim_by_hand(mask, 2) for mask in (a, b)]
        assert boundary_iou(a, b) == pytest.approx(iou(*rims))


@given(st.integers(0, 2**32 - 1))
def test_bands_of_any_width_against_repeated_erosion(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(tuple(rng.integers(1, 40, 2))) < 1 - 0.1 * rng.random() ** 4
    share = 0.25 * rng.random()
    distance = max(1, round(share * np.hypot(*mask.shape)))
    assert np.array_equal(boundary_band(mask, share), rim_by_hand(mask, distance))


def test_the_edge_of_the_image_is_a_boundary():
    whole = np.ones((100, 100), bool)
    assert boundary_iou(whole, square(100, 3, 3, 97, 97)) == 0
    assert boundary_iou(whole, whole) == 1


def test_small_masks_have_no_inside():
    a, b = square(100, 10, 10, 14, 14), square(100, 10, 10, 14, 12)
    assert boundary_iou(a, b) == iou(a, b) == 0.5


def test_boundary_iou_of_nothing():
    nothing = np.zeros((5, 5), bool)
    assert boundary_iou(nothing, nothing) == 1
    assert boundary_iou(nothing, ~nothing) == 0
    with pytest.raises(AnnotationError, match=r"\(5, 5\).*\(5, 4\)"):
        boundary_iou(nothing, nothing[:, 1:])


def test_reliability():
    predicted, actual = [0.05, 0.07, 0.95, 1.0, -0.1], [0.1, 0.3, 0.5, 0.7, 0.2]
    low, high = reliability(predicted, actual)
    assert low == pytest.approx((0.02 / 3, 0.2, 3))
    assert high == pytest.approx((0.975, 0.6, 2))
    weighed = sum(b.pairs * abs(b.predicted - b.actual) for b in (low, high)) / 5
    assert calibration(predicted, actual).ece == pytest.approx(weighed)
    assert reliability([], []) == []
