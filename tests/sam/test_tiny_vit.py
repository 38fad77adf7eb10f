"""MobileSAM's encoder: the same weights and images give the same numbers in the published code."""

import copy

import pytest
import torch
from torch import nn

from segwidget.errors import CheckpointError
from segwidget.sam.build import build_sam_mobile
from segwidget.sam.checkpoint import load_checkpoint, save_checkpoint
from segwidget.sam.tiny_vit import ConvBN, TinyViT, distances
from tests.reference import mobile_sam


def make_state(network, random_state):
    """Random weights, and statistics that batch norms may have come to."""
    state = random_state(network)
    generator = torch.Generator().manual_seed(1)
    for key, value in state.items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith("running_mean"):
            value.mul_(0.3)
    return state


def build_reference(img_size):
    return (
        mobile_sam()
        .modeling.TinyViT(
            img_size=img_size,
            embed_dims=[64, 128, 160, 320],
            depths=[2, 2, 6, 2],
            num_heads=[2, 4, 5, 10],
            window_sizes=[7, 7, 14, 7],
            drop_path_rate=0.0,
        )
        .eval()
    )


def embed(reference, x):
    """As its ``forward``, which is made for 1024 pixels only."""
    side = x.shape[-1] // 16
    tokens = reference.patch_embed(x)
    for layer in reference.layers:
        tokens = layer(tokens)
    return reference.neck(tokens.transpose(1, 2).unflatten(2, (side, side)))


@pytest.fixture(scope="module")
def published(random_state):
    """The published package's whole network, with random weights."""
    network = mobile_sam().sam_model_registry["vit_t"]()
    network.load_state_dict(make_state(network, random_state))
    return network.train().eval()  # which renews what it keeps of the biases


@pytest.fixture(scope="module")
def encoder_state(random_state):
    return make_state(TinyViT(), random_state)


@pytest.fixture(scope="module")
def encoder(encoder_state):
    encoder = TinyViT()
    encoder.load_state_dict(encoder_state)
    return encoder.eval().requires_grad_(False)


def test_keys_and_shapes_are_the_published_ones_without_the_classifier(published):
    with torch.device("meta"):
        ours = {k: v.shape for k, v in build_sam_mobile().state_dict().items()}
    theirs = {k: v.shape for k, v in published.state_dict().items()}
    left = {k: theirs.pop(k) for k in list(theirs) if k not in ours}
    assert theirs == ours
    assert len(ours) == 435
    assert left == {
        "image_encoder.norm_head.weight": (320,),
        "image_encoder.norm_head.bias": (320,),
        "image_encoder.head.weight": (1000, 320),
        "image_encoder.head.bias": (1000,),
    }
    # 40,728,226 bytes as published: these numbers, and some hundred bytes to name each tensor.
    numbers = sum(v.numel() * v.element_size() for v in published.state_dict().values())
    assert numbers == 40_561_032


def test_the_published_file_loads_and_gives_its_answers(
    published, tmp_path, make_pixels, make_prompts, assert_parity
):
    path = tmp_path / "mobile_sam.pt"
    torch.save(published.state_dict(), path)
    loaded = load_checkpoint(path)
    assert loaded.architecture == "mobile_sam"
    assert not any(isinstance(m, nn.BatchNorm2d) for m in loaded.sam.modules())  # fused
    assert loaded.sam.image_size == 1024
    pixels = make_pixels(1, 1024)
    expected = published.image_encoder(pixels)
    features = loaded.sam.encode(pixels)
    assert features.high_res is None
    assert_parity(features.embedding, expected)

    prompts = make_prompts("box and points", 1024)
    sparse, dense = published.prompt_encoder(prompts.points, prompts.boxes, None)
    expected_logits, expected_iou = published.mask_decoder.predict_masks(
        expected, published.prompt_encoder.get_dense_pe(), sparse, dense
    )
    logits, iou = loaded.sam.decode(features, prompts.points, prompts.boxes)
    assert_parity(logits, expected_logits, tolerance=1e-3)
    torch.testing.assert_close(iou, expected_iou, rtol=0, atol=1e-3)


