"""Polygons and masks as the network takes them: where they lie, and how answers snap to them."""

from itertools import pairwise

import numpy as np
import pytest

from segwidget.inference.derived import MAX_LOGIT, Derived, coverage, derive
from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import MaskPrompt, Polygon
from segwidget.inference.rle import Rle

SIDE = 64
FRAMES = {
    "wide": Frame(300, 200, 256, SIDE),
    "tall": Frame(120, 310, 256, SIDE, two_steps=False),
    "squashed": Frame(300, 100, 256, SIDE, two_steps=False, squash=True),
    "small": Frame(40, 30, 256, SIDE, two_steps=False),
}


@pytest.fixture(params=FRAMES, ids=str)
def frame(request):
    return FRAMES[request.param]


def disc(frame, x, y, radius):
    rows, columns = np.mgrid[: frame.height, : frame.width] + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def shown(logits, frame):
    """A mask ``(H, W)`` of low-resolution logits, as an answer would be."""
    import torch

    return (frame.upsample(torch.from_numpy(np.array(logits))[None])[0] > 0).numpy()


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_mask_comes_back_from_its_logits(frame):
    mask = disc(frame, 0.4 * frame.width, 0.6 * frame.height, 0.3 * min(frame.width, frame.height))
    derived = derive(MaskPrompt.of(mask), frame)
    assert derived.logits.shape == (SIDE, SIDE)
    assert derived.logits.dtype == np.float32
    assert np.abs(derived.logits).max() <= MAX_LOGIT
    assert iou(shown(derived.logits, frame), mask) > 0.95
    assert (derived.box.x0, derived.box.y0, derived.box.x1, derived.box.y1) == Rle.encode(mask).box


def test_a_polygon_comes_back_from_its_logits(frame):
    w, h = frame.width, frame.height
    polygon = Polygon(
        [(0.2 * w, 0.2 * h), (0.8 * w, 0.2 * h), (0.8 * w, 0.7 * h), (0.2 * w, 0.7 * h)]
    )
    expected = np.zeros((h, w), bool)
    expected[round(0.2 * h) : round(0.7 * h), round(0.2 * w) : round(0.8 * w)] = True
    assert iou(shown(derive(polygon, frame).logits, frame), expected) > 0.93


def test_distances_are_those_to_the_outline():
    frame = FRAMES["wide"]
    polygon = Polygon([(60, 40), (240, 40), (240, 160), (60, 160)])
    distance = derive(polygon, frame).distance
    sx, sy = frame.logits_scale
    for x, y, expected in [(150, 100, 60), (70, 100, 10), (40, 100, -20), (30, 0, -50)]:
        column, row = round(x * sx - 0.5), round(y * sy - 0.5)
        moved_x, moved_y = (column + 0.5) / sx, (row + 0.5) / sy
        slack = abs(moved_x - x) + abs(moved_y - y) + 1e-3
        assert abs(distance[row, column] - expected) <= slack


def test_points_lie_deep_inside(frame):
    mask = disc(frame, 0.5 * frame.width, 0.5 * frame.height, 0.4 * min(frame.width, frame.height))
    (point,) = derive(MaskPrompt.of(mask), frame).points
    assert abs(point.x - 0.5 * frame.width) < 3 / frame.logits_scale[0]
    assert abs(point.y - 0.5 * frame.height) < 3 / frame.logits_scale[1]


def test_a_long_thing_has_several_points_apart():
    frame = FRAMES["wide"]
    mask = np.zeros((200, 300), bool)
    mask[90:110, 20:280] = True
    points = derive(MaskPrompt.of(mask), frame).points
    assert len(points) == 3
    assert all(mask[int(p.y), int(p.x)] and p.label == 1 for p in points)
    xs = sorted(p.x for p in points)
    assert min(b - a for a, b in pairwise(xs)) > 15


@pytest.mark.parametrize("at", [(0, 0), (299, 199), (150, 60)])
def test_one_pixel_has_a_point_and_shows(at):
    frame, mask = FRAMES["wide"], np.zeros((200, 300), bool)
    mask[at[1], at[0]] = True
    derived = derive(MaskPrompt.of(mask), frame)
    assert [(p.x, p.y) for p in derived.points] == [(at[0] + 0.5, at[1] + 0.5)]
    assert derived.logits.max() > 0


