"""Huge images become small as others do, without being copied."""

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.inference.preprocessing import COMPACT, MEDSAM, SAM, SAM2
from segwidget.media import shrink
from segwidget.media.image import Image

BILINEAR = PILImage.Resampling.BILINEAR


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 90) * 99 + 120, np.cos(y / 120) * 99 + 120, 200 * (x > width // 3)]
    return np.stack(waves, axis=2).astype(np.uint8)


@pytest.mark.parametrize(("across", "down"), [(1, 1), (3, 2), (7, 7), (1000, 5)])
def test_blocks_are_averaged_as_pillow_does(monkeypatch, across, down):
    monkeypatch.setattr(shrink, "_STRIP_PIXELS", 700)
    pixels = np.random.default_rng(0).integers(0, 256, (61, 103, 3), np.uint8)
    expected = PILImage.fromarray(pixels).reduce((across, down))
    np.testing.assert_array_equal(shrink.reduced(pixels, across, down), np.asarray(expected))


def test_other_images_are_resized_exactly_as_before():
    pixels = smooth(300, 5000)
    expected = PILImage.fromarray(pixels).resize((512, 31), BILINEAR)
    np.testing.assert_array_equal(shrink.resized(pixels, (512, 31), BILINEAR), expected)


@pytest.mark.parametrize("shape", [(1201, 1603), (97, 3001), (3001, 1)])
def test_huge_images_become_nearly_the_same(monkeypatch, shape):
    pixels = smooth(*shape)
    size = (max(1, shape[1] // 25), max(1, shape[0] // 25))
    whole = PILImage.fromarray(pixels).resize(size, BILINEAR)
    monkeypatch.setattr(shrink, "HUGE", 1000)
    assert shrink.shrink_factors(pixels, size, 3) != (1, 1)
    difference = np.abs(np.asarray(shrink.resized(pixels, size, BILINEAR), int) - whole)
    assert difference.max() <= 12  # along the one edge
    assert difference.mean() < 0.6


@pytest.mark.parametrize("preprocessing", [SAM, COMPACT, SAM2, MEDSAM])
def test_the_input_of_every_model(monkeypatch, preprocessing):
    pixels = smooth(901, 1202)
    frame = preprocessing.frame(1202, 901, 64, 16)
    whole = preprocessing.to_input(pixels, frame)
    for place in ("media.shrink.HUGE", "inference.preprocessing.HUGE"):
        monkeypatch.setattr(f"segwidget.{place}", 1000)
    small = preprocessing.to_input(pixels, frame)
    assert small.shape == whole.shape
    assert small.dtype == whole.dtype
    span = float(whole.max() - whole.min())
    assert (small.float() - whole.float()).abs().mean() < 0.02 * span


def test_the_preview(monkeypatch):
    image = Image(smooth(900, 1300))
    plain = image.to_preview(max_side=200)
    monkeypatch.setattr(shrink, "HUGE", 1000)
    data, mime, size = image.to_preview(max_side=200)
    assert (mime, size) == plain[1:]
    assert size == (200, 138)
    assert data != plain[0]
