"""What masks take: shapes whose corners and strokes anybody can count."""

import numpy as np
import pytest

from segwidget.annotation.polygons import ring_area
from segwidget.errors import AnnotationError
from segwidget.evaluation import effort
from segwidget.evaluation.by_hand import MOST_STROKES, _fitted, fewest_strokes, fewest_vertices
from segwidget.evaluation.effort import Effort, clicks_until, saving, to_markdown
from segwidget.inference.prompts import Box, Point

SIDE = 100
X, Y = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[round(y0) : round(y1), round(x0) : round(x1)] = True
    return mask


def disk(radius, x=50, y=50):
    return (X - x) ** 2 + (Y - y) ** 2 < radius**2


RECTANGLE = rectangle(20, 35, 80, 65)
DISK = disk(40)
TRIANGLE = (Y > 10) & (Y < 90) & (abs(X - 50) < (Y - 10) / 2)
L_SHAPE = rectangle(10, 10, 30, 90) | rectangle(10, 70, 90, 90)


# By hand.


@pytest.mark.parametrize(
    ("mask", "threshold", "corners"),
    [
        (RECTANGLE, 0.85, 4),
        (RECTANGLE, 1.0, 4),
        (TRIANGLE, 0.9, 3),
        (L_SHAPE, 0.97, 6),
        (rectangle(5, 5, 25, 95) | rectangle(75, 5, 95, 95), 0.9, 8),  # two islands
        (rectangle(10, 10, 90, 90) & ~rectangle(30, 30, 70, 70), 0.9, 8),  # one hole
    ],
)
def test_corners_that_anybody_can_count(mask, threshold, corners):
    assert fewest_vertices(mask, threshold) == corners


def test_a_speck_beside_a_thing_is_left_out_until_it_counts():
    speck = RECTANGLE | rectangle(90, 90, 93, 93)
    assert fewest_vertices(speck, 0.99) == 4
    assert fewest_vertices(speck, 1.0) == 8


def test_round_things_take_more_corners_the_closer():
    counts = [fewest_vertices(DISK, t) for t in (0.8, 0.9, 0.97, 0.99)]
    assert counts == sorted(counts)
    assert counts[0] in (3, 4)
    assert 6 <= counts[1] <= 8  # a regular hexagon of the disk's area has IoU 0.91
    # A coarser picture of it takes as many.
    assert abs(fewest_vertices(DISK[::2, ::2], 0.9) - counts[1]) <= 2


def test_where_the_mask_lies_changes_nothing():
    shifted = np.pad(L_SHAPE, ((70, 3), (0, 40)))
    assert fewest_vertices(shifted, 0.9) == fewest_vertices(L_SHAPE, 0.9)
    assert fewest_strokes(shifted, 0.9) == fewest_strokes(L_SHAPE, 0.9)


def test_moved_edges_have_the_area():
    ring = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    grown = _fitted(ring, 120.0)
    assert ring_area(grown) == pytest.approx(120, rel=0.01)
    assert np.allclose(grown.mean(axis=0), 5)
    hole = _fitted(ring[::-1], -80.0)
    assert ring_area(hole) == pytest.approx(-80, rel=0.02)
    assert np.array_equal(_fitted(ring, 100.0), ring)


def test_strokes():
    assert fewest_strokes(DISK, 0.9) == 1
    assert fewest_strokes(RECTANGLE, 0.85) == 1  # dragged along its middle
    assert fewest_strokes(disk(15, 20, 20) | disk(15, 80, 80), 0.9) == 2
    assert fewest_strokes(DISK & ~disk(25), 0.9) == 1  # around the hole
    assert fewest_strokes(RECTANGLE, 0.99) > fewest_strokes(RECTANGLE, 0.85)
    checks = (X.astype(int) % 4 == 0) & (Y.astype(int) % 4 == 0)  # 625 specks
    assert fewest_strokes(checks, 0.9) == MOST_STROKES
    assert fewest_strokes(rectangle(3, 3, 4, 4), 1.0) == 1


def test_one_pixel_and_everything():
    assert fewest_vertices(rectangle(3, 3, 4, 4), 1.0) == 4
    assert fewest_vertices(np.ones((SIDE, SIDE), bool), 1.0) == 4


@pytest.mark.parametrize("count", [fewest_vertices, fewest_strokes])
def test_what_cannot_be_drawn(count):
    with pytest.raises(AnnotationError, match="empty"):
        count(np.zeros((5, 5), bool), 0.9)
    for threshold in (0.0, 1.5, float("nan")):
        with pytest.raises(AnnotationError, match="IoU"):
            count(RECTANGLE, threshold)


