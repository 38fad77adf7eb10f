"""The baselines of the benchmarks answer on pictures that are made for them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from segwidget.evaluation.metrics import iou
from segwidget.inference.prompts import Box, Point

pytest.importorskip("cv2")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))
baselines = pytest.importorskip("baselines")
sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def scene():
    """An orange disk on blue, with a little noise, and its mask."""
    rows, columns = np.mgrid[:90, :120] + 0.5
    mask = (columns - 50) ** 2 + (rows - 45) ** 2 < 25**2
    pixels = np.where(mask[..., None], [220, 130, 30], [40, 70, 160])
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8), mask


@pytest.mark.parametrize("baseline", [baselines.RandomWalker, baselines.Flood, baselines.GrabCut])
def test_an_easy_thing_is_found(baseline, scene):
    pixels, mask = scene
    b = baseline()
    b.set_image(pixels)
    clicked, boxed = b.click([Point(50, 45)])[0], b.box(Box(25, 20, 75, 70))[0]
    assert boxed.mask.shape == clicked.mask.shape == mask.shape
    assert iou(boxed.mask, mask) > 0.9
    assert iou(clicked.mask, mask) > (0.5 if baseline is baselines.GrabCut else 0.9)
    assert clicked.predicted_iou is None


@pytest.mark.parametrize("baseline", baselines.all_baselines(), ids=lambda b: b.name)
def test_background_clicks_take_away(baseline, scene):
    pixels, _ = scene
    baseline.set_image(pixels)
    mask = baseline.click([Point(50, 45), Point(100, 80, 0)])[0].mask
    assert mask[45, 50]
    assert not mask[80, 100]


@pytest.mark.parametrize("baseline", baselines.all_baselines(), ids=lambda b: b.name)
@pytest.mark.parametrize("box", [Box(0, 0, 9, 6), Box(0, 0, 1, 1), Box(8.2, 5.2, 9, 6)])
def test_tiny_images_and_boxes(baseline, box):
    baseline.set_image(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))
    assert baseline.box(box)[0].mask.shape == (6, 9)
    assert baseline.click([Point(9, 6), Point(0, 0, 0)])[0].mask.shape == (6, 9)


def test_filled_box():
    shapes = baselines.Shapes()
    shapes.set_image(np.zeros((20, 30, 3), np.uint8))
    expected = np.zeros((20, 30), bool)
    expected[3:9, 4:11] = True
    assert np.array_equal(shapes.box(Box(4, 3, 11, 9))[0].mask, expected)
    disk = shapes.click([Point(15, 10)])[0].mask
    assert disk.sum() == pytest.approx(np.pi * 9, rel=0.15)
