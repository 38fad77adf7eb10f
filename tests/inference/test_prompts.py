"""Prompts: small values that are possible, or a sentence that says what is wrong."""

import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segwidget.errors import PromptError
from segwidget.inference.prompts import (
    Box,
    Point,
    PointLabel,
    prompt_from_dict,
    prompt_to_dict,
    validate_prompts,
)

numbers = st.floats(-1e6, 1e6)
points = st.builds(Point, numbers, numbers, st.sampled_from([0, 1]))
boxes = st.tuples(numbers, numbers, numbers, numbers).filter(
    lambda edges: edges[0] < edges[2] and edges[1] < edges[3]
)


def test_a_point_includes_by_default():
    assert Point(3, 4) == Point(3.0, 4.0, 1)
    assert Point(3, 4).label == PointLabel.FOREGROUND
    assert Point(1, 2, PointLabel.BACKGROUND).label == 0


def test_prompts_are_frozen_and_hashable():
    with pytest.raises(FrozenInstanceError):
        Point(1, 2).x = 3
    assert len({Point(1, 2), Point(1.0, 2.0), Point(1, 2, 0), Box(0, 0, 1, 1)}) == 3


@pytest.mark.parametrize(
    "number", [3, 3.0, np.float32(3), np.float64(3), np.int64(3), np.array(3.0), torch.tensor(3.0)]
)
def test_any_real_number_becomes_a_float(number):
    point = Point(number, number)
    assert point == Point(3.0, 3.0)
    assert type(point.x) is float
    assert Box(0, 0, number, number).x1 == 3.0
    json.dumps(prompt_to_dict(point))


@pytest.mark.parametrize("label", [True, np.True_, np.int64(1), 1.0, np.uint8(1)])
def test_any_way_of_saying_one_is_a_label(label):
    assert Point(0, 0, label).label == 1
    assert type(Point(0, 0, label).label) is int


@pytest.mark.parametrize(
    "number",
    [math.nan, math.inf, -math.inf, "3", None, 1j, np.complex64(1), [1], np.ones(1), 10**400],
)
def test_what_is_no_finite_number_is_refused(number):
    with pytest.raises(PromptError, match="y of a point"):
        Point(0, number)
    with pytest.raises(PromptError, match="x1 of a box"):
        Box(0, 0, number, 1)


@pytest.mark.parametrize("label", [2, -1, 0.5, math.nan, "1", None])
def test_unknown_labels_are_refused(label):
    with pytest.raises(PromptError, match=r"label of a point.*expected 1 \(foreground"):
        Point(0, 0, label)


def test_inverted_and_empty_boxes_are_refused():
    with pytest.raises(PromptError, match="inverted: x0 is 9 and x1 is 3"):
        Box(9, 0, 3, 5)
    with pytest.raises(PromptError, match="inverted: y0 is 7"):
        Box(0, 7, 3, 5)
    with pytest.raises(PromptError, match=r"empty: y0 and y1 are both 5.*Point"):
        Box(0, 5, 3, 5)


@given(points)
def test_points_survive_json(point):
    assert prompt_from_dict(json.loads(json.dumps(prompt_to_dict(point)))) == point


@given(boxes)
def test_boxes_survive_json(edges):
    box = Box(*edges)
    assert prompt_from_dict(json.loads(json.dumps(prompt_to_dict(box)))) == box


def test_the_wire_form():
    assert prompt_to_dict(Point(1, 2, 0)) == {"type": "point", "x": 1.0, "y": 2.0, "label": 0}
    assert prompt_to_dict(Box(1, 2, 3, 4)) == {
        "type": "box", "x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0,
    }  # fmt: skip
    assert prompt_from_dict({"type": "point", "x": 1, "y": 2}) == Point(1, 2, 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"x": 1, "y": 2}, "type None"),
        ({"type": "lasso"}, "type 'lasso'"),
        ({"type": ["point"]}, "one of point, box, polygon, mask"),
        ({"type": "point", "x": 1}, "lacks y"),
        ({"type": "box", "x0": 1, "y0": 2}, "lacks x1, y1"),
        ({"type": "point", "x": 1, "y": 2, "lable": 0}, "has also lable"),
        ({"type": "point", "x": None, "y": 2}, "x of a point is None"),
        ("point", "expected Point"),
        (None, "expected Point"),
    ],
)  # fmt: skip
def test_impossible_dictionaries_are_refused(data, words):
    with pytest.raises(PromptError, match=words):
        prompt_from_dict(data)


def test_what_is_no_prompt_has_no_wire_form():
    with pytest.raises(PromptError, match=r"A prompt is a tuple, \(1, 2\)"):
        prompt_to_dict((1, 2))


def test_prompts_within_the_image_are_kept_in_order():
    prompts = [Point(0, 0), Box(0, 0, 100, 50), {"type": "point", "x": 100, "y": 50, "label": 0}]
    assert validate_prompts(prompts, 100, 50) == (*prompts[:2], Point(100, 50, 0))
    assert validate_prompts(iter(prompts[:1]), 100, 50) == (Point(0, 0),)


def test_a_single_prompt_is_a_list_of_one():
    assert validate_prompts(Point(1, 2), 10, 10) == (Point(1, 2),)
    assert validate_prompts({"type": "point", "x": 1, "y": 2}, 10, 10) == (Point(1, 2),)


@pytest.mark.parametrize(
    "point", [Point(-1, 5), Point(5, -1), Point(100.5, 5), Point(5, 50.5), Point(60, 90)]
)
def test_points_outside_are_refused(point):
    with pytest.raises(PromptError, match="outside the image of 100 × 50 pixels"):
        validate_prompts([Point(1, 1), point], 100, 50)


def test_boxes_outside_are_refused():
    with pytest.raises(PromptError, match="lies outside the image"):
        validate_prompts([Box(100, 0, 120, 10)], 100, 50)
    with pytest.raises(PromptError, match=r"reaches outside.*box\.clipped\(100, 50\)"):
        validate_prompts([Box(-3, 0, 20, 10)], 100, 50)


def test_clipping():
    assert Box(-3, -4, 200, 20).clipped(100, 50) == Box(0, 0, 100, 20)
    assert Box(1, 2, 3, 4).clipped(100, 50) == Box(1, 2, 3, 4)
    with pytest.raises(PromptError, match="outside"):
        Box(-9, 0, 0, 5).clipped(100, 50)


def test_rounding_errors_land_on_the_edge():
    assert validate_prompts([Point(100.0000001, -1e-9)], 100, 50) == (Point(100, 0),)
    assert validate_prompts([Box(-1e-7, 0, 5, 50.0001)], 100, 50) == (Box(0, 0, 5, 50),)


@pytest.mark.parametrize("nothing", [[], (), iter([])])
def test_no_prompt_at_all_is_refused(nothing):
    with pytest.raises(PromptError, match="no prompt"):
        validate_prompts(nothing, 100, 50)


@pytest.mark.parametrize("wrong", [None, 5, "point", [(3, 4)], [None], ["point"]])
def test_what_is_no_prompt_is_refused(wrong):
    with pytest.raises(PromptError, match="expected Point"):
        validate_prompts(wrong, 100, 50)
