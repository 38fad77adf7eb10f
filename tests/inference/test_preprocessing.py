"""How images of every shape lie in the network's square, and how masks come back."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import Box, Point

SIZES = [
    (1, 7),
    (7, 1),
    (1, 1),
    (1, 5000),
    (1023, 767),
    (3000, 500),
    (512, 512),
    (640, 480),
    (97, 511),
]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("input_size", [512, 1024])
def test_the_long_side_becomes_the_input_size(width, height, input_size):
    frame = Frame(width, height, input_size, 256)
    w, h = frame.resized
    assert max(w, h) == input_size
    assert min(w, h) >= 1
    scale = input_size / max(width, height)
    assert abs(w - width * scale) <= max(0.5, 1 - width * scale)
    assert abs(h - height * scale) <= max(0.5, 1 - height * scale)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_seen_logits_cover_the_image(width, height):
    frame = Frame(width, height, 512, 256)
    rows, columns = frame.logits_shape
    sx, sy = frame.logits_scale
    assert 1 <= rows <= 256
    assert 1 <= columns <= 256
    assert columns - 1 < width * sx <= columns + 1e-9
    assert rows - 1 < height * sy <= rows + 1e-9


def test_published_sizes():
    """`ResizeLongestSide.get_preprocess_shape` of segment-anything rounds half up."""
    assert Frame(1200, 800, 1024, 256).resized == (1024, 683)
    assert Frame(1023, 767, 1024, 256).resized == (1024, 768)
    assert Frame(2048, 1025, 1024, 256).resized == (1024, 513)  # 512.5


@pytest.mark.parametrize(("width", "height"), [(1, 7), (7, 1), (103, 77), (300, 50)])
def test_resize(width, height):
    frame = Frame(width, height, 128, 64)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    resized = frame.resize(pixels)
    w, h = frame.resized
    assert resized.shape == (1, 3, h, w)
    assert resized.dtype == torch.uint8
    assert resized.float().mean() == pytest.approx(pixels.mean(), rel=0.2)


def test_an_image_of_the_input_size_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    resized = Frame(128, 64, 128, 32).resize(pixels)
    assert np.array_equal(resized[0].permute(1, 2, 0).numpy(), pixels)


def test_points_are_scaled_about_the_image_corner():
    frame = Frame(256, 128, 512, 256)
    coords, labels = frame.to_input((Point(0, 0), Point(0.5, 0.5, 0), Point(256, 128)))
    # The network counts pixel centers at integers: the image's corner is at -0.5.
    assert coords[0, :3].tolist() == [[-0.5, -0.5], [0.5, 0.5], [511.5, 255.5]]
    assert labels.tolist() == [[1, 0, 1, -1]]


def test_the_center_of_a_pixel_stays_a_center_at_scale_one():
    coords, _ = Frame(512, 512, 512, 256).to_input((Point(10.5, 20.5),))
    assert coords[0, 0].tolist() == [10, 20]


def test_rounding_of_a_narrow_image_scales_both_axes_apart():
    frame = Frame(1000, 3, 512, 256)  # 1.536 rows become 2
    coords, _ = frame.to_input((Point(1000, 3),))
    assert coords[0, 0].tolist() == [511.5, 1.5]


def test_boxes_are_two_corners_behind_the_points():
    frame = Frame(512, 512, 512, 256)
    coords, labels = frame.to_input((Box(10, 20, 30, 40), Point(15.5, 25.5, 0)))
    assert labels.tolist() == [[0, 2, 3]]
    assert coords.tolist() == [[[15, 25], [9.5, 19.5], [29.5, 39.5]]]


def test_a_box_alone_has_no_padding_point():
    _, labels = Frame(512, 512, 512, 256).to_input((Box(10, 20, 30, 40),))
    assert labels.tolist() == [[2, 3]]


@pytest.mark.parametrize(("width", "height"), [(1, 9), (9, 1), (103, 77), (300, 50), (128, 128)])
def test_upsampling_is_the_published_two_steps(width, height):
    frame = Frame(width, height, 128, 64)
    logits = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    # Sam.postprocess_masks of segment-anything.
    big = F.interpolate(logits[None], (128, 128), mode="bilinear", align_corners=False)
    w, h = frame.resized
    expected = F.interpolate(
        big[..., :h, :w], (height, width), mode="bilinear", align_corners=False
    )
    found = frame.upsample(logits)
    assert found.shape == (3, height, width)
    torch.testing.assert_close(found, expected[0])


def test_a_mask_comes_back_where_it_was():
    """Logits drawn by `logits_scale` are the mask at the image's size, to within half a cell."""
    frame = Frame(301, 170, 512, 256)
    sx, sy = frame.logits_scale
    x, y = (np.arange(256) + 0.5) / sx, (np.arange(256) + 0.5)[:, None] / sy
    inside = np.minimum(np.minimum(x - 60, 200 - x), np.minimum(y - 30, 120 - y))
    mask = (frame.upsample(torch.from_numpy(inside.astype(np.float32))[None]) > 0)[0].numpy()
    expected = np.zeros((170, 301), bool)
    expected[30:120, 60:200] = True
    assert (mask & expected).sum() / (mask | expected).sum() > 0.99


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_straight_enlargement_samples_where_the_page_does(width, height):
    frame = Frame(width, height, 512, 256, two_steps=False)
    logits = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(0))
    full = frame.upsample(logits)
    assert full.shape == (2, height, width)
    rows, columns = frame.logits_shape
    seen = logits[:, :rows, :columns]
    sx, sy = frame.logits_scale
    for x, y in {(0, 0), (width - 1, height - 1), (width // 3, height // 2)}:
        u = min(max((x + 0.5) * sx - 0.5, 0), columns - 1)
        v = min(max((y + 0.5) * sy - 0.5, 0), rows - 1)
        u0, v0 = int(u), int(v)
        u1, v1 = min(u0 + 1, columns - 1), min(v0 + 1, rows - 1)
        fu, fv = u - u0, v - v0
        top = seen[:, v0, u0] * (1 - fu) + seen[:, v0, u1] * fu
        bottom = seen[:, v1, u0] * (1 - fu) + seen[:, v1, u1] * fu
        expected = top * (1 - fv) + bottom * fv
        assert torch.allclose(full[:, y, x], expected, atol=1e-4)
