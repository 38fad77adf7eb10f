"""The embedded model's network: its encoder, and a decoder that adds the stride-4 map."""

import copy

import pytest
import torch
from torch import nn

from segwidget.sam.build import build_compact
from segwidget.sam.compact_encoder import Blocks, CompactEncoder, ConvBN, upsample
from segwidget.sam.sam import ImageFeatures


@pytest.fixture(scope="module")
def compact(random_state, make_pixels):
    """For inputs of 192 pixels, with batch norms that have seen images."""
    sam = build_compact(192)
    decoder = nn.ModuleList([sam.prompt_encoder, sam.mask_decoder])
    decoder.load_state_dict(random_state(decoder))
    generator = torch.Generator().manual_seed(0)
    for module in sam.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average
            nn.init.uniform_(module.weight, 0.3, 1, generator=generator)
            nn.init.normal_(module.bias, std=0.3, generator=generator)
    with torch.no_grad():
        sam.train().encode(make_pixels(2, 192))
    return sam.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def features(compact, make_pixels):
    """Of two images."""
    with torch.no_grad():
        return compact.encode(make_pixels(2, 192))


@pytest.fixture
def points():
    """Three prompts on each of two images: a point, two points, and a box given as corners."""
    generator = torch.Generator().manual_seed(0)
    low = 90 * torch.rand(6, 1, 2, generator=generator)
    coords = torch.cat([low, low + 90], dim=1)
    labels = torch.tensor([[1, -1], [1, 0], [2, 3]]).repeat(2, 1)
    return coords, labels


def test_the_size_is_that_of_the_design():
    with torch.device("meta"):
        sam = build_compact()
    count = sum(x.numel() for x in sam.state_dict().values())
    assert 7e6 < count < 10e6
    encoder = sum(x.numel() for x in sam.image_encoder.state_dict().values())
    assert encoder + 2 * (count - encoder) < 12e6  # bytes, with the encoder in 8 bits
    assert sam.image_size == 512
    assert sam.prompt_encoder.image_embedding_size == (64, 64)


