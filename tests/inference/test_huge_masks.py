"""Masks of huge images are those of others, made around the mask alone."""

import numpy as np
import pytest

from segwidget.inference import candidates as candidates_module
from segwidget.inference.candidates import Candidates
from segwidget.inference.huge_masks import mask_in_box
from segwidget.inference.preprocessing import COMPACT, SAM, SAM2
from segwidget.inference.rle import Rle


def blob(x, y, radius, side=64):
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    wave = 2 * np.sin(columns / 3) * np.cos(rows / 4)
    return (radius + wave - np.hypot(columns - x, rows - y)).astype(np.float32)


LOGITS = np.stack([blob(30, 20, 9), blob(2, 40, 14), blob(0, 0, 200), blob(0, 0, -50)])


def answer(preprocessing, width, height):
    frame = preprocessing.frame(width, height, 128, 64)
    return Candidates(LOGITS, np.ones(4, np.float32), frame)


@pytest.mark.parametrize("preprocessing", [SAM, COMPACT, SAM2])
@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_the_same_masks(preprocessing, threshold, monkeypatch):
    plain = answer(preprocessing, 301, 207)
    expected = [plain.mask(i, threshold) for i in range(4)]
    assert [e.any() for e in expected] == [True, True, True, False]
    monkeypatch.setattr(candidates_module, "HUGE", 1000)
    huge = answer(preprocessing, 301, 207)
    for i, mask in enumerate(expected):
        assert np.count_nonzero(huge.mask(i, threshold) != mask) <= 2  # by rounding
        assert huge.rle(i, threshold) == Rle.encode(huge.mask(i, threshold))
    assert huge.masks.shape == (4, 207, 301)


def test_only_the_box_is_made():
    """Of 400 million pixels, some thousand."""
    huge = answer(COMPACT, 20_000, 20_000)
    part, (x, y) = mask_in_box(huge.frame, LOGITS[0])
    assert part.size < 0.2 * 20_000**2
    rle = huge.rle(0)
    assert rle.size == (20_000, 20_000)
    assert rle.area == part.sum()
    x0, y0, x1, y1 = rle.box
    assert x <= x0 < x1 <= x + part.shape[1]
    assert y <= y0 < y1 <= y + part.shape[0]
    scale = 20_000 / 64
    assert abs((x0 + x1) / 2 / scale - 30) < 2
    assert abs((y0 + y1) / 2 / scale - 20) < 2
    assert huge.rle(3).area == 0
