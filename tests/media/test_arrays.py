"""Every array that a person may hold becomes 8-bit RGB, or a sentence."""

import numpy as np
import pytest
import torch

from segwidget.errors import ImageError
from segwidget.media.arrays import array_to_rgb, tensor_to_rgb, to_levels


def test_uint8_rgb_is_unchanged_and_copied():
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    rgb = array_to_rgb(array)
    np.testing.assert_array_equal(rgb, array)
    assert not np.shares_memory(rgb, array)
    assert rgb.flags.c_contiguous


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1)])
def test_grey_fills_three_channels(shape):
    array = np.arange(24, dtype=np.uint8).reshape(shape)
    rgb = array_to_rgb(array)
    assert rgb.shape == (4, 6, 3)
    for channel in range(3):
        np.testing.assert_array_equal(rgb[:, :, channel], array.reshape(4, 6))


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([False, True]), [0, 255]),
        (np.array([0.0, 0.5, 1.0]), [0, 128, 255]),
        (np.array([0.0, 0.5, 1.0], np.float16), [0, 128, 255]),
        (np.array([-0.005, 1.005]), [0, 255]),  # resampling overshoots
        (np.array([0.0, 100.4, 255.0]), [0, 100, 255]),
        (np.array([0, 7, 200], np.int64), [0, 7, 200]),
        (np.array([0, 7, 200], np.uint16), [0, 7, 200]),
        (np.array([0, 65535], np.uint16), [0, 255]),
        (np.array([1000, 1500, 2000], np.uint16), [0, 128, 255]),
        (np.array([-1024, 0, 1024], np.int16), [0, 128, 255]),  # computed tomography
        (np.array([-2.0, 0.0, 2.0]), [0, 128, 255]),  # normalized
        (np.array([2**30, 2**30 + 1, 2**30 + 2], np.int32), [0, 128, 255]),
        (np.array([-1.7e308, 0.0, 1.7e308]), [0, 128, 255]),
        (np.array([0.0, np.nan, 1.0]), [0, 0, 255]),
        (np.array([-np.inf, 0.5, np.inf, 1.0]), [0, 128, 255, 255]),
        (np.array([300.0, 300.0]), [0, 0]),
    ],
)
def test_scaling_rule(values, levels):
    scaled = to_levels(values)
    assert scaled.dtype == np.uint8
    # Half-way values round to even, so one level of slack.
    np.testing.assert_allclose(scaled.astype(int), levels, atol=1)
    assert scaled[0] == levels[0]
    assert scaled[-1] == levels[-1]


@pytest.mark.parametrize(
    ("dtype", "opaque"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)]
)
def test_transparency_is_composited_over_white(dtype, opaque):
    array = np.zeros((1, 3, 4), dtype)
    array[0, 0, 3] = opaque
    array[0, 1, 3] = opaque / 2
    rgb = array_to_rgb(array)
    assert rgb[0, 0].tolist() == [0, 0, 0]
    assert int(rgb[0, 1, 0]) == pytest.approx(127, abs=1)
    assert rgb[0, 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 40, 60)), "channels first"),
        (np.zeros((40, 60, 5)), "not one image"),
        (np.zeros((2, 40, 60, 3)), "batch"),
        (np.zeros(7), "not one image"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        (np.zeros((0, 5)), "no pixels"),
        (np.full((2, 2), np.nan), "no finite number"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.full((2, 2), "a"), "not an image"),
        (np.full((2, 2), None), "object"),
    ],
)
def test_impossible_arrays_are_refused(array, words):
    with pytest.raises(ImageError, match=words):
        array_to_rgb(array)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tensors_in_either_order_agree(channels):
    pixels = np.random.default_rng(1).integers(0, 256, (9, 8, channels), dtype=np.uint8)
    expected = array_to_rgb(pixels)
    last = torch.from_numpy(pixels)
    np.testing.assert_array_equal(tensor_to_rgb(last), expected)
    np.testing.assert_array_equal(tensor_to_rgb(last.permute(2, 0, 1)), expected)


def test_torch_order_wins_where_both_fit():
    tensor = torch.zeros(3, 5, 3)
    assert tensor_to_rgb(tensor).shape == (5, 3, 3)


def test_tensors_that_numpy_cannot_take_directly():
    tensor = torch.full((2, 3), 0.5, requires_grad=True)
    assert tensor_to_rgb(tensor).tolist() == [[[128] * 3] * 3] * 2
    assert tensor_to_rgb(torch.ones(2, 3, dtype=torch.bfloat16)).min() == 255


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(1, 3, 4, 4), r"tensor\[0\]"),
        (torch.zeros(5, 40, 60), "not one image"),
        (torch.zeros(3, 0, 4), "no pixels"),
        (torch.zeros(3, 4, 4, device="meta"), "meta"),
        (torch.zeros(3, 4, 4, dtype=torch.complex64), "complex"),
    ],
)
def test_impossible_tensors_are_refused(tensor, words):
    with pytest.raises(ImageError, match=words):
        tensor_to_rgb(tensor)
