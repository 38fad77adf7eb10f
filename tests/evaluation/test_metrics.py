"""Metrics against values computed by hand."""

import numpy as np
import pytest

from segwidget.evaluation.metrics import (
    Mean,
    calibration,
    iou,
    mean_with_interval,
    oracle_iou,
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
