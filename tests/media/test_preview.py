"""A preview is small, and shows the image."""

import io

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.errors import ImageError
from segwidget.media.image import Image


def decode(data):
    with PILImage.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB")), picture.get_format_mimetype()


def noise(height, width):
    return Image(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 30) * 99 + 120, np.cos(y / 40) * 99 + 120, x * 0 + 60], axis=2)
    return Image(waves.astype(np.uint8))


def test_a_small_image_arrives_unchanged():
    image = noise(30, 50)
    data, mime, size = image.to_preview()
    found, kind = decode(data)
    assert mime == kind == "image/png"
    assert size == (50, 30)
    np.testing.assert_array_equal(found, image.pixels)


def test_a_large_image_is_shrunk():
    data, mime, size = smooth(600, 3000).to_preview(max_side=1000)
    found, kind = decode(data)
    assert mime == kind
    assert size == (1000, 200)
    assert found.shape == (200, 1000, 3)


def test_a_busy_image_becomes_jpeg_within_the_limit():
    image = noise(700, 900)
    data, mime, size = image.to_preview(max_bytes=400_000)
    assert mime == "image/jpeg"
    assert size == (900, 700)
    assert len(data) <= 400_000
    assert decode(data)[0].shape == (700, 900, 3)


def test_where_no_quality_fits_the_picture_shrinks():
    data, _, size = noise(400, 800).to_preview(max_bytes=9_000)
    assert len(data) <= 9_000
    assert size[0] < 800
    assert size[0] / size[1] == pytest.approx(2, rel=0.05)


def test_colors_survive_jpeg():
    image = smooth(900, 1200)
    data, mime, _ = image.to_preview(max_bytes=60_000)
    assert mime == "image/jpeg"
    difference = np.abs(decode(data)[0].astype(int) - image.pixels)
    assert difference.mean() < 4


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (5000, 1), (1, 1), (3, 4999)])
def test_any_aspect_ratio(height, width):
    data, _, size = smooth(height, width).to_preview(max_side=1000)
    assert max(size) == min(1000, max(height, width))
    assert min(size) >= 1
    assert decode(data)[0].shape == (size[1], size[0], 3)


def test_impossible_limits_are_refused():
    image = noise(10, 10)
    with pytest.raises(ImageError, match="max_side is 0"):
        image.to_preview(max_side=0)
    with pytest.raises(ImageError, match="max_bytes=10"):
        image.to_preview(max_bytes=10)
