"""The decoder for CPUs gives what the network's own decoder gives, for every kind of prompt."""

import pytest
import torch

from segwidget.sam.build import build_compact
from segwidget.sam.fast.decoder import FastDecoder, for_each
from segwidget.sam.sam import ImageFeatures


@pytest.fixture(scope="module")
def one_image(small_sam):
    generator = torch.Generator().manual_seed(1)
    c, side = small_sam.prompt_encoder.embed_dim, small_sam.prompt_encoder.image_embedding_size[0]
    return ImageFeatures(torch.randn(1, c, side, side, generator=generator))


def ask(decode, features, prompts):
    return decode(features, prompts.points, prompts.boxes, prompts.masks)


def test_float32_is_equal_up_to_rounding(small_sam, one_image, prompts):
    with torch.no_grad():
        expected, expected_iou = ask(small_sam.decode, one_image, prompts)
    fast = FastDecoder(small_sam)
    logits, iou = ask(fast, fast.prepare(one_image), prompts)
    assert logits.shape == expected.shape
    assert logits.dtype == torch.float32
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(iou, expected_iou, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["point", "mask and points", "batch of boxes and points"])
def test_bfloat16_is_near(small_sam, one_image, make_prompts, kind):
    prompts = make_prompts(kind, small_sam.image_size)
    with torch.no_grad():
        expected, expected_iou = ask(small_sam.decode, one_image, prompts)
    fast = FastDecoder(small_sam, torch.bfloat16)
    logits, iou = ask(fast, fast.prepare(one_image), prompts)
    assert logits.dtype == torch.float32
    error = (logits - expected).norm() / expected.norm()
    assert 1e-5 < error < 0.08
    assert (iou - expected_iou).abs().max() < 0.1
    same = ((logits > 0) == (expected > 0)).float().mean()
    assert same > 0.97


@pytest.mark.parametrize("masked", [False, True], ids=["first prompt", "with previous logits"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_embedded_network_with_its_additions(masked, count):
    torch.manual_seed(0)
    sam = build_compact(128).eval()
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(1, 3, 128, 128, generator=generator)
    coords = 128 * torch.rand(count, 4, 2, generator=generator)
    labels = torch.tensor([[1, 0, 2, 3]]).expand(count, -1)
    masks = torch.randn(count, 1, 64, 64, generator=generator) if masked else None
    with torch.no_grad():
        features = sam.encode(pixels)
        expected, expected_iou = sam.decode(features, (coords, labels), masks=masks, padded=True)
    fast = FastDecoder(sam, kernel="convolution")
    logits, iou = fast(fast.prepare(features), (coords, labels), masks=masks, padded=True)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(iou, expected_iou, rtol=1e-4, atol=1e-4)


def test_answers_do_not_change_what_was_prepared(small_sam, one_image, make_prompts):
    fast = FastDecoder(small_sam)
    prepared = fast.prepare(one_image)
    first, _ = ask(fast, prepared, make_prompts("point", small_sam.image_size))
    ask(fast, prepared, make_prompts("batch of points and a mask each", small_sam.image_size))
    again, _ = ask(fast, prepared, make_prompts("point", small_sam.image_size))
    assert torch.equal(first, again)


def test_products_with_what_is_shared():
    generator = torch.Generator().manual_seed(0)
    x, shared = (torch.randn(*s, generator=generator) for s in ((3, 2, 5, 4), (2, 4, 6)))
    torch.testing.assert_close(for_each(x, shared), x @ shared)
