"""The tiles of all levels show the image."""

import io

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.errors import ImageError
from segwidget.media.pyramid import MAX_LEVELS, TILE, cut_tile, encode_tile, levels_beyond


def decode(tile):
    with PILImage.open(io.BytesIO(tile.data)) as picture:
        assert picture.get_format_mimetype() == tile.mime
        return np.asarray(picture.convert("RGB"))


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    return np.repeat(rng.integers(0, 256, (1100, 130, 3), np.uint8), 10, axis=1)


@pytest.mark.parametrize(
    ("image", "preview", "levels"),
    [(800, 800, 0), (2049, 2048, 1), (4000, 2048, 1), (4000, 1536, 2), (20_000, 2048, 4)],
)
def test_levels_end_where_the_preview_is_as_fine(image, preview, levels):
    assert levels_beyond(image, preview) == levels
    if 0 < levels < MAX_LEVELS:
        assert image / 2**levels <= preview < image / 2 ** (levels - 1)


def test_level_0_is_the_image(pixels):
    np.testing.assert_array_equal(cut_tile(pixels, 0, 1, 0), pixels[:TILE, TILE : 2 * TILE])
    last = cut_tile(pixels, 0, 2, 2)
    np.testing.assert_array_equal(last, pixels[2 * TILE :, 2 * TILE :])
    assert last.flags.owndata


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_pixel_of_another_level_is_a_mean(pixels, level):
    side = 2**level
    columns, rows = -(-1300 // (TILE * side)), -(-1100 // (TILE * side))
    whole = np.vstack(
        [np.hstack([cut_tile(pixels, level, c, r) for c in range(columns)]) for r in range(rows)]
    )
    assert whole.shape[:2] == (-(-1100 // side), -(-1300 // side))
    h, w = 1100 // side, 1300 // side
    blocks = pixels[: h * side, : w * side].reshape(h, side, w, side, 3).mean(axis=(1, 3))
    assert np.abs(whole[:h, :w] - blocks).max() <= 0.51


@pytest.mark.parametrize(
    "place", [(-1, 0, 0), (MAX_LEVELS, 0, 0), (0, 3, 0), (0, 0, 3), (1, -1, 0)]
)
def test_there_is_no_such_tile(pixels, place):
    with pytest.raises(ImageError, match="There is no"):
        cut_tile(pixels, *place)


def test_flat_colors_arrive_unchanged_and_photographs_nearly():
    flat = np.zeros((TILE, TILE, 3), np.uint8)
    flat[100:200, 50:300] = (200, 60, 40)
    tile = encode_tile(flat)
    assert tile.mime == "image/png"
    np.testing.assert_array_equal(decode(tile), flat)
    y, x = np.mgrid[:TILE, :TILE]
    grain = np.random.default_rng(0).normal(0, 6, (TILE, TILE, 3))
    photo = np.clip(np.stack([x / 2, y / 2, 90 + 0 * x], axis=2) + grain, 0, 255).astype(np.uint8)
    tile = encode_tile(photo)
    assert tile.mime == "image/jpeg"
    assert np.abs(decode(tile).astype(int) - photo).mean() < 6
    assert len(tile.data) < 400_000
