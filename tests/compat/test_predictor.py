"""The published predictor's manners beyond its results: state, sharing, refusals."""

import numpy as np
import pytest
import torch

from segwidget.compat import Sam, SamPredictor
from segwidget.errors import ImageError, ModelError, PromptError
from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.predictor import Predictor
from segwidget.inference.preprocessing import MEDSAM
from segwidget.sam.build import build_compact
from tests.reference import make_picture

CLICK = {"point_coords": np.array([[40, 30]]), "point_labels": np.array([1])}


@pytest.fixture(scope="module")
def compact():
    torch.manual_seed(0)
    return build_compact(128).eval()


@pytest.fixture
def predictor(compact):
    predictor = SamPredictor(Sam(compact))
    predictor.set_image(make_picture(90, 60))
    return predictor


def test_the_embedded_model_answers_in_its_own_sizes(predictor):
    masks, iou, low_res = predictor.predict(**CLICK)
    assert masks.shape == (3, 60, 90)
    assert iou.shape == (3,)
    assert low_res.shape == (3, 64, 64)
    assert predictor.features.shape == (1, 128, 16, 16)
    again, _, _ = predictor.predict(**CLICK, mask_input=low_res[:1], multimask_output=False)
    assert again.shape == (1, 60, 90)


def test_it_is_what_our_predictor_answers(compact, predictor):
    """Half a pixel aside, by which the two count apart."""
    ours = Predictor(Model(compact, "compact", "ab" * 32))
    ours.set_image(make_picture(90, 60))
    half = 0.5 * 90 / 128
    found = ours.predict({"type": "point", "x": 40 + half, "y": 30 + 0.5 * 60 / 85})
    masks, iou, low_res = predictor.predict(**CLICK)
    order = np.argsort(-iou)
    assert found.tokens[3] == 0  # the published answer to one point leaves the single mask out
    np.testing.assert_allclose(found.low_res_logits[:3], low_res[order], rtol=0, atol=1e-4)
    assert np.mean(found.masks[:3] != masks[order]) < 1e-3