@pytest.mark.parametrize("size", [192, 320, 512])
def test_shapes_and_parameters_at_every_size(size, make_pixels):
    with torch.device("meta"):
        shipped = build_compact().state_dict()
    sam = build_compact(size).eval()
    assert {k: v.shape for k, v in sam.state_dict().items()} == {
        k: v.shape for k, v in shipped.items()
    }
    assert sam.image_size == size
    features = sam.encode(make_pixels(1, size))
    assert features.embedding.shape == (1, 128, size // 8, size // 8)
    assert features.high_res.shape == (1, 32, size // 4, size // 4)
    assert sam.prompt_encoder.mask_input_size == (size // 2, size // 2)
    logits, iou = sam.decode(features, boxes=torch.tensor([[10.0, 20.0, 90.0, 100.0]] * 2))
    assert logits.shape == (2, 4, size // 2, size // 2)
    assert iou.shape == (2, 4)
    again, _ = sam.decode(
        features, boxes=torch.tensor([[10.0, 20.0, 90.0, 100.0]] * 2), masks=logits[:, :1]
    )
    assert again.shape == logits.shape
    assert again.isfinite().all()


def test_the_encoder_tells_images_and_places_apart(features):
    assert features.finest is None
    for x in features[:2]:
        assert x.isfinite().all()
        assert x.std(dim=(2, 3)).median() > 0.05
        assert (x[0] - x[1]).abs().mean() > 0.05


def test_images_of_a_batch_do_not_mix(compact, features, make_pixels):
    alone = compact.encode(make_pixels(2, 192)[1:])
    for ours, expected in zip(alone[:2], features[:2], strict=True):
        torch.testing.assert_close(ours, expected[1:], rtol=0, atol=1e-4)


def test_fused_batch_norms_give_the_same_answers(compact, features, make_pixels, points):
    fused = copy.deepcopy(compact)
    assert fused.image_encoder.fuse() is fused.image_encoder
    assert not any(isinstance(x, nn.BatchNorm2d) for x in fused.modules())
    ours = fused.encode(make_pixels(2, 192))
    for x, expected in zip(ours[:2], features[:2], strict=True):
        assert expected.std() > 0.1
        torch.testing.assert_close(x, expected, rtol=0, atol=1e-4)
    for x, expected in zip(
        fused.decode(ours, points, padded=True),
        compact.decode(features, points, padded=True),
        strict=True,
    ):
        torch.testing.assert_close(x, expected, rtol=0, atol=1e-4)


def test_fusing_twice_or_from_training_mode_is_harmless(compact, features, make_pixels):
    fused = copy.deepcopy(compact).train()
    fused.image_encoder.fuse().fuse()
    torch.testing.assert_close(
        fused.encode(make_pixels(2, 192)).embedding, features.embedding, rtol=0, atol=1e-4
    )


def test_a_fused_layer_is_one_convolution():
    layer = ConvBN(3, 5, stride=2).eval()
    x = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    expected = layer(x)
    layer.fuse()
    assert isinstance(layer.bn, nn.Identity)
    assert layer.conv.bias is not None
    torch.testing.assert_close(layer(x), expected)
    assert expected.shape == (1, 5, 5, 5)
    assert expected.min() == 0  # the ReLU


def test_upsample_doubles():
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert upsample(x).shape == (1, 1, 4, 6)
    assert upsample(torch.ones(1, 2, 3, 3)).eq(1).all()


@pytest.mark.parametrize("masked", [False, True], ids=["first prompt", "with previous logits"])
def test_many_prompts_are_answered_as_if_each_were_alone(compact, features, points, masked):
    coords, labels = points
    previous = None
    if masked:
        previous = compact.decode(features, points, padded=True)[0][:, :1]
    logits, iou = compact.decode(features, points, masks=previous, padded=True)
    assert logits.shape == (6, 4, 96, 96)
    assert iou.shape == (6, 4)
    assert logits.std() > 0.1
    for i in range(6):
        own = ImageFeatures(*(x[[i // 3]] for x in features[:2]))
        expected, expected_iou = compact.decode(
            own,
            (coords[[i]], labels[[i]]),
            masks=None if previous is None else previous[[i]],
            padded=True,
        )
        torch.testing.assert_close(logits[[i]], expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(iou[[i]], expected_iou, rtol=0, atol=1e-4)
    assert (logits[0] - logits[3]).abs().mean() > 0.01  # the same kind of prompt, another image


def test_a_point_without_padding_equals_one_with(compact, features, points):
    coords, labels = points[0][[0, 3]], points[1][[0, 3]]
    expected = compact.decode(features, (coords, labels), padded=True)
    ours = compact.decode(features, (coords[:, :1], labels[:, :1]))
    for x, y in zip(ours, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-5)


def test_the_stride_4_map_reaches_the_masks_and_not_the_iou(compact, features, points):
    logits, iou = compact.decode(features, points, padded=True)
    flat = features._replace(high_res=torch.zeros_like(features.high_res))
    other, other_iou = compact.decode(flat, points, padded=True)
    assert (logits - other).abs().mean() > 0.01
    torch.testing.assert_close(iou, other_iou)
    without, _ = compact.decode(features._replace(high_res=None), points, padded=True)
    assert (without - logits).abs().mean() > 0.01


def test_every_parameter_learns(compact, make_pixels, points):
    sam = copy.deepcopy(compact).train().requires_grad_(True)
    with torch.enable_grad():
        features = sam.encode(make_pixels(2, 192))
        first, first_iou = sam.decode(features, points, padded=True)
        second, second_iou = sam.decode(features, points, masks=first[:, :1], padded=True)
        loss = sum(x.sin().sum() for x in (first, first_iou, second, second_iou))
        loss.backward()
    for name, parameter in sam.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if not name.endswith("k_proj.bias"):  # which cancels in the softmax
            assert parameter.grad.abs().max() > 1e-6, name


def test_an_encoder_of_other_widths():
    encoder = CompactEncoder(64, (8, 16, 32, 48), Blocks((1, 1, 1, 1), (0, 0, 0, 1)), 24, 12).eval()
    embedding, high_res = encoder(torch.zeros(1, 3, 64, 64))
    assert embedding.shape == (1, 24, 8, 8)
    assert high_res.shape == (1, 12, 16, 16)