@pytest.mark.parametrize("img_size", [64, 160, 224])  # padded windows; and at 224 just one of 14
def test_image_embedding_at_other_sizes(encoder_state, img_size, make_pixels, assert_parity):
    reference = build_reference(img_size)
    reference.load_state_dict(encoder_state, strict=False)
    reference.train().eval()
    encoder = TinyViT(img_size)
    encoder.load_state_dict(encoder_state)
    pixels = make_pixels(2, img_size)
    ours, nothing = encoder.eval()(pixels)
    assert nothing is None
    assert_parity(ours, embed(reference, pixels))
    assert (ours[0] - ours[1]).abs().mean() > 0.1


def test_fused_batch_norms_give_the_same_embedding(encoder, make_pixels):
    pixels = make_pixels(1, 128)
    expected, _ = encoder(pixels)
    fused = copy.deepcopy(encoder).train()
    assert fused.fuse().fuse() is fused
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert all(m.c.bias is not None for m in fused.modules() if isinstance(m, ConvBN))
    torch.testing.assert_close(fused(pixels)[0], expected, rtol=0, atol=1e-4)


def test_every_weight_matters(random_state, make_pixels):
    """Guards the comparisons: no part of the network may drown in their tolerance."""
    encoder = TinyViT(64, depths=(1, 1, 1, 1)).eval().requires_grad_(False)
    encoder.load_state_dict(make_state(encoder, random_state))
    pixels = make_pixels(1, 64)
    before, _ = encoder(pixels)
    for key, value in encoder.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        kept = value.clone()
        value.copy_(kept.flatten().flip(0).view_as(kept))
        change = (encoder(pixels)[0] - before).abs().max()
        value.copy_(kept)
        assert change > 2e-3, f"reversing {key} changes the embedding by {change:.2g} only"


def test_every_parameter_learns(encoder_state, make_pixels):
    encoder = TinyViT(64)
    encoder.load_state_dict(encoder_state)
    with torch.enable_grad():
        encoder.train()(make_pixels(2, 64))[0].sin().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-6, name


def test_a_fresh_network_sees_the_image(make_pixels):
    torch.manual_seed(0)
    embedding, _ = TinyViT(64).eval()(make_pixels(2, 64))
    assert embedding.shape == (2, 256, 4, 4)
    assert embedding.isfinite().all()
    assert (embedding[0] - embedding[1]).abs().mean() > 0.01


def test_half_precision_in_the_file_is_single_precision_in_the_network(
    encoder_state, tmp_path, make_pixels
):
    sam = build_sam_mobile()
    sam.image_encoder.load_state_dict(encoder_state)
    save_checkpoint(sam.eval(), tmp_path / "half.safetensors")
    loaded = load_checkpoint(tmp_path / "half.safetensors")
    assert loaded.architecture == "mobile_sam"
    assert {p.dtype for p in loaded.sam.parameters()} == {torch.float32}
    pixels = make_pixels(1, 64)
    expected, _ = sam.image_encoder(pixels)
    found, _ = loaded.sam.image_encoder(pixels)
    assert (found - expected).abs().mean() < 0.01 * expected.std()


def test_bfloat16_stays_bfloat16(encoder, make_pixels):
    pixels = make_pixels(1, 64)
    half = copy.deepcopy(encoder).bfloat16()
    embedding, _ = half(pixels.bfloat16())
    assert embedding.dtype == torch.bfloat16
    exact, _ = encoder(pixels)
    assert (embedding.float() - exact).abs().mean() < 0.1 * exact.std()


def test_a_file_that_nearly_fits(encoder_state, tmp_path):
    state = build_sam_mobile().state_dict()
    del state["image_encoder.layers.3.blocks.1.attn.attention_biases"]
    torch.save(state, tmp_path / "mobile_sam.pt")
    with pytest.raises(CheckpointError, match=r"look like mobile_sam, but do not fit.*layers\.3"):
        load_checkpoint(tmp_path / "mobile_sam.pt")


def test_distances_are_numbered_by_rows_and_columns_apart():
    assert distances(2, torch.device("cpu")).tolist() == [
        [0, 1, 2, 3],
        [1, 0, 3, 2],
        [2, 3, 0, 1],
        [3, 2, 1, 0],
    ]
    reference = build_reference(64).layers[2].blocks[0].attn.attention_bias_idxs
    assert torch.equal(distances(14, torch.device("cpu")), reference)