# With a model.


class Answers:
    """Answers each question with the next of some masks."""

    def __init__(self, *masks):
        self.masks, self.asked = list(masks), []

    def predict(self, prompts, *, refine=True):
        self.asked.append((tuple(prompts), refine))
        mask = self.masks.pop(0) if len(self.masks) > 1 else self.masks[0]
        return [type("Candidate", (), {"mask": mask})]


def partly(share):
    """The rectangle's left part, with so much of its area as IoU."""
    return rectangle(20, 35, 20 + 60 * share, 65)


def test_clicks_until_each_threshold():
    model = Answers(partly(0.5), partly(0.87), partly(0.86), partly(0.95))
    assert clicks_until(model, RECTANGLE, (0.85, 0.9)) == [2, 4]
    (first,), refine = model.asked[0]
    assert first.label == 1
    assert RECTANGLE[int(first.y), int(first.x)]
    assert refine  # nothing was asked before, so nothing is refined
    assert [len(prompts) for prompts, _ in model.asked] == [1, 2, 3, 4]


def test_a_box_that_is_enough_and_one_that_is_not():
    box = Box(20, 35, 80, 65)
    assert clicks_until(Answers(RECTANGLE), RECTANGLE, (0.85, 0.9), box) == [0, 0]
    model = Answers(partly(0.5), partly(0.88), partly(0.95))
    assert clicks_until(model, RECTANGLE, (0.85, 0.9), box) == [1, 2]
    assert model.asked[0] == ((box,), False)  # the clicks before it are another story
    assert model.asked[1][0][0] == box
    assert isinstance(model.asked[1][0][1], Point)


def test_twenty_clicks_are_the_end():
    model = Answers(partly(0.5))
    assert clicks_until(model, RECTANGLE, (0.85, 0.9)) == [None, None]
    assert len(model.asked) == 20


# Counted.


def one(clicks=2, after_box=0, vertices=10, strokes=4, image="a", name="s", threshold=0.85):
    return Effort(name, image, 0, 0.1, threshold, clicks, after_box, vertices, strokes)


def test_actions_and_seconds():
    found = one()
    assert [found.actions(way) for way in effort.WAYS] == [2, 2, 10, 4]
    assert found.seconds("clicks") == pytest.approx(4.8)
    assert found.seconds("box") == pytest.approx(7)
    assert found.seconds("polygon") == pytest.approx(2.4 + 9 * 0.9)
    assert np.isnan(found.seconds("brush"))
    lost = one(clicks=None, after_box=None)
    assert [lost.actions(way) for way in effort.WAYS] == [30, 32, 10, 4]
    assert lost.seconds("clicks") == pytest.approx(20 * 2.4 + 2.4 + 9 * 0.9)
    assert [lost.reached(way) for way in effort.WAYS] == [False, False, True, True]


def test_patience_ends_before_twenty_clicks():
    slow = one(clicks=6, after_box=3)
    assert slow.actions("clicks", patience=6) == 6
    assert slow.actions("clicks", patience=5) == 5 + 10
    assert slow.actions("box", patience=3) == 2 + 3
    assert slow.actions("box", patience=0) == 2 + 10
    assert slow.seconds("clicks", patience=5, polygon=79.2) == pytest.approx(5 * 2.4 + 79.2)
    assert slow.seconds("polygon", polygon=79.2) == 79.2
    assert [slow.reached("clicks", n) for n in (5, 6)] == [False, True]
    assert one(after_box=0).reached("box", 0)


def test_what_is_saved_is_the_ratio_of_means():
    group = [one(clicks=1, vertices=20), one(clicks=3, vertices=20, image="b")]
    ratio = saving([group], effort.actions_by("clicks"), effort.actions_by("polygon"))
    assert ratio.value == 10
    assert (ratio.low, ratio.high) == pytest.approx((20 / 3, 20))
    both = saving(
        [group, [one(clicks=4, vertices=4)]], *map(effort.actions_by, ("clicks", "polygon"))
    )
    assert both.value == 4  # (20 + 4) / 2 over (2 + 4) / 2


def test_the_table():
    efforts = [one(), one(name="t", clicks=None, image="b"), one(threshold=0.9, clicks=7)]
    lines = to_markdown(efforts, 0.85).splitlines()
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {12}
    assert lines[2].startswith("| **mean of sets** | 2 | 16.0 (16.0–16.0) |")
    assert lines[2].endswith("| 50% |")
    assert lines[3].startswith("| s | 1 | 2.0 ")
    assert "7.0" in to_markdown(efforts, 0.9).splitlines()[3]
