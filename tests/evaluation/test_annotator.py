"""The simulated annotator on shapes whose answers are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segwidget.errors import AnnotationError
from segwidget.evaluation.annotator import (
    deepest,
    first_click,
    jittered_box,
    next_click,
    tight_box,
)
from segwidget.inference.prompts import Box, Point


def disk(height, width, x, y, radius):
    """Pixels whose centers lie within the circle."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def rectangle(height, width, x0, y0, x1, y1):
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_first_click_is_the_center_of_a_disk():
    assert first_click(disk(60, 90, 50.5, 30.5, 20)) == Point(50.5, 30.5, 1)


def test_first_click_lies_in_the_band_of_a_ring():
    ring = disk(80, 80, 40.5, 40.5, 30) & ~disk(80, 80, 40.5, 40.5, 14)
    click = first_click(ring)
    distance = np.hypot(click.x - 40.5, click.y - 40.5)
    assert distance == pytest.approx(22, abs=1.5)
    assert ring[int(click.y), int(click.x)]


def test_first_click_prefers_the_deeper_of_two_blobs_to_the_larger():
    long_and_thin = rectangle(40, 100, 0, 30, 100, 37)  # 700 pixels, 4 deep
    compact = rectangle(40, 100, 60, 5, 71, 16)  # 121 pixels, 6 deep
    assert first_click(long_and_thin | compact) == Point(65.5, 10.5)


def test_the_edge_of_the_image_is_an_edge():
    # Without the padding the deepest point of a mask that fills the image would be a corner.
    assert first_click(np.ones((21, 31), bool)).y == 10.5
    assert first_click(rectangle(30, 30, 0, 0, 11, 11)) == Point(5.5, 5.5)


def test_a_single_pixel_is_clicked_in_its_middle():
    assert first_click(rectangle(4, 4, 3, 2, 4, 3)) == Point(3.5, 2.5)


def test_the_first_in_reading_order_wins_a_tie():
    assert first_click(rectangle(10, 10, 2, 3, 6, 7)) == Point(3.5, 4.5)


def test_correction_adds_what_is_missing():
    target = rectangle(50, 50, 0, 0, 40, 21)
    answer = rectangle(50, 50, 0, 0, 20, 21)
    click = next_click(target, answer)
    assert click.label == 1
    assert click.x in (29.5, 30.5)
    assert 9 < click.y < 12


def test_correction_removes_what_is_too_much():
    target = rectangle(50, 50, 0, 0, 20, 20)
    answer = target | rectangle(50, 50, 25, 25, 46, 46)
    assert next_click(target, answer) == Point(35.5, 35.5, 0)


def test_correction_goes_where_the_error_is_deeper():
    target = rectangle(60, 60, 0, 0, 30, 30)
    small, large = rectangle(60, 60, 2, 2, 7, 7), rectangle(60, 60, 40, 40, 55, 55)
    assert next_click(target, (target & ~small) | large).label == 0
    target, answer = target | large, target | small  # now the larger error is a lack
    assert next_click(target, answer) == Point(47.5, 47.5, 1)


def test_errors_of_equal_depth_are_removed_first():
    target = rectangle(20, 20, 2, 2, 7, 7)
    answer = rectangle(20, 20, 10, 10, 15, 15)
    assert next_click(target, answer) == Point(12.5, 12.5, 0)


def test_no_pixel_is_clicked_twice():
    target = disk(40, 40, 20.5, 20.5, 10)
    nothing = np.zeros_like(target)
    first = next_click(target, nothing)
    second = next_click(target, nothing, [first])
    assert second != first
    assert np.hypot(second.x - first.x, second.y - first.y) < 2
    pixel = rectangle(4, 4, 1, 1, 2, 2)
    assert next_click(pixel, np.zeros_like(pixel), [Point(1.5, 1.5)]) is None


def test_a_perfect_answer_ends_the_clicks():
    target = disk(40, 40, 20, 20, 10)
    assert next_click(target, target.copy()) is None


@given(st.integers(0, 2**32 - 1))
def test_clicks_lie_in_the_error_with_its_label(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, 2))
    target, answer = rng.random((2, *shape)) < rng.random((2, 1, 1))
    click = next_click(target, answer)
    if click is None:
        assert np.array_equal(target, answer)
    else:
        y, x = int(click.y), int(click.x)
        assert (click.x, click.y) == (x + 0.5, y + 0.5)
        assert target[y, x] == (click.label == 1)
        assert answer[y, x] == (click.label == 0)


@given(st.integers(0, 2**32 - 1))
def test_depth_is_the_distance_to_the_nearest_pixel_outside(seed):
    rng = np.random.default_rng(seed)
    region = rng.random(tuple(rng.integers(1, 9, 2))) < 0.8
    outside = np.argwhere(~np.pad(region, 1)) - 1
    inside = np.argwhere(region)
    expected = [np.hypot(*(outside - p).T).min() for p in inside]
    depth, where = deepest(region)
    assert depth == pytest.approx(max(expected, default=0))
    if len(inside):
        assert where == tuple(inside[int(np.argmax(expected))])


def test_tight_box_spans_the_outer_edges():
    assert tight_box(rectangle(20, 30, 4, 5, 11, 9)) == Box(4, 5, 11, 9)
    assert tight_box(np.ones((3, 7), bool)) == Box(0, 0, 7, 3)


def test_noise_of_boxes_is_a_tenth_of_the_side(rng):
    mask = rectangle(400, 400, 150, 100, 250, 140)  # sides 100 and 40
    boxes = [jittered_box(mask, rng) for _ in range(2000)]
    noise = np.array([(b.x0 - 150, b.y0 - 100, b.x1 - 250, b.y1 - 140) for b in boxes])
    assert noise.std(axis=0) == pytest.approx([10, 4, 10, 4], rel=0.08)
    assert np.abs(noise.mean(axis=0)).max() < 0.8
    assert np.abs(noise).max() <= 20


def test_noise_of_boxes_never_exceeds_twenty_pixels(rng):
    mask = rectangle(1000, 1000, 100, 100, 900, 900)
    boxes = [jittered_box(mask, rng) for _ in range(200)]
    noise = np.array([b.x0 - 100 for b in boxes])
    assert np.abs(noise).max() == 20


def test_jittered_boxes_stay_in_the_image_and_upright(rng):
    speck, whole = rectangle(9, 9, 8, 8, 9, 9), np.ones((9, 9), bool)
    for mask in (speck, whole):
        for _ in range(300):
            box = jittered_box(mask, rng)
            assert 0 <= box.x0 < box.x1 <= 9
            assert 0 <= box.y0 < box.y1 <= 9


def test_the_same_seed_gives_the_same_box():
    mask = disk(50, 50, 20, 20, 12)
    a, b, c = (jittered_box(mask, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a == b != c


@pytest.mark.parametrize("ask", [first_click, tight_box])
def test_an_empty_ground_truth_is_refused(ask):
    with pytest.raises(AnnotationError, match="at least one pixel"):
        ask(np.zeros((5, 5), bool))


def test_masks_of_two_images_are_refused():
    with pytest.raises(AnnotationError, match=r"\(4, 5\).*\(5, 4\)"):
        next_click(np.ones((4, 5), bool), np.ones((5, 4), bool))