def test_a_thin_polygon_has_a_point_inside_and_shows():
    frame = Frame(4000, 3000, 256, SIDE)
    derived = derive(Polygon([(1000, 1001), (1500, 1003), (1500, 1004), (1000, 1002)]), frame)
    (point,) = derived.points
    assert 1000 < point.x < 1500
    assert 1001 < point.y < 1004
    assert derived.logits.max() > 0


def test_a_crossing_outline_is_filled_as_a_canvas_fills_it():
    frame = FRAMES["wide"]
    star = [(150 + 80 * np.sin(a), 100 - 80 * np.cos(a)) for a in np.arange(5) * 4 * np.pi / 5]
    middle = derive(Polygon(star), frame).distance[int(100 * 0.2133), int(150 * 0.2133)]
    assert middle > 0  # the nonzero rule; by the even-odd rule it would be a hole


def test_all_of_an_image():
    frame = FRAMES["tall"]
    mask = np.ones((310, 120), bool)
    derived = derive(MaskPrompt.of(mask), frame)
    assert shown(derived.logits, frame).mean() > 0.97


@pytest.mark.parametrize("tolerance", [0, 4, 15])
def test_an_answer_stays_within_the_tolerance(frame, tolerance):
    w, h = frame.width, frame.height
    polygon = Polygon(
        [(0.3 * w, 0.3 * h), (0.7 * w, 0.25 * h), (0.75 * w, 0.7 * h), (0.3 * w, 0.75 * h)],
        tolerance,
    )
    derived = derive(polygon, frame)
    fine = derive(polygon, Frame(w, h, 4 * max(w, h), 4 * max(w, h), two_steps=False)).distance
    step = fine.shape[0] / max(w, h)
    at = ((np.arange(max(w, h)) + 0.5) * step).astype(int)
    distance = fine[at[:h]][:, at[:w]]  # of the image's pixels
    cell = 0.5 / min(frame.logits_scale)  # corners are rounder between the samples
    for wild in (
        np.full((4, SIDE, SIDE), 30, np.float32),
        np.full((4, SIDE, SIDE), -30, np.float32),
    ):
        mask = shown(derived.clamped(wild)[0], frame)
        assert not mask[distance < -tolerance - cell].any()
        assert mask[distance > tolerance + cell].all()


def test_an_answer_within_the_tolerance_is_left_alone():
    derived = derive(Polygon([(60, 40), (240, 40), (240, 160), (60, 160)], 30), FRAMES["wide"])
    answer = (derived.distance * derived.slope)[None] + 0.5
    close = np.abs(derived.distance) < 20
    assert np.array_equal(derived.clamped(answer)[0][close], answer[0][close])


def test_a_masks_answer_is_not_clamped():
    derived = derive(MaskPrompt.of(disc(FRAMES["wide"], 100, 100, 30)), FRAMES["wide"])
    wild = np.full((1, SIDE, SIDE), 30, np.float32)
    assert derived.clamped(wild) is wild


def test_coverage_is_a_share(frame):
    mask = disc(frame, 0.5 * frame.width, 0.5 * frame.height, 0.3 * frame.width)
    covered = coverage(Rle.encode(mask), frame)
    sx, sy = frame.logits_scale
    assert covered.min() == 0
    assert covered.max() <= 1
    assert covered.sum() / (sx * sy) == pytest.approx(mask.sum(), rel=1e-3)


def test_the_same_shape_has_the_same_answer(frame):
    polygon = Polygon([(2, 2), (frame.width / 2, 3), (10, frame.height / 2)])
    first = derive(polygon, frame)
    derive.cache_clear()
    again = derive(Polygon(polygon.points, polygon.tolerance), frame)
    assert isinstance(again, Derived)
    assert (first.box, first.points) == (again.box, again.points)
    assert np.array_equal(first.logits, again.logits)
