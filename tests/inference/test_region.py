"""Regions: what is embedded on its own, and prompts and masks across its edges."""

import numpy as np
import pytest

from segwidget.errors import PromptError
from segwidget.inference.dialogue import Dialogue
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, MaskPrompt, Point, Polygon
from segwidget.inference.region import Region
from segwidget.inference.rle import Rle
from segwidget.media.image import open_image

REGION = Region((30, 20, 70, 55), (60, 90))
OUTLINE = Polygon([(35, 25), (60, 27), (50, 50)], 3)
DOTS = np.zeros((60, 90), bool)
DOTS[30:45, 40:60] = True


@pytest.fixture
def near(model, cache, picture):
    predictor = Predictor(model)
    predictor.set_image(picture, REGION)
    return predictor


@pytest.fixture
def cut(model, cache, picture):
    """A predictor of the same pixels as an image of its own."""
    predictor = Predictor(model)
    predictor.set_image(np.ascontiguousarray(picture[20:55, 30:70]))
    return predictor


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((30.2, 20.9, 69.1, 54.01), (30, 20, 70, 55)),
        (Box(30.2, 20.9, 69.1, 54.01), (30, 20, 70, 55)),
        ((-50, 10, 40, 900), (0, 10, 40, 60)),
        ((40, 30, 41, 31), (33, 23, 49, 39)),
        ((0, 0, 1, 1), (0, 0, 16, 16)),
        ((89, 59, 90, 60), (74, 44, 90, 60)),
    ],
)
def test_regions_are_rounded_outward_and_not_too_small(box, expected):
    region = Region.around(box, 90, 60)
    assert region.box == expected
    assert region.image_size == (60, 90)


def test_the_whole_image_is_no_region():
    assert Region.around((-5, 0, 90, 60), 90, 60) is None
    assert Region.around((2, 1, 3, 2), 9, 12) is None  # at least 16 pixels
    assert Region.around((2, 1, 3, 2), 9, 100).box == (0, 0, 9, 16)


@pytest.mark.parametrize(
    "box", [(1, 2, 3), (90, 0, 99, 9), (5, 5, 1, 1), ("a", 1, 2, 3), (1, 1, float("nan"), 9)]
)
def test_impossible_regions(box):
    with pytest.raises(PromptError):
        Region.around(box, 90, 60)


@pytest.mark.parametrize(
    ("prompt", "inside"),
    [
        (Point(40, 30), Point(10, 10)),
        (Box(35, 25, 60, 50), Box(5, 5, 30, 30)),
        (OUTLINE, Polygon([(5, 5), (30, 7), (20, 30)], 3)),
        (MaskPrompt.of(DOTS), MaskPrompt.of(DOTS[20:55, 30:70])),
    ],
    ids=["point", "box", "polygon", "mask"],
)
def test_prompts_are_asked_in_the_region(near, cut, prompt, inside):
    found, expected = near.predict(prompt), cut.predict(inside)
    assert np.array_equal(found.low_res_logits, expected.low_res_logits)
    assert found.masks.shape == (4, 60, 90)
    assert np.array_equal(found.masks[:, 20:55, 30:70], expected.masks)
    around = np.ones((60, 90), bool)
    around[20:55, 30:70] = False
    assert not (found.masks & around).any()
    assert np.array_equal(found.mask(1), found.masks[1])
    assert found.rle(1) == Rle.encode(found.masks[1])
    assert found.rle(1, 0.5) == Rle.encode(found.mask(1, 0.5))
    assert np.array_equal(found.area, expected.area)
    full = expected.box[:, 2] > 0
    assert np.array_equal(found.box[full], expected.box[full] + [30, 20, 30, 20])
    assert found.region == near.region == REGION
    assert found.image_size == (60, 90)


@pytest.mark.parametrize(
    "prompt",
    [
        Point(20, 30),
        Box(25, 25, 60, 50),
        Polygon([(35, 25), (60, 27), (50, 58)]),
        MaskPrompt.of(np.roll(DOTS, 30, axis=1)),
    ],
    ids=["point", "box", "polygon", "mask"],
)
def test_prompts_outside_are_refused(near, prompt):
    with pytest.raises(PromptError, match=r"outside the region.*leave_region"):
        near.predict(prompt)
    assert not REGION.contains([Point(40, 30), prompt])
    assert REGION.contains([Point(40, 30), Point(70, 55), OUTLINE])


def test_what_is_derived_is_in_pixels_of_the_image(near):
    derived = near.predict(OUTLINE).derived
    assert derived.box == OUTLINE.box
    assert all(35 < p.x < 60 and 25 < p.y < 50 for p in derived.points)


def test_refining_asks_with_the_persons_points_only(near):
    dialogue = Dialogue(near)
    first = dialogue.answer([OUTLINE])
    again = near.question([OUTLINE, Point(45, 40, 0)], first.low_res_logits[0])
    assert again.prompts[1:] == (Point(15, 20, 0),)
    assert isinstance(again.prompts[0], Box)
    assert not again.ambiguous
    refined = dialogue.answer([OUTLINE, Point(45, 40, 0)])
    assert refined.derived.points == ()
    assert refined.derived.box == OUTLINE.box


def test_the_region_is_embedded_as_an_image_of_its_own(near, cache, picture):
    assert len(cache) == 1
    near.set_image(picture)
    assert near.region is None
    near.set_image(picture, REGION)  # found again
    assert len(cache) == 2
    near.reset_image(forget=True)
    assert near.region is None
    assert len(cache) == 1


def test_cutting():
    image = open_image(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8), name="a")
    part = REGION.cut(image)
    assert np.array_equal(part.pixels, image.pixels[20:55, 30:70])
    assert part.name == "a"
