"""The encoder for CPUs gives what the network's own encoder gives."""

import pytest
import torch

from segwidget.sam.build import build_compact, build_sam_mobile
from segwidget.sam.fast.encoder import FastImageEncoder
from segwidget.sam.fast.encoders import encoder_for
from segwidget.sam.fast.linear import KERNELS, FastLinear, can_pack


def kernels():
    return [k for k in KERNELS if k != "packed" or can_pack()]


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(2, 3, 192, 192, generator=torch.Generator().manual_seed(3))


def relative_error(x, expected):
    return ((x - expected).norm() / expected.norm()).item()


def test_this_build_can_pack():
    # The pinned PyTorch has the operator, so the fast way is the one that is tested.
    assert can_pack()


@pytest.mark.parametrize("kernel", kernels())
def test_float32_is_equal_up_to_rounding(small_sam, pixels, kernel):
    with torch.no_grad():
        expected, _ = small_sam.image_encoder(pixels)
    found, high_res = FastImageEncoder(small_sam.image_encoder, kernel=kernel)(pixels)
    assert high_res is None
    assert found.dtype == torch.float32
    assert relative_error(found, expected) < 1e-5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", kernels())
def test_bfloat16_is_near(small_sam, pixels, kernel):
    with torch.no_grad():
        expected, _ = small_sam.image_encoder(pixels)
    found, _ = FastImageEncoder(small_sam.image_encoder, torch.bfloat16, kernel)(pixels)
    assert found.dtype == torch.float32
    assert 1e-5 < relative_error(found, expected) < 0.03  # lower precision it is, and no more


def test_scores_may_be_computed_in_several_steps(small_sam, pixels, monkeypatch):
    whole, _ = FastImageEncoder(small_sam.image_encoder)(pixels)
    monkeypatch.setattr("segwidget.sam.fast.encoder.SCORES_BYTES", 144 * 4 * 7)  # seven queries
    monkeypatch.setattr("segwidget.sam.fast.encoder.TOKENS", 50)
    parts, _ = FastImageEncoder(small_sam.image_encoder)(pixels)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


def test_images_are_encoded_apart(small_sam, pixels):
    encode = FastImageEncoder(small_sam.image_encoder)
    torch.testing.assert_close(encode(pixels)[0][1:], encode(pixels[1:])[0])


@pytest.mark.parametrize("kernel", kernels())
@pytest.mark.parametrize("build", [build_compact, build_sam_mobile])
def test_other_encoders_have_fast_linear_layers(pixels, build, kernel):
    torch.manual_seed(0)
    module = build().eval().image_encoder
    with torch.inference_mode():
        expected = [x for x in module(pixels) if x is not None]
        found = [x for x in encoder_for(module, torch.float32, kernel)(pixels) if x is not None]
        half = [x for x in encoder_for(module, torch.bfloat16, kernel)(pixels) if x is not None]
    for x, y, z in zip(expected, found, half, strict=True):
        assert y.dtype == z.dtype == torch.float32
        torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-4)
        assert 1e-5 < relative_error(z, x) < 0.05
    assert next(module.parameters()).dtype == torch.float32  # the model's own are untouched
    assert any(isinstance(part, torch.nn.Linear) for part in module.modules())


def test_a_vit_on_the_cpu_is_run_the_fast_way(small_sam):
    run = encoder_for(small_sam.image_encoder, torch.bfloat16, "matmul")
    assert isinstance(run, FastImageEncoder)
    assert run.dtype == torch.bfloat16


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("kernel", kernels())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_kernels_agree(kernel, gelu, dtype):
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*s, generator=generator) for s in ((37, 24), (40, 24), (40,)))
    with torch.inference_mode():
        expected = torch.nn.functional.linear(x, weight, bias)
        expected = torch.nn.functional.gelu(expected) if gelu else expected
        found = FastLinear(weight, bias, dtype, kernel, gelu=gelu)(x.to(dtype))
    assert found.dtype == dtype
    assert found.shape == (37, 40)
    tolerance = 1e-5 if dtype == torch.float32 else 0.15
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)
