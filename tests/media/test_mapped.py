"""Files of pixels that are mapped into memory are used in place."""

import numpy as np
import pytest

from segwidget.errors import ImageError
from segwidget.media import image as image_module
from segwidget.media.image import MAX_MAPPED_PIXELS, MAX_PIXELS, Image, open_image


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pixels.raw"
    np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8).tofile(path)
    return path


def mapped(file, mode="r", shape=(30, 40, 3), dtype=np.uint8):
    return np.memmap(file, dtype, mode, shape=shape)


def test_nothing_is_copied(file):
    pixels = mapped(file)
    image = open_image(pixels, name="slide")
    assert np.shares_memory(image.pixels, pixels)
    assert (image.width, image.height, image.name) == (40, 30, "slide")
    assert image.sha256 == open_image(np.array(pixels)).sha256
    assert image == Image(np.array(pixels), "slide")
    assert open_image(image) is image


def test_a_numpy_file_and_a_band_of_rows(file, tmp_path):
    np.save(tmp_path / "pixels.npy", np.array(mapped(file)))
    pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert np.shares_memory(open_image(pixels).pixels, pixels)
    band = open_image(pixels[5:20])
    assert np.shares_memory(band.pixels, pixels)
    np.testing.assert_array_equal(band.pixels, pixels[5:20])


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_what_may_be_written_is_copied(file, mode):
    pixels = mapped(file, mode)
    image = open_image(pixels)
    assert not np.shares_memory(image.pixels, pixels)
    before = image.pixels.copy()
    pixels[:] = 0
    np.testing.assert_array_equal(image.pixels, before)
    pixels.flags.writeable = False  # others may still have it
    assert not np.shares_memory(open_image(pixels).pixels, pixels)


def test_what_is_not_pixels_in_order_is_copied(file):
    pixels = mapped(file)
    for other in (
        pixels[:, 3:20],
        pixels[:, :, 0],
        mapped(file, shape=(30, 60, 2), dtype="u1")[:, :, 0],
    ):
        assert not np.shares_memory(open_image(other).pixels, pixels)


def test_limits(file, monkeypatch):
    assert MAX_PIXELS < 20_000**2 <= MAX_MAPPED_PIXELS
    monkeypatch.setattr(image_module, "MAX_PIXELS", 1000)
    pixels = mapped(file)
    assert open_image(pixels).width == 40
    with pytest.raises(ImageError, match=r"np\.memmap"):
        open_image(np.array(pixels))
    with pytest.raises(ImageError, match="at most 1,199"):
        open_image(pixels, max_pixels=1199)
    monkeypatch.setattr(image_module, "MAX_MAPPED_PIXELS", 1100)
    with pytest.raises(ImageError, match="at most 1,100"):
        open_image(pixels)


def test_an_opened_image_has_been_judged(file, monkeypatch):
    image = open_image(mapped(file))
    monkeypatch.setattr(image_module, "MAX_PIXELS", 1000)
    assert open_image(image) is image
    with pytest.raises(ImageError):
        open_image(image, max_pixels=1000)
