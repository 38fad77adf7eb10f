"""The whole way from an image and prompts to masks is that of the package segment-anything.

Resizing, padding, coordinates, decoding and enlarging, for images of awkward shapes. An image more
than 2,047 times as long as it is wide has no pixel left in the package's input, and none here.
"""

import numpy as np
import pytest
import torch

from segwidget.compat import SamPredictor
from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.predictor import Predictor, ranking
from segwidget.inference.prompts import Box, Point
from tests.reference import make_picture, segment_anything

SIZES = [(1, 700), (700, 1), (1023, 767), (3000, 500), (1500, 1000)]

# Points, labels and a box, in fractions of width and height.
POINT = np.array([[0.4, 0.6]]), np.array([1])
POINTS = np.array([[0.4, 0.6], [0.7, 0.2], [0.1, 0.9]]), np.array([1, 0, 1])
BOX = np.array([0.25, 0.3, 0.8, 0.75])
PROMPTS = {
    "point": {"points": POINT},
    "points": {"points": POINTS},
    "box": {"box": BOX},
    "box and points": {"points": POINTS, "box": BOX},
    "mask": {"mask": True},
    "mask and points": {"points": POINTS, "mask": True},
    "mask and box": {"box": BOX, "mask": True},
    "nothing": {},
}


def make_mask():
    noise = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return (8 * torch.nn.functional.interpolate(noise, (256, 256), mode="bilinear"))[0].numpy()


def make_prompts(kind, width, height):
    given, size = PROMPTS[kind], np.array([width, height])
    points, labels = given.get("points", (None, None))
    return {
        "point_coords": None if points is None else points * size,
        "point_labels": labels,
        "box": given["box"] * np.tile(size, 2) if "box" in given else None,
        "mask_input": make_mask() if "mask" in given else None,
    }


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size[0]} x {size[1]}")
def predictors(request, sam, published):
    """Ours and the package's, with an image set."""
    picture = make_picture(*request.param)
    both = SamPredictor(sam), segment_anything().SamPredictor(published)
    for predictor in both:
        predictor.set_image(picture)
    return both


def test_what_the_image_becomes(predictors):
    ours, theirs = predictors
    assert ours.is_image_set
    assert ours.original_size == theirs.original_size
    assert ours.input_size == theirs.input_size
    found, expected = ours.get_image_embedding(), theirs.get_image_embedding()
    assert found.shape == expected.shape
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("multimask_output", [True, False], ids=["three masks", "single mask"])
@pytest.mark.parametrize("kind", PROMPTS)
def test_masks(predictors, kind, multimask_output):
    ours, theirs = predictors
    height, width = theirs.original_size
    prompts = make_prompts(kind, width, height)
    kept = {k: None if v is None else v.copy() for k, v in prompts.items()}
    found = ours.predict(**prompts, multimask_output=multimask_output)
    expected = theirs.predict(**prompts, multimask_output=multimask_output)
    for k, value in prompts.items():
        np.testing.assert_array_equal(value, kept[k])  # what is given is not changed
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    masks, iou, low_res = found
    assert masks.shape == (3 if multimask_output else 1, height, width)
    assert masks.dtype == bool
    assert np.mean(masks != expected[0]) < 1e-3
    np.testing.assert_allclose(iou, expected[1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(low_res, expected[2], rtol=0, atol=1e-3)
    assert expected[2].std() > 0.1


@pytest.mark.parametrize("kind", ["point", "mask and box"])
def test_logits(predictors, kind):
    ours, theirs = predictors
    height, width = theirs.original_size
    prompts = make_prompts(kind, width, height)
    logits, _, _ = ours.predict(**prompts, return_logits=True)
    expected, _, _ = theirs.predict(**prompts, return_logits=True)
    assert (logits.shape, logits.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3)
    masks, _, _ = ours.predict(**prompts)
    assert np.array_equal(masks, logits > 0)


def test_masks_are_worth_comparing(predictors):
    """Neither empty nor full, on images that are wider than a line."""
    _, theirs = predictors
    height, width = theirs.original_size
    if min(height, width) > 1:
        masks, _, _ = theirs.predict(*(POINT[0] * [width, height], POINT[1]))
        assert ((masks.mean(axis=(1, 2)) > 0.02) & (masks.mean(axis=(1, 2)) < 0.98)).sum() >= 2


@pytest.mark.parametrize("kind", ["point", "points", "box", "box and points"])
def test_candidates(own, predictors, kind):
    """The predictor of the rest of segwidget, which counts pixel centers at half-integers."""
    _, theirs = predictors
    height, width = theirs.original_size
    given = make_prompts(kind, width, height)
    prompts = []
    half = 0.5 * np.array([width, height]) / np.array(theirs.input_size[::-1])
    if given["box"] is not None:
        prompts.append(Box(*given["box"]))
        given["box"] -= np.tile(half, 2)
    if given["point_coords"] is not None:
        places = zip(given["point_coords"], given["point_labels"], strict=True)
        prompts += [Point(*place, int(label)) for place, label in places]
        given["point_coords"] = given["point_coords"] - half
    predictor = Predictor(Model(SamNetwork(own), "narrow", "ab" * 32))
    predictor.set_image(make_picture(width, height))
    found = predictor.predict(prompts)

    three, three_iou, _ = theirs.predict(**given)
    one, one_iou, _ = theirs.predict(**given, multimask_output=False)
    masks, iou = np.concatenate([one, three]), np.concatenate([one_iou, three_iou])
    order = ranking(iou, ambiguous=kind == "point")
    np.testing.assert_allclose(found.predicted_iou, np.clip(iou[order], 0, 1), rtol=0, atol=1e-4)
    assert np.mean(found.masks != masks[order]) < 1e-3
