"""The predictor, with a network of random weights: order, coordinates, refinement, refusals."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from segwidget.errors import ImageError, PromptError
from segwidget.inference.predictor import Predictor, ranking
from segwidget.inference.prompts import Box, Point

POINT, BOX = Point(40, 20), Box(10, 10, 60, 50)


@pytest.fixture
def decoded(model, monkeypatch):
    """What the network was asked, and what it answered."""
    calls = []
    decode = model.network.decode

    def spy(prepared, coords, labels, masks=None):
        logits, iou = decode(prepared, coords, labels, masks)
        calls.append({"points": (coords, labels), "masks": masks, "logits": logits, "iou": iou})
        return logits, iou

    monkeypatch.setattr(model.network, "decode", spy)
    return calls


def test_shapes(ready):
    candidates = ready.predict([POINT])
    assert len(candidates) == 4
    assert candidates.low_res_logits.shape == (4, 64, 64)
    assert candidates.low_res_logits.dtype == np.float32
    assert candidates.predicted_iou.shape == (4,)
    assert candidates.predicted_iou.dtype == np.float32
    assert candidates.masks.shape == (4, 60, 90)
    assert candidates.masks.dtype == bool


@pytest.mark.parametrize(("width", "height"), [(1, 9), (9, 1), (1, 1), (1023, 767), (3000, 500)])
def test_images_of_odd_shapes(model, cache, width, height):
    predictor = Predictor(model)
    predictor.set_image(np.zeros((height, width, 3), np.uint8))
    candidates = predictor.predict([Point(width, height), Point(0, 0, 0)])
    assert candidates.masks.shape == (4, height, width)
    assert np.isfinite(candidates.low_res_logits).all()


def test_ranking():
    scores = np.array([0.99, 0.2, 0.9, 0.5], np.float32)
    assert ranking(scores, ambiguous=True).tolist() == [2, 3, 1, 0]
    assert ranking(scores, ambiguous=False).tolist() == [0, 2, 3, 1]
    assert ranking(np.zeros(4, np.float32), ambiguous=True).tolist() == [1, 2, 3, 0]


def test_one_point_has_the_three_masks_for_ambiguous_prompts_first(ready, decoded):
    candidates = ready.predict(POINT)
    logits, iou = decoded[0]["logits"][0].numpy(), decoded[0]["iou"][0].numpy()
    order = [*(1 + np.argsort(-iou[1:])), 0]
    assert candidates.tokens == tuple(order)
    assert np.array_equal(candidates.low_res_logits, logits[order])
    assert np.array_equal(candidates.predicted_iou, np.clip(iou[order], 0, 1))
    assert (np.diff(candidates.predicted_iou[:3]) <= 0).all()


@pytest.mark.parametrize("prompts", [[BOX], [BOX, POINT], [POINT, Point(70, 40, 0)]])
def test_richer_prompts_have_the_single_mask_first(ready, decoded, prompts):
    candidates = ready.predict(prompts)
    logits, iou = decoded[0]["logits"][0].numpy(), decoded[0]["iou"][0].numpy()
    order = [0, *(1 + np.argsort(-iou[1:]))]
    assert candidates.tokens == tuple(order)
    assert np.array_equal(candidates.low_res_logits, logits[order])
    assert (np.diff(candidates.predicted_iou[1:]) <= 0).all()


def test_a_point_with_a_mask_is_not_ambiguous(ready, decoded):
    ready.predict(POINT, mask_input=np.zeros((64, 64), np.float32))
    found = ready.predict(POINT, mask_input=np.zeros((64, 64), np.float32))
    assert np.array_equal(found.low_res_logits[0], decoded[0]["logits"][0, 0].numpy())


def test_predicted_iou_is_one_at_most(ready, model, monkeypatch):
    decode = model.network.decode

    def boastful(*arguments, **more):
        logits, _ = decode(*arguments, **more)
        return logits, torch.tensor([[1.4, -0.3, 1.2, 0.5]])

    monkeypatch.setattr(model.network, "decode", boastful)
    assert ready.predict([BOX]).predicted_iou.tolist() == [1, 1, 0.5, 0]


def test_points_reach_the_network_in_its_own_pixels(ready, decoded):
    ready.predict([Point(45, 30), Point(0.5, 0.5, 0)])
    coords, labels = decoded[0]["points"]
    scale = 128 / 90
    expected = [[45 * scale - 0.5, 30 * 85 / 60 - 0.5], [0.5 * scale - 0.5, 0.5 * 85 / 60 - 0.5]]
    np.testing.assert_allclose(coords[0, :2], expected, rtol=1e-5)
    assert labels.tolist() == [[1, 0, -1]]


def test_prompts_are_read_from_dictionaries(ready):
    a = ready.predict({"type": "point", "x": 40, "y": 20, "label": 1})
    b = ready.predict([POINT], refine=False)
    assert np.array_equal(a.low_res_logits, b.low_res_logits)


def test_one_more_prompt_refines_the_answer_before(ready, decoded):
    first = ready.predict([POINT])
    second = ready.predict([POINT, Point(60, 40, 0)])
    ready.predict([POINT, Point(60, 40, 0), Point(20, 20)])
    assert [call["masks"] is not None for call in decoded] == [False, True, True]
    assert np.array_equal(decoded[1]["masks"][0, 0].numpy(), first.low_res_logits[0])
    assert np.array_equal(decoded[2]["masks"][0, 0].numpy(), second.low_res_logits[0])


def test_other_prompts_start_afresh(ready, decoded):
    ready.predict([POINT, Point(60, 40, 0)])
    ready.predict([POINT])  # fewer
    ready.predict([POINT])  # the same
    ready.predict([Point(41, 20), Point(60, 40)])  # another beginning
    ready.predict([Point(41, 20), Point(60, 40), Point(2, 2)], refine=False)
    assert [call["masks"] is not None for call in decoded] == [False] * 5


def test_a_new_image_starts_afresh(ready, decoded, picture):
    ready.predict([POINT])
    ready.set_image(255 - picture)
    ready.predict([POINT, Point(60, 40, 0)])
    assert decoded[1]["masks"] is None


def test_a_failed_image_leaves_the_present_one(ready):
    before = ready.predict([POINT]).low_res_logits
    with pytest.raises(ImageError):
        ready.set_image("no such file.png")
    assert ready.image.width == 90
    assert np.array_equal(ready.predict([POINT]).low_res_logits, before)


def test_a_refused_prompt_leaves_the_dialogue(ready, decoded):
    ready.predict([POINT])
    with pytest.raises(PromptError):
        ready.predict([POINT, Point(900, 40)])
    ready.predict([POINT, Point(60, 40, 0)])
    assert decoded[-1]["masks"] is not None


def test_a_mask_input_replaces_the_kept_logits(ready, decoded):
    ready.predict([POINT])
    given = np.full((64, 64), 2.5, np.float32)
    ready.predict([POINT, Point(60, 40, 0)], mask_input=given)
    assert torch.equal(decoded[1]["masks"], torch.full((1, 1, 64, 64), 2.5))


def test_the_embedding_is_that_of_the_padded_image(ready, model, picture):
    frame = ready.frame
    x = model.sam.preprocess(frame.resize(picture))
    assert x.shape == (1, 3, 128, 128)
    assert not x[..., frame.resized[1] :, :].any()
    expected = model.sam.encode(x)
    torch.testing.assert_close(ready._features.embedding, expected.embedding.half())


def test_no_image(model):
    predictor = Predictor(model)
    assert predictor.image is None
    for ask in (lambda: predictor.predict([POINT]), lambda: predictor.frame):
        with pytest.raises(PromptError, match=r"no image.*set_image"):
            ask()


def test_let_go(ready):
    ready.reset_image()
    assert ready.image is None
    with pytest.raises(PromptError, match="no image"):
        ready.predict([POINT])
    ready.reset_image()  # twice does no harm


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([], "no prompt"),
        ([BOX, BOX], "several boxes.*at most one"),
        ([Point(91, 5)], "outside the image of 90 × 60"),
        ([Box(-5, 0, 20, 20)], "reaches outside"),
        ("click", "expected Point"),
        ([None], "expected Point"),
    ],
)
def test_impossible_prompts(ready, prompts, words):
    with pytest.raises(PromptError, match=words):
        ready.predict(prompts)


@pytest.mark.parametrize("shape", [(256, 256), (1, 64, 64), (64,), ()])
def test_mask_inputs_of_another_shape(ready, shape):
    with pytest.raises(PromptError, match=r"mask input has the shape.*\(64, 64\)"):
        ready.predict([POINT], mask_input=np.zeros(shape, np.float32))


@pytest.mark.parametrize("given", ["a mask", [[1.0, 2.0], [3.0]], None])
def test_mask_inputs_that_are_no_logits(ready, given):
    if given is None:
        given = np.full((64, 64), np.nan, np.float32)
    with pytest.raises(PromptError, match="mask input"):
        ready.predict([POINT], mask_input=given)


def test_threads_get_the_answers_to_their_own_prompts(ready):
    points = [Point(5 + 8 * i, 5 + 5 * i) for i in range(10)]
    alone = [ready.predict([p], refine=False).low_res_logits for p in points]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda p: ready.predict([p], refine=False), points))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a, b.low_res_logits, atol=1e-4)
