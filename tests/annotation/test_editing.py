"""Painting, tidying and combining masks: each against the plain way to do it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segwidget.annotation.editing import MAX_POINTS, brushed, combined, painted, tidied, without
from segwidget.errors import AnnotationError
from segwidget.inference.rle import Rle

SIZE = H, W = 40, 60
masks = arrays.arrays(bool, (9, 11))


def rle_of(box):
    mask = np.zeros(SIZE, bool)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = True
    return Rle.encode(mask)


def distance_to_way(points):
    """Of each pixel's center, ``(H, W)``."""
    ys, xs = np.mgrid[:H, :W] + 0.5
    pieces = list(pairwise(points)) or [(points[0], points[0])]
    least = np.full(SIZE, np.inf)
    for (ax, ay), (bx, by) in pieces:
        length = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-12)
        t = np.clip(((xs - ax) * (bx - ax) + (ys - ay) * (by - ay)) / length, 0, 1)
        least = np.minimum(least, np.hypot(xs - ax - t * (bx - ax), ys - ay - t * (by - ay)))
    return least


places = st.tuples(st.floats(-15, 75), st.floats(-15, 55))


@settings(deadline=None)
@given(st.lists(places, min_size=1, max_size=6), st.floats(0.6, 25))
def test_a_stroke_is_all_that_is_near(points, radius):
    stroke, (x, y) = brushed(points, radius, SIZE)
    mask = np.zeros(SIZE, bool)
    mask[y : y + stroke.shape[0], x : x + stroke.shape[1]] = stroke
    distance = distance_to_way(points)
    hair = radius / 16  # places that close to each other are one
    assert mask[distance < radius - hair].all()
    assert not mask[distance > radius + 1e-6].any()


def test_a_stroke_is_added_and_erased():
    rle, way = rle_of((10, 10, 30, 30)), [(5, 5), (35, 20)]
    near = distance_to_way(way) <= 4
    assert np.array_equal(painted(rle, way, 4, True).decode(), rle.decode() | near)
    assert np.array_equal(painted(rle, way, 4, False).decode(), rle.decode() & ~near)


def test_painting_on_nothing_and_outside():
    empty = Rle.encode(np.zeros(SIZE, bool))
    assert painted(empty, [(10, 10)], 3, True).area > 20
    assert painted(empty, [(10, 10)], 3, False) == empty
    square = rle_of((10, 10, 20, 20))
    assert painted(square, [(-50, -50)], 3, True) == square
    assert painted(square, [(200, 10)], 3, False) is square


@pytest.mark.parametrize(
    ("points", "radius", "words"),
    [
        ([], 3, "no pairs"),
        (np.zeros((0, 2)), 3, "0 points"),
        ("points", 3, "no pairs"),
        (None, 3, "no pairs"),
        ([(1, 2, 3)], 3, "no pairs"),
        ([(1, 2), (3,)], 3, "no pairs"),
        ([(1, float("nan"))], 3, "no pairs"),
        ([(1, float("inf"))], 3, "no pairs"),
        ([(1, 1)] * (MAX_POINTS + 1), 3, "10001 points"),
        ([(0, 0), (60, 40)] * 200, 3, "back and forth"),
        ([(1, 1)], 0, "radius"),
        ([(1, 1)], -1, "radius"),
        ([(1, 1)], 61, "radius"),
        ([(1, 1)], float("nan"), "finite"),
        ([(1, 1)], "3", "finite"),
    ],
)
def test_impossible_strokes(points, radius, words):
    with pytest.raises(AnnotationError, match=words):
        painted(rle_of((1, 1, 5, 5)), points, radius, True)


def test_a_stroke_on_a_huge_mask_looks_at_its_surroundings_only():
    huge = Rle.encode_box(np.ones((30, 30), bool), (29_000, 29_000), (30_000, 30_000))
    done = painted(huge, [(29_015, 29_015), (29_040, 29_015)], 5, True)
    assert done.area > huge.area
    assert without(done, [huge]).area == done.area - huge.area


def test_small_holes_are_filled_and_small_islands_dropped():
    mask = np.zeros(SIZE, bool)
    mask[5:25, 5:25] = True
    mask[8:10, 8:10] = False  # 4 pixels
    mask[15:18, 15:18] = False  # 9
    mask[30:32, 30:32] = True  # 4
    mask[30:33, 40:43] = True  # 9
    mask[34, 0] = True
    rle = Rle.encode(mask)
    assert tidied(rle) == rle
    assert tidied(rle, holes=3, islands=1) == rle
    filled = tidied(rle, holes=4).decode()
    assert filled[8, 8]
    assert not filled[15, 15]
    assert tidied(rle, holes=9).decode()[5:25, 5:25].all()
    left = tidied(rle, islands=5).decode()
    assert not left[30, 30]
    assert left[30, 40]
    assert not left[34, 0]
    assert tidied(rle, islands=10**9).area == 400 - 4 - 9  # the largest stays


def test_what_is_open_to_the_edge_is_no_hole():
    mask = np.ones((9, 9), bool)
    mask[0:3, 4] = False
    mask[5, 5] = False
    mask[8, 8] = False  # meets the outside only at the image's corner
    assert np.array_equal(
        np.argwhere(~tidied(Rle.encode(mask), holes=99).decode()), [[0, 4], [1, 4], [2, 4], [8, 8]]
    )


def test_a_hole_does_not_leak_through_a_corner():
    mask = np.ones((5, 5), bool)
    mask[1, 1] = mask[0, 0] = False
    assert tidied(Rle.encode(mask), holes=1).decode()[1, 1]


@pytest.mark.parametrize(("holes", "islands"), [(-1, 0), (0, -1), (1.5, 0), ("3", 0), (None, 0)])
def test_impossible_sizes(holes, islands):
    with pytest.raises(AnnotationError):
        tidied(rle_of((1, 1, 5, 5)), holes, islands)


@given(masks, masks)
def test_masks_are_combined(a, b):
    one, other = Rle.encode(a), Rle.encode(b)
    assert np.array_equal(combined(one, other, "add").decode(), a | b)
    assert np.array_equal(combined(one, other, "subtract").decode(), a & ~b)
    assert np.array_equal(combined(one, other, "intersect").decode(), a & b)
    assert np.array_equal(without(one, [other, other]).decode(), a & ~b)


def test_impossible_combinations():
    with pytest.raises(AnnotationError, match="add, subtract, intersect"):
        combined(rle_of((1, 1, 5, 5)), rle_of((1, 1, 5, 5)), "xor")
    with pytest.raises(AnnotationError, match="of size"):
        combined(rle_of((1, 1, 5, 5)), Rle.encode(np.ones((2, 2), bool)), "add")


def test_what_is_apart_stays_the_same():
    square = rle_of((1, 1, 5, 5))
    assert without(square, [rle_of((5, 1, 9, 5)), rle_of((30, 30, 40, 40))]) is square
    assert without(square, []) is square
