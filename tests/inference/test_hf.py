"""transformers' models behind our predictor answer as transformers itself does."""

import copy

import numpy as np
import pytest
import torch
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from segwidget.errors import PromptError
from segwidget.inference import hf
from segwidget.inference.embeddings import features_nbytes
from segwidget.inference.models import load_model
from segwidget.inference.predictor import Predictor
from segwidget.inference.preprocessing import SAM2, SAM3, SAM_NORMALIZED
from segwidget.inference.prompts import Box, Point
from segwidget.sam.sam import ImageFeatures
from segwidget.widget.segmenter import Segmenter
from tests.inference import tiny_transformers

CPU = torch.device("cpu")
FAMILIES = ["sam", "sam2", "sam3_tracker"]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=FAMILIES)
def network(request, hf_folder):
    return hf.load_network(hf_folder(request.param), CPU)[0]


@pytest.fixture
def shapes():
    """An image of 130 × 90 pixels; the numbers below were computed of it."""
    y, x = np.mgrid[0:90, 0:130]
    channels = [(7 * x + 3 * y) % 256, (x * y) % 256, (x * x + 5 * y) % 256]
    return np.stack(channels, -1).astype(np.uint8)


# What we give the network, and the same as transformers takes it.
def asked(kind, side):
    """Points, their labels, boxes and masks for transformers, all of one image."""
    generator = torch.Generator().manual_seed(5)
    count = 3 if kind == "batch" else 1
    points = torch.rand(count, 2 if "points" in kind else 1, 2, generator=generator) * (side - 1)
    labels = torch.tensor([[1, 0]])[:, : points.shape[1]].expand(count, -1)
    boxes = torch.tensor([[0.1, 0.2, 0.7, 0.9]]) * side if "box" in kind else None
    masks = None
    if "mask" in kind:
        masks = torch.randn(1, 1, *_grid(side), generator=generator) * 3
    return (None, None, boxes, masks) if kind == "box" else (points, labels, boxes, masks)


def _grid(side):
    grid = 4 * side // (14 if side == tiny_transformers.SIZES["sam3_tracker"] else 16)
    return grid, grid


def ours(points, labels, boxes):
    """The same as :meth:`Network.decode` takes it."""
    if points is None:
        points, labels = torch.zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.long)
    if boxes is not None:
        return torch.cat([points, boxes.view(-1, 2, 2)], 1), torch.cat(
            [labels, torch.tensor([[2, 3]])], 1
        )
    count = len(points)
    padding = torch.full((count, 1), -1)
    return torch.cat([points, torch.zeros(count, 1, 2)], 1), torch.cat([labels, padding], 1)


def theirs(model, points, labels, boxes, masks, multimask, **image):
    def first(x):
        return None if x is None else x.unsqueeze(0)

    with torch.inference_mode():
        answer = model(
            **image,
            input_points=first(points),
            input_labels=first(labels),
            input_boxes=first(boxes),
            input_masks=masks,
            multimask_output=multimask,
        )
    return answer.pred_masks[0], answer.iou_scores[0]


def assert_same(actual, expected, tolerance=1e-5):
    """Equal but for rounding, as a share of the largest number where that is more than 1."""
    atol = tolerance * max(1, expected.abs().max().item())
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


