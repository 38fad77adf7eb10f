"""Between an image's pixels and the input's, as in segment-anything."""

import numpy as np
import pytest
import torch

from segwidget.compat.utils.transforms import ResizeLongestSide, ResizeToSquare
from segwidget.errors import ImageError
from segwidget.inference.preprocessing import MEDSAM
from tests.reference import make_picture, segment_anything

SIZES = [(1, 700), (700, 1), (767, 1023), (500, 3000), (1024, 1024), (3, 5)]


@pytest.fixture
def both():
    published = segment_anything().utils.transforms.ResizeLongestSide
    return ResizeLongestSide(1024), published(1024)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_images_and_places(both, height, width):
    ours, theirs = both
    shape = ours.get_preprocess_shape(height, width, 1024)
    assert shape == theirs.get_preprocess_shape(height, width, 1024)
    picture = make_picture(width, height)
    assert np.array_equal(ours.apply_image(picture), theirs.apply_image(picture))

    rng = np.random.default_rng(0)
    coords, boxes = rng.integers(0, 99, (2, 3, 2)), rng.uniform(0, 99, (5, 4))
    kept = coords.copy(), boxes.copy()
    size = (height, width)
    pairs = [
        (ours.apply_coords(coords, size), theirs.apply_coords(coords, size)),
        (ours.apply_boxes(boxes, size), theirs.apply_boxes(boxes, size)),
        (ours.apply_boxes(boxes[0], size), theirs.apply_boxes(boxes[0], size)),
    ]
    for found, expected in pairs:
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert np.array_equal(coords, kept[0])
    assert np.array_equal(boxes, kept[1])
    for found, expected in (
        (
            ours.apply_coords_torch(torch.as_tensor(coords), size),
            theirs.apply_coords_torch(torch.as_tensor(coords), size),
        ),
        (
            ours.apply_boxes_torch(torch.as_tensor(boxes), size),
            theirs.apply_boxes_torch(torch.as_tensor(boxes), size),
        ),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=0)


def test_a_batch_of_tensors(both):
    # The package's method reads the sizes of the batch and the channels for those of the image.
    batch = torch.as_tensor(make_picture(400, 300)).permute(2, 0, 1).float().expand(2, -1, -1, -1)
    scaled = both[0].apply_image_torch(batch)
    assert scaled.shape == (2, 3, 768, 1024)
    exact = torch.as_tensor(both[0].apply_image(make_picture(400, 300))).permute(2, 0, 1)
    assert (scaled[0] - exact).abs().max() < 1


def test_a_line_keeps_a_pixel():
    assert ResizeLongestSide.get_preprocess_shape(1, 5000, 1024) == (1, 1024)
    assert ResizeLongestSide(64).apply_image(make_picture(5000, 1)).shape == (1, 64, 3)


def test_a_square_takes_any_image():
    square, picture = ResizeToSquare(64), make_picture(90, 30)
    assert np.array_equal(square.apply_image(picture), MEDSAM.resize(picture, 64))
    box = square.apply_boxes(np.array([9, 3, 45, 30]), (30, 90))
    np.testing.assert_allclose(box, [[6.4, 6.4, 32, 64]])
    coords = square.apply_coords_torch(torch.tensor([[90, 30]]), (30, 90))
    torch.testing.assert_close(coords, torch.tensor([[64.0, 64.0]]))
    assert square.apply_image_torch(torch.zeros(1, 3, 30, 90)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5, 3)),
        "picture.png",
        None,
    ],
)
def test_what_is_no_image(image):
    with pytest.raises(ImageError, match=r"expected uint8 \(H, W, 3\).*open_image"):
        ResizeLongestSide(64).apply_image(image)
