"""MedSAM's preprocessing, and masks of images that are squashed into the network's square."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import transform

from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.predictor import Predictor
from segwidget.inference.preprocessing import MEDSAM, Frame
from segwidget.inference.prompts import Box, Point
from segwidget.sam.build import build_compact
from segwidget.widget.protocol import candidates_to_json

SIDE = 128  # of the network's input
SIZES = [(1, 9), (9, 1), (1, 1), (300, 50), (50, 300), (128, 128), (103, 77)]


def published_input(pixels):
    """The steps of MedSAM's inference script, at another size."""
    square = transform.resize(
        pixels, (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True
    ).astype(np.uint8)
    span = np.clip(square.max() - square.min(), a_min=1e-8, a_max=None)
    return torch.tensor((square - square.min()) / span).float().permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SamNetwork(build_compact(SIDE).eval().requires_grad_(False), MEDSAM)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_input(width, height):
    pixels = np.random.default_rng(0).integers(20, 200, (height, width, 3), dtype=np.uint8)
    x = MEDSAM.to_input(pixels, MEDSAM.frame(width, height, SIDE, SIDE // 2))
    assert x.shape == (1, 3, SIDE, SIDE)
    assert x.dtype == torch.float32
    assert torch.equal(x, published_input(pixels))
    assert (x.min(), x.max()) == (0, 1)


def test_an_image_of_one_color_is_zeros():
    x = MEDSAM.to_input(np.full((5, 8, 3), 77, np.uint8), MEDSAM.frame(8, 5, SIDE, SIDE // 2))
    assert not x.any()


def test_the_network_sees_the_input_as_it_is(network, picture):
    features = network.encode(picture)
    expected = network.sam.encode(published_input(picture))
    torch.testing.assert_close(features.embedding, expected.embedding)
    assert network.variant == "medsam-float32"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_image_fills_the_square(width, height):
    frame = MEDSAM.frame(width, height, 1024, 256)
    assert frame.squash
    assert frame.resized == (1024, 1024)
    assert frame.logits_shape == (256, 256)
    assert frame.logits_scale == (256 / width, 256 / height)


def test_boxes_and_points_are_scaled_by_width_and_height_apart():
    frame = MEDSAM.frame(300, 50, 1024, 256)
    coords, labels = frame.to_input((Box(30, 10, 150, 40), Point(300, 50)))
    sx, sy = 1024 / 300, 1024 / 50
    expected = [[1024, 1024], [30 * sx, 10 * sy], [150 * sx, 40 * sy]]
    # The network counts pixel centers at integers, half a pixel from where edges are counted.
    np.testing.assert_allclose(coords[0], np.array(expected) - 0.5, rtol=1e-6)
    assert labels.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_logits_are_enlarged_straight_to_the_image(width, height):
    logits = torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(0))
    found = MEDSAM.frame(width, height, 1024, 256).upsample(logits)
    expected = F.interpolate(logits[None], (height, width), mode="bilinear", align_corners=False)
    assert found.shape == (3, height, width)
    torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=1e-4)


def picture_of(box, frame):
    """Logits that are the distance from a box's edge, in pixels of the image."""
    sx, sy = frame.logits_scale
    x = (torch.arange(frame.logits_size) + 0.5) / sx
    y = (torch.arange(frame.logits_size)[:, None] + 0.5) / sy
    x0, y0, x1, y1 = box
    along_x, along_y = torch.minimum(x - x0, x1 - x), torch.minimum(y - y0, y1 - y)
    return torch.minimum(along_x.expand(len(y), -1), along_y.expand(-1, len(x)))


@pytest.mark.parametrize(
    ("size", "box"), [((300, 60), (90, 12, 240, 33)), ((40, 200), (4, 150, 30, 190))]
)
def test_a_mask_comes_back_where_it_was(network, cache, monkeypatch, size, box):
    """From the network's answer to masks, boxes, areas, and what is sent to a page."""
    width, height = size
    predictor = Predictor(Model(network, "medsam", "cd" * 32))
    predictor.set_image(np.zeros((height, width, 3), np.uint8))
    frame = predictor.frame
    assert frame == Frame(width, height, SIDE, SIDE // 2, two_steps=False, squash=True)
    drawn = picture_of(box, frame).expand(1, 4, -1, -1)
    asked = []

    def decode(prepared, coords, labels, masks=None):
        asked.append(coords)
        return drawn, torch.tensor([[0.9, 0.8, 0.7, 0.6]])

    monkeypatch.setattr(network, "decode", decode)
    answer = predictor.predict([Box(*box)])
    scale = np.tile([SIDE / width, SIDE / height], 2)
    np.testing.assert_allclose(asked[0].flatten(), np.array(box) * scale - 0.5, rtol=1e-6)

    expected = np.zeros((height, width), bool)
    expected[box[1] : box[3], box[0] : box[2]] = True
    mask = answer.mask(0)
    assert (mask & expected).sum() / (mask | expected).sum() > 0.97
    cell = np.array([width, height] * 2) / (SIDE // 2)  # what a low-resolution pixel spans
    assert (np.abs(answer.box[0] - box) <= cell).all()

    sent = candidates_to_json(answer, "1", 0)
    assert sent["shape"] == [4, SIDE // 2, SIDE // 2]
    assert sent["scale"] == [SIDE / 2 / width, SIDE / 2 / height]
    assert (np.abs(np.array(sent["items"][0]["box"]) - box) <= cell).all()
    area = (box[2] - box[0]) * (box[3] - box[1])
    assert sent["items"][0]["area"] == pytest.approx(area, rel=0.12)