def test_our_predictor_answers_to_the_published_signature(compact, predictor):
    model = Model(compact, "compact", "cd" * 32)
    expected = predictor.predict(**CLICK)
    for given in (model, Predictor(model)):
        shared = SamPredictor(given)
        assert shared.model.mask_decoder is compact.mask_decoder
        shared.set_image(make_picture(90, 60))
        for a, b in zip(shared.predict(**CLICK), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


def test_a_model_of_another_family():
    class Other:
        device = torch.device("cpu")

    with pytest.raises(ModelError, match="not of the SAM architecture"):
        SamPredictor(Model(Other(), "other", "ab" * 32))


def test_an_embedding_that_was_kept(sam):
    first = SamPredictor(sam)
    first.set_image(make_picture(90, 60))
    expected = first.predict(**CLICK)
    kept = first.get_image_embedding()
    second = SamPredictor(sam)
    second.features = kept
    second.original_size, second.input_size = first.original_size, first.input_size
    second.is_image_set = True
    for a, b in zip(second.predict(**CLICK), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    second.set_image(make_picture(60, 90))
    assert second.original_size == (90, 60)
    assert not np.array_equal(second.predict(**CLICK)[2], expected[2])


def test_embeddings_and_answers_may_be_learned_from(sam):
    """They are no tensors of inference mode, which autograd refuses."""
    predictor = SamPredictor(sam)
    predictor.set_image(make_picture(90, 60))
    point = torch.tensor([[[100.0, 90.0]]]), torch.tensor([[1]])
    _, iou, logits = predictor.predict_torch(*point)
    weight = torch.ones(1, requires_grad=True)
    (weight * logits.sum() + weight * iou.sum() + weight * predictor.features.sum()).backward()
    assert weight.grad.isfinite().all()


def test_weights_that_change_are_asked_anew():
    torch.manual_seed(0)
    sam = Sam(build_compact(128).eval())
    predictor = SamPredictor(sam)
    predictor.set_image(make_picture(90, 60))
    before = predictor.predict(**CLICK)
    np.testing.assert_array_equal(predictor.predict(**CLICK)[2], before[2])
    with torch.no_grad():
        sam.mask_decoder.mask_tokens.weight.add_(1)
    assert not np.allclose(predictor.predict(**CLICK)[2], before[2])


def test_medsam_s_images_are_squashed(compact):
    sam = Sam(compact, MEDSAM)
    predictor = SamPredictor(sam)
    picture = make_picture(90, 30)
    predictor.set_image(picture)
    assert predictor.input_size == (128, 128)
    network = SamNetwork(compact, MEDSAM)
    torch.testing.assert_close(predictor.features, network.encode(picture).embedding)
    masks, _, low_res = predictor.predict(box=np.array([9, 3, 45, 24]), multimask_output=False)
    # The published script's box: scaled by width and height apart, not shifted.
    box = torch.tensor([[9 / 90, 3 / 30, 45 / 90, 24 / 30]]) * 128
    with torch.no_grad():
        expected, _ = compact.decode(network.encode(picture), boxes=box)
    np.testing.assert_allclose(low_res, expected[0, :1], rtol=0, atol=1e-4)
    full = torch.nn.functional.interpolate(expected[:, :1], (30, 90), mode="bilinear")
    assert np.mean(masks != (full[0] > 0).numpy()) < 1e-3
    # The same by hand.
    square = torch.as_tensor(predictor.transform.apply_image(picture)).permute(2, 0, 1)[None]
    predictor.set_torch_image(square, (30, 90))
    again, _, _ = predictor.predict(box=np.array([9, 3, 45, 24]), multimask_output=False)
    assert np.array_equal(again, masks)


def test_no_image(compact):
    predictor = SamPredictor(Sam(compact))
    assert not predictor.is_image_set
    assert predictor.features is None
    for ask in (
        lambda: predictor.predict(**CLICK),
        lambda: predictor.predict_torch(None, None),
        predictor.get_image_embedding,
    ):
        with pytest.raises(RuntimeError, match=r"no image.*set_image"):
            ask()
        with pytest.raises(PromptError):
            ask()
    predictor.is_image_set, predictor.original_size = True, (60, 90)
    with pytest.raises(PromptError, match="no embedding"):
        predictor.predict(**CLICK)


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ({"point_coords": np.ones((1, 2))}, r"without point_labels.*1 foreground"),
        ({"point_coords": np.ones((2, 2)), "point_labels": np.ones(1)}, r"\(1, 2, 2\).*\(1, 1\)"),
        (
            {"point_coords": np.ones((2, 3)), "point_labels": np.ones(2)},
            r"point_coords has the shape \(2, 3\)",
        ),
        ({"point_coords": [[np.nan, 1]], "point_labels": [1]}, "point_coords holds something"),
        ({"point_coords": [["a", "b"]], "point_labels": [1]}, "point_coords holds something"),
        ({"point_coords": [[1, 2], [3]], "point_labels": [1, 1]}, "point_coords is no array"),
        ({"box": np.ones(3)}, r"box has the shape \(3,\)"),
        ({"box": 7}, r"box has the shape \(\)"),
        ({"box": [0, 0, np.inf, 1]}, "box holds something"),
        ({"mask_input": np.zeros((1, 256, 256))}, r"\(1, 1, 256, 256\).*\(1, 64, 64\) in predict"),
        ({"mask_input": np.zeros((64, 64))}, "mask input has the shape"),
    ],
)
def test_impossible_prompts(predictor, prompts, words):
    before = predictor.predict(**CLICK)
    with pytest.raises(PromptError, match=words):
        predictor.predict(**prompts)
    np.testing.assert_array_equal(predictor.predict(**CLICK)[2], before[2])


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ((torch.ones(1, 2), torch.ones(1)), r"points have the shape \(1, 2\).*\(B, N, 2\)"),
        ((torch.ones(2, 1, 2), None), "labels None"),
        ((torch.ones(2, 1, 2), torch.ones(2, 1), torch.ones(3, 4)), r"boxes have.*\(2, 4\)"),
        ((None, None, torch.ones(3, 5)), r"boxes have the shape \(3, 5\)"),
        ((None, None, torch.ones(3, 4), torch.ones(2, 1, 64, 64)), r"expected \(3, 1, 64, 64\)"),
    ],
)
def test_impossible_tensors(predictor, prompts, words):
    with pytest.raises(PromptError, match=words):
        predictor.predict_torch(*prompts)


def test_one_mask_for_several_prompts(predictor):
    boxes = torch.tensor([[10.0, 10, 60, 50], [40, 20, 120, 80], [0, 0, 99, 9]] * 3)
    mask = 4 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    masks, iou, logits = predictor.predict_torch(None, None, boxes, mask)
    assert masks.shape == (9, 3, 60, 90)
    for i in (0, 4, 8):
        alone = predictor.predict_torch(None, None, boxes[i : i + 1], mask)
        torch.testing.assert_close(logits[i : i + 1], alone[2], rtol=0, atol=1e-4)
        torch.testing.assert_close(iou[i : i + 1], alone[1], rtol=0, atol=1e-4)


def test_impossible_images(predictor):
    with pytest.raises(ImageError, match="'RGB' or 'BGR'"):
        predictor.set_image(make_picture(90, 60), image_format="rgb")
    with pytest.raises(ImageError, match=r"expected uint8 \(H, W, 3\)"):
        predictor.set_image(np.zeros((60, 90)))
    for shape in ((3, 128, 85), (1, 3, 127, 85), (1, 1, 128, 85), (2, 3, 128, 85)):
        with pytest.raises(ImageError, match=r"expected \(1, 3, h, w\), and 128"):
            predictor.set_torch_image(torch.zeros(shape), (60, 90))
    assert predictor.original_size == (60, 90)  # the image before