KINDS = ["point", "points", "batch", "box", "box and point", "box and points", "mask and points"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_four_masks_are_those_of_transformers(network, picture, kind, monkeypatch):
    model, side = network.model, network.frame(90, 60).input_size
    points, labels, boxes, masks = asked(kind, side)
    features = network.encode(picture)
    coords, given = ours(points, labels, boxes)
    logits, iou = network.decode(network.prepare(features), coords, given, masks)
    grid = _grid(side)
    assert logits.shape == (len(coords), 4, *grid)
    assert iou.shape == (len(coords), 4)

    x = network.preprocessing.to_input(picture, network.frame(90, 60))
    prompt = (points, labels, boxes, masks)
    monkeypatch.setattr(model.mask_decoder, "dynamic_multimask_via_stability", False, raising=False)
    single = theirs(model, *prompt, False, pixel_values=x)
    three = theirs(model, *prompt, True, pixel_values=x)
    assert_same(logits, torch.cat([single[0], three[0]], 1))
    assert_same(iou, torch.cat([single[1], three[1]], 1))
    assert logits.std() > 0.03  # else such a tolerance would say nothing
    assert (logits[:, 0] - logits[:, 1]).abs().max() > 0.03


@pytest.mark.parametrize("network", ["sam2", "sam3_tracker"], indirect=True)
def test_an_unstable_single_mask_is_not_replaced(network, picture, monkeypatch):
    decoder = network.model.mask_decoder
    monkeypatch.setattr(decoder, "dynamic_multimask_stability_thresh", 1.1)  # nothing is stable
    prompt = asked("point", network.frame(90, 60).input_size)
    features = network.encode(picture)
    logits, iou = network.decode(features, *ours(*prompt[:3]))
    x = network.preprocessing.to_input(picture, network.frame(90, 60))
    replaced, _ = theirs(network.model, *prompt, False, pixel_values=x)
    best = 1 + int(iou[0, 1:].argmax())
    assert_same(replaced[:, 0], logits[:, best])
    assert (replaced[:, 0] - logits[:, 0]).abs().max() > 0.03


def test_prompts_of_different_kinds_in_one_batch(network, picture):
    side = network.frame(90, 60).input_size
    generator = torch.Generator().manual_seed(1)
    coords = torch.rand(4, 2, 2, generator=generator).double() * side
    labels = torch.tensor([[1, -1], [2, 3], [0, -1], [2, 3]])
    masks = torch.randn(4, 1, *_grid(side), generator=generator).double()
    # Other shapes are multiplied in another order: in double precision that is not seen.
    features = ImageFeatures(*(None if x is None else x.double() for x in network.encode(picture)))
    network = hf.TransformersNetwork(copy.deepcopy(network.model).double(), network.preprocessing)
    for given in (None, masks):
        logits, iou = network.decode(features, coords, labels, given)
        for i in range(4):
            row = slice(i, i + 1)
            alone = network.decode(
                features, coords[row], labels[row], None if given is None else given[row]
            )
            assert_same(logits[row], alone[0].to(logits), 1e-6)
            assert_same(iou[row], alone[1].to(iou), 1e-6)


def test_several_boxes_in_one_prompt(network, picture):
    with pytest.raises(PromptError, match="2 boxes"):
        network.decode(network.encode(picture), torch.rand(1, 4, 2), torch.tensor([[2, 3, 2, 3]]))


def test_a_point_lands_in_its_place(network):
    """At the center of a cell of the image's grid it is where that cell is."""
    frame = network.frame(90, 60)
    w, h = frame.resized
    cell = frame.input_size / (frame.logits_size / 4)
    row, column = 2, 4
    x, y = (column + 0.5) * cell * 90 / w, (row + 0.5) * cell * 60 / h
    coords, _ = frame.to_input((Point(x, y),))
    encoder = network.model.prompt_encoder
    sparse, _ = network.model.get_prompt_embeddings(
        input_points=coords[None, :, :1], input_labels=torch.ones(1, 1, 1, dtype=torch.long)
    )
    weights = encoder.point_embed  # a list of them in SAM, one table in the others
    many = isinstance(weights, torch.nn.ModuleList)
    foreground = weights[1].weight[0] if many else weights.weight[1]
    place = network.model.get_image_wide_positional_embeddings()[0, :, row, column]
    torch.testing.assert_close(sparse[0, 0, 0] - foreground, place, rtol=0, atol=1e-4)


# Of transformers 5.23's Sam2ImageProcessor and Sam3ImageProcessor with torchvision 0.28, which
# resized the image above to inputs of 96 and 112 pixels.
PROCESSED = {
    "sam2": (SAM2, 96, 0.19221249222755432, [-0.833547, 0.555322, 0.91451]),
    "sam3": (SAM3, 112, -0.015259852632880211, [0.921569, -0.435294, 0.286275]),
}


@pytest.mark.parametrize("name", PROCESSED)
def test_images_are_preprocessed_as_published(name, shapes):
    preprocessing, side, mean, pixel = PROCESSED[name]
    x = preprocessing.to_input(shapes, preprocessing.frame(130, 90, side, side // 4))
    assert x.shape == (1, 3, side, side)
    assert x.dtype == torch.float32
    assert x[0, :, 40, 50].tolist() == pytest.approx(pixel, abs=1e-5)
    assert x.mean().item() == pytest.approx(mean, abs=1e-5)


def test_images_for_sam_are_preprocessed_as_published(shapes):
    sizes = {"size": {"longest_edge": 96}, "pad_size": {"height": 96, "width": 96}}
    expected = SamImageProcessorPil(**sizes)(shapes, return_tensors="pt")["pixel_values"]
    x = SAM_NORMALIZED.to_input(shapes, SAM_NORMALIZED.frame(130, 90, 96, 24))
    assert x.shape == expected.shape == (1, 3, 96, 96)
    levels = (x - expected).abs() * 255 * torch.tensor(SAM_NORMALIZED.std).view(3, 1, 1)
    assert levels.max() < 1.01  # Pillow's kernel and torch's may round to neighboring levels,
    assert (levels > 0.01).float().mean() < 0.05  # and seldom do
    assert not x[..., 66:, :].any()


def test_sam3_as_published_speaks_to_the_map_that_the_decoder_sees(hf_folder, picture):
    """As transformers' model for videos does with the same weights."""
    folder = hf_folder("sam3_tracker_video")
    network, _ = hf.load_network(folder, CPU)
    features = network.encode(picture)
    x = network.preprocessing.to_input(picture, network.frame(90, 60))
    video = tiny_transformers.Sam3TrackerVideoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        finest, high_res, embedding = video.get_image_embeddings(x)
    assert_same(features.embedding, embedding)
    assert_same(features.high_res, high_res)
    assert_same(features.finest, finest)
    assert video.no_memory_embedding.abs().max() > 0.1

    prompt = asked("box and points", tiny_transformers.SIZES["sam3_tracker"])
    logits, _ = network.decode(features, *ours(*prompt[:3]))
    image = {"image_embeddings": [finest, high_res, embedding]}
    expected, _ = theirs(network.model, *prompt, True, **image)
    assert_same(logits[:, 1:], expected)


@pytest.mark.parametrize("kind", [*FAMILIES, "sam2_video"])
def test_a_predictor_from_a_folder(kind, hf_folder, cache, picture):
    predictor = Predictor(hf_folder(kind), "cpu")
    predictor.set_image(picture)
    assert len(cache) == 1
    assert cache.nbytes == features_nbytes(predictor._features) > 0
    assert (predictor._features.finest is None) == (kind == "sam")
    candidates = predictor.predict([Point(70, 20)])
    assert candidates.masks.shape == (4, 60, 90)
    refined = predictor.predict([Point(70, 20), Point(10, 10, 0)])
    assert not np.array_equal(refined.low_res_logits, candidates.low_res_logits)
    assert len(predictor.predict([Box(5, 10, 60, 50), Point(30, 30)])) == 4
    sx, sy = candidates.frame.logits_scale
    assert (sx == sy) == (kind == "sam")
    again = Predictor(hf_folder(kind), "cpu")
    assert again.model is predictor.model
    again.set_image(picture)
    assert again._features is predictor._features


def test_masks_lie_over_the_image(hf_folder, cache, monkeypatch):
    """The image is squashed, and its mask is stretched back."""
    predictor = Predictor(hf_folder("sam2"), "cpu")
    predictor.set_image(np.zeros((40, 160, 3), np.uint8))
    logits = torch.full((1, 4, 32, 32), -1.0)
    logits[..., 8:16, 16:24] = 1  # of 40 rows: 10 to 20; of 160 columns: 80 to 120
    network = predictor.model.network
    monkeypatch.setattr(network, "decode", lambda *_: (logits, torch.ones(1, 4)))
    assert predictor.predict(Point(100, 15)).box[0].tolist() == [80, 10, 120, 20]


def test_a_segmenter_from_a_folder(hf_folder, picture):
    seg = Segmenter(picture, model=hf_folder("sam2"), labels=["a"], device="cpu")
    try:
        seg.prompts = [{"type": "point", "x": 30, "y": 20, "label": 1}]
        assert seg.wait(60)
        assert seg.status["state"] == "ready"
        annotation = seg.keep("a")
        assert annotation.model == "sam2"
        assert annotation.checkpoint == load_model(hf_folder("sam2"), "cpu").sha256
    finally:
        seg.close()
