"""The whole network: its input, its names, its sizes."""

import pytest
import torch

from segwidget.errors import ImageError
from segwidget.sam.build import BUILDERS
from segwidget.sam.mask_decoder import smoothed, smoothing_matrix

MEAN = torch.tensor([123.675, 116.28, 103.53])
STD = torch.tensor([58.395, 57.12, 57.375])


def test_preprocess_normalizes_and_pads_right_and_below(small_sam):
    image = torch.randint(0, 256, (2, 3, 100, 192), generator=torch.Generator().manual_seed(0))
    x = small_sam.preprocess(image.to(torch.uint8))
    assert x.shape == (2, 3, 192, 192)
    assert x.dtype == torch.float32
    expected = (image - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    torch.testing.assert_close(x[..., :100, :], expected)
    assert not x[..., 100:, :].any()


def test_preprocess_of_the_mean_color_is_zero(small_sam):
    assert not small_sam.preprocess(MEAN.view(1, 3, 1, 1).expand(1, 3, 7, 5)).any()


@pytest.mark.parametrize(("width", "height"), [(193, 100), (100, 193)])
def test_preprocess_refuses_an_image_that_does_not_fit(small_sam, width, height):
    with pytest.raises(ImageError, match=rf"{width} x {height} pixels.*at most 192.*Resize"):
        small_sam.preprocess(torch.zeros(1, 3, height, width))


def test_normalization_is_no_part_of_the_weights(small_sam):
    assert not [key for key in small_sam.state_dict() if "pixel" in key]
    assert small_sam.device == torch.device("cpu")


def test_encode_gives_no_stride_4_map_where_the_encoder_has_none(small_sam, features):
    assert features.embedding.shape == (1, 64, 12, 12)
    assert features.high_res is None
    assert small_sam.image_size == 192
    assert small_sam.mask_threshold == 0


def test_decode_is_the_single_mask_then_the_three(small_sam, features, prompts, predict):
    logits, iou = small_sam.decode(features, prompts.points, prompts.boxes, prompts.masks)
    single, single_iou = predict(small_sam, features, prompts, False)
    three, three_iou = predict(small_sam, features, prompts, True)
    assert torch.equal(logits, torch.cat([single, three], dim=1))
    assert torch.equal(iou, torch.cat([single_iou, three_iou], dim=1))


@pytest.mark.parametrize(
    ("name", "millions", "size"),
    [
        ("vit_b", 94, 1024),
        ("vit_l", 312, 1024),
        ("vit_h", 641, 1024),
        ("embedded", 8.3, 512),
        ("mobile_sam", 9.8, 1024),
    ],
)
def test_builders(name, millions, size):
    with torch.device("meta"):
        sam = BUILDERS[name]()
    count = sum(x.numel() for x in sam.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.05)
    assert sam.image_size == size


def test_half_precision_stays_half(small_sam, build_small, pixels, features, make_prompts):
    half = build_small()
    half.load_state_dict(small_sam.state_dict())
    half = half.bfloat16()
    encoded = half.encode(half.preprocess(pixels[:1]))
    assert encoded.embedding.dtype == torch.bfloat16
    prompts = make_prompts("box and points", 192)
    logits, iou = half.decode(
        features._replace(embedding=features.embedding.bfloat16()), prompts.points, prompts.boxes
    )
    assert logits.dtype == iou.dtype == torch.bfloat16
    exact, _ = small_sam.decode(features, prompts.points, prompts.boxes)
    assert (logits.float() - exact).abs().mean() < 0.1 * exact.std()


def test_smoothing_takes_off_what_repeats_with_a_cell_and_keeps_the_rest():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    slope = 0.3 * x - 0.2 * y
    generator = torch.Generator().manual_seed(0)
    cell = torch.randn(4, 4, generator=generator)
    pattern = (cell - cell.mean()).repeat(16, 16)
    ((smooth,),) = smoothed((slope + 9 * pattern)[None, None])
    inner = slice(3, -3)  # where nothing of the repeated border is seen
    torch.testing.assert_close(smooth[inner, inner], slope[inner, inner], atol=1e-4, rtol=1e-5)


def test_smoothing_learns_after_it_has_answered():
    smoothing_matrix.cache_clear()
    with torch.inference_mode():
        smoothed(torch.zeros(1, 1, 12, 16))
    logits = torch.zeros(1, 1, 12, 16, requires_grad=True)
    with torch.enable_grad():
        smoothed(logits).sum().backward()
    torch.testing.assert_close(logits.grad.sum(), torch.tensor(12.0 * 16))
