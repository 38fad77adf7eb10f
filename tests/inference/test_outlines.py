"""Polygons and masks as prompts: what they accept, and JSON there and back."""

import json
import math

import numpy as np
import pytest

from segwidget.errors import PromptError
from segwidget.inference.dialogue import check_dialogue
from segwidget.inference.prompts import (
    MAX_CORNERS,
    Box,
    MaskPrompt,
    Point,
    Polygon,
    prompt_from_dict,
    prompt_to_dict,
    validate_prompts,
)
from segwidget.inference.rle import Rle

CORNERS = [(10, 10), (50, 12), (30, 40)]
POLYGON = Polygon(CORNERS, 4)
DOTS = np.zeros((60, 90), bool)
DOTS[20:30, 40:60] = True
MASK = MaskPrompt.of(DOTS)


@pytest.mark.parametrize(
    "points", [CORNERS, tuple(CORNERS), np.array(CORNERS), [[10, 10.0], (50, 12), [30, 40]]]
)
def test_corners_become_floats(points):
    polygon = Polygon(points)
    assert polygon.points == ((10.0, 10.0), (50.0, 12.0), (30.0, 40.0))
    assert polygon.box == Box(10, 10, 50, 40)
    assert hash(polygon) == hash(Polygon(CORNERS))


@pytest.mark.parametrize(
    ("points", "tolerance", "words"),
    [
        ([(1, 1), (2, 2)], 1, "encloses nothing"),
        ([(1, 1), (2, 2), (9, 9), (4, 4)], 1, "encloses nothing"),
        ([(1, 1)] * 8, 1, "encloses nothing"),
        ([(1, 1), (2, 2), (3, math.nan)], 1, "finite"),
        ([(1, 1), (2, 2), (3, "9")], 1, "finite"),
        ([(1, 1), (2, 2), (3, 9, 8)], 1, "pairs of numbers"),
        ([(1, 1), (2, 2), "ab"], 1, "pairs of numbers"),
        ([(1, 1), (2, 2), 7], 1, "pairs of numbers"),
        ("corners", 1, "pairs of numbers"),
        (None, 1, "pairs of numbers"),
        (CORNERS, -1, "0 pixels or more"),
        (CORNERS, math.inf, "finite"),
        (CORNERS, None, "finite"),
        ([(i, i * i) for i in range(MAX_CORNERS + 1)], 1, "at most 2000"),
    ],
)
def test_impossible_polygons(points, tolerance, words):
    with pytest.raises(PromptError, match=words):
        Polygon(points, tolerance)


def test_corners_are_moved_into_the_image():
    (polygon,) = validate_prompts(Polygon([(-20, 5), (200, 5), (40, 90)], 4), 90, 60)
    assert polygon == Polygon([(0, 5), (90, 5), (40, 60)], 4)
    assert validate_prompts(POLYGON, 90, 60)[0] is POLYGON
    with pytest.raises(PromptError, match="outside the image"):
        validate_prompts(Polygon([(200, 5), (300, 5), (240, 90)]), 90, 60)


def test_masks_are_of_the_images_size_and_not_empty():
    assert validate_prompts([MASK], 90, 60) == (MASK,)
    with pytest.raises(PromptError, match=r"90 × 60 pixels.*60 × 90"):
        validate_prompts([MASK], 60, 90)
    for empty in (np.zeros((60, 90), bool), Rle.encode(np.zeros((3, 3), bool))):
        with pytest.raises(PromptError, match="empty"):
            MaskPrompt.of(empty)
    with pytest.raises(PromptError, match="several values"):
        MaskPrompt.of(np.arange(6).reshape(2, 3))
    with pytest.raises(PromptError, match="expected an Rle"):
        MaskPrompt(DOTS)


@pytest.mark.parametrize("prompt", [POLYGON, MASK], ids=["polygon", "mask"])
def test_json_there_and_back(prompt):
    data = json.loads(json.dumps(prompt_to_dict(prompt), allow_nan=False))
    assert prompt_from_dict(data) == prompt
    assert validate_prompts([data], 90, 60) == (prompt,)


def test_json_as_a_page_sends_it():
    assert prompt_from_dict({"type": "polygon", "points": [[1, 2], [3, 4], [9, 2]]}).tolerance == 10
    rle = {"size": [60, 90], "counts": MASK.rle.counts}
    assert prompt_from_dict({"type": "mask", "rle": rle}) == MASK


@pytest.mark.parametrize(
    "data",
    [
        {"type": "polygon"},
        {"type": "polygon", "points": {"a": 1}, "tolerance": 1},
        {"type": "polygon", "points": CORNERS, "rle": 1},
        {"type": "mask"},
        {"type": "mask", "rle": None},
        {"type": "mask", "rle": {"size": [60, 90], "counts": "damaged ~~"}},
        {"type": "mask", "rle": {"size": [10**9, 10**9], "counts": "0"}},
        {"type": "mask", "rle": {"size": [60, 90], "counts": [5400]}},
    ],
)
def test_malformed_json_is_refused(data):
    with pytest.raises(PromptError):
        prompt_from_dict(data)


@pytest.mark.parametrize("first", [POLYGON, MASK], ids=["polygon", "mask"])
def test_an_outline_comes_first_and_alone(first):
    check_dialogue([first, Point(1, 1), Point(2, 2, 0)])
    for other in (POLYGON, MASK, Box(1, 1, 5, 5)):
        with pytest.raises(PromptError, match="several outlines"):
            check_dialogue([first, other])
        with pytest.raises(PromptError, match="several outlines"):
            check_dialogue([other, Point(1, 1), first])
    with pytest.raises(PromptError, match="expected it first"):
        check_dialogue([Point(1, 1), first])
