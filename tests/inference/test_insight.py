"""Pictures of what goes on inside: they must be the network's own numbers."""

import numpy as np
import pytest
import torch

from segwidget.errors import ModelError, PromptError
from segwidget.inference.insight import (
    OUTPUT_TOKENS,
    attend,
    attention_weights,
    embedding_pca,
    prompt_attention,
    token_names,
)
from segwidget.inference.models import Model, load_model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point
from segwidget.sam.image_encoder import ImageEncoderViT
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.sam import Sam
from segwidget.sam.transformer import TwoWayTransformer


def published_small():
    """The published architecture, small, with random weights."""
    torch.manual_seed(5)
    encoder = ImageEncoderViT(
        img_size=64, patch_size=16, embed_dim=24, depth=1, num_heads=2, out_chans=32,
        global_attn_indexes=(0,), window_size=2,
    )  # fmt: skip
    decoder = MaskDecoder(transformer_dim=32, transformer=TwoWayTransformer(2, 32, 4, 64))
    sam = Sam(encoder, PromptEncoder(32, (4, 4), (64, 64)), decoder)
    return Model(sam.eval().requires_grad_(False), "small", "cd" * 32)


@pytest.fixture(params=["embedded", "published"])
def predictor(request, model, cache, picture):
    predictor = Predictor(model if request.param == "embedded" else published_small())
    predictor.set_image(picture)
    return predictor


PROMPTS = [
    [Point(30, 20)],
    [Point(30, 20), Point(70, 50, 0), Point(12.5, 44)],
    [Box(10, 10, 50, 40), Point(20, 30)],
]


def inputs(predictor, prompts, mask_input=None):
    coords, labels = predictor.frame.to_input(tuple(prompts))
    mask = None if mask_input is None else torch.from_numpy(mask_input)[None, None]
    return predictor.model.sam, predictor.prepared.embedding, coords, labels, mask


@pytest.mark.parametrize("prompts", PROMPTS)
@pytest.mark.parametrize("refined", [False, True])
def test_the_forward_that_is_watched_is_the_networks_own(predictor, prompts, refined):
    before = predictor.predict(prompts[:1]).low_res_logits[0] if refined else None
    answer = predictor.predict(prompts, mask_input=before, refine=False)
    sam, *rest = inputs(predictor, prompts, before)
    passes = attend(sam, *rest)
    iou = sam.mask_decoder.iou_prediction_head(passes.tokens[:, 0])[0].numpy()
    np.testing.assert_allclose(
        answer.predicted_iou, iou[list(answer.tokens)].clip(0, 1), atol=2e-4, rtol=1e-3
    )


@pytest.mark.parametrize("prompts", PROMPTS)
def test_the_weights_reproduce_what_each_attention_puts_out(predictor, prompts, monkeypatch):
    transformer = predictor.model.sam.mask_decoder.transformer
    watched = [block.cross_attn_token_to_image for block in transformer.layers]
    watched.append(transformer.final_attn_token_to_image)
    seen = []
    handles = [
        attention.register_forward_hook(lambda m, args, out: seen.append((m, args, out)))
        for attention in watched
    ]
    passes = attend(*inputs(predictor, prompts))
    for handle in handles:
        handle.remove()
    assert [m for m, _, _ in seen] == watched
    assert len(passes.weights) == len(watched)
    for (attention, (q, k, v), out), mean in zip(seen, passes.weights, strict=True):
        weights = attention_weights(attention, q, k)
        values = attention.v_proj(v).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        rebuilt = attention.out_proj((weights @ values).transpose(1, 2).flatten(2))
        torch.testing.assert_close(rebuilt, out, atol=1e-5, rtol=1e-4)
        # The modules themselves were asked with the same queries and keys.
        torch.testing.assert_close(weights[0].mean(dim=0), mean, atol=1e-5, rtol=1e-4)


def test_every_token_has_a_map_of_the_part_that_the_image_covers(predictor):
    shown = prompt_attention(predictor, [Point(30, 20), Point(70, 50, 0), Point(12, 44)])
    assert shown.tokens == (
        *OUTPUT_TOKENS,
        "included point 1",
        "excluded point",
        "included point 2",
        "padding",
    )
    side = predictor.prepared.embedding.shape[-1]
    assert shown.layers.shape == (3, 9, -(-60 * side // 90), side)  # 90 x 60 pixels
    assert shown.layers.dtype == shown.maps.dtype == np.float32
    assert (shown.layers >= 0).all()
    total = shown.layers.sum(axis=(2, 3))
    assert (total <= 1 + 1e-5).all()  # the rest lies on the padding
    assert (total > 0.1).all()
    np.testing.assert_allclose(shown.maps, shown.layers.mean(axis=0), rtol=1e-5)


def test_without_padding_all_attention_is_shown(model, cache):
    predictor = Predictor(model)
    predictor.set_image(np.random.default_rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8))
    shown = prompt_attention(predictor, Box(5, 5, 30, 30))
    np.testing.assert_allclose(shown.layers.sum(axis=(2, 3)), 1, rtol=1e-4)
    assert shown.tokens[5:] == ("box, upper left", "box, lower right")


def test_a_mask_prompt_changes_where_tokens_look(ready):
    logits = ready.predict(Point(30, 20)).low_res_logits[0]
    with_mask = prompt_attention(ready, Point(30, 20), mask_input=logits)
    assert not np.allclose(with_mask.maps, prompt_attention(ready, Point(30, 20)).maps)


def test_names_of_prompt_tokens():
    assert token_names([1, -1]) == ("included point", "padding")
    assert token_names([0, 1, 0, 2, 3]) == (
        "excluded point 1",
        "included point",
        "excluded point 2",
        "box, upper left",
        "box, lower right",
    )


def test_pca_of_cells_that_mean_alike_is_of_like_color(model, cache):
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, :48] = (200, 40, 40)
    pixels[:, 48:] = (40, 60, 210)
    predictor = Predictor(model)
    predictor.set_image(pixels)
    picture = embedding_pca(predictor)
    assert picture.dtype == np.uint8
    assert picture.shape == (11, 16, 3)  # of 16 x 16 cells, those that the image covers
    assert np.array_equal(picture, embedding_pca(predictor))  # always the same
    inner = picture[2:-2].astype(int)
    left, right = inner[:, 2:6].mean(axis=(0, 1)), inner[:, -6:-2].mean(axis=(0, 1))
    assert np.abs(left - right).max() > 60
    spread = max(inner[:, 2:6].std(axis=(0, 1)).max(), inner[:, -6:-2].std(axis=(0, 1)).max())
    assert spread < np.abs(left - right).max()


def test_pca_is_the_projection_onto_the_axes_of_most_variance(ready):
    cells = ready.prepared.embedding[0, :, :11].flatten(1).T.double().numpy()
    cells = cells - cells.mean(axis=0)
    u, s, _ = np.linalg.svd(cells, full_matrices=False)
    picture = embedding_pca(ready).reshape(-1, 3).astype(float)
    for i in range(3):
        expected = u[:, i] * s[i]
        low, high = np.percentile(expected, (2, 98))
        expected = 255 * ((expected - low) / (high - low)).clip(0, 1)
        error = min(np.abs(picture[:, i] - sign).max() for sign in (expected, 255 - expected))
        assert error <= 0.51


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_tiny_images_have_pictures_too(model, cache, size):
    predictor = Predictor(model)
    predictor.set_image(np.full((*size, 3), 90, np.uint8))
    assert embedding_pca(predictor).ndim == 3
    assert np.isfinite(prompt_attention(predictor, Point(0.5, 0.5)).maps).all()


def test_an_embedding_of_one_color_is_gray(ready, monkeypatch):
    flat = ready.prepared._replace(embedding=torch.full_like(ready.prepared.embedding, 3.7))
    monkeypatch.setattr(ready, "_prepared", flat)
    assert (embedding_pca(ready) == 128).all()


def test_what_cannot_be_shown_is_said(model, cache, ready):
    with pytest.raises(PromptError, match="no image"):
        embedding_pca(Predictor(model))
    with pytest.raises(PromptError, match="outside"):
        prompt_attention(ready, Point(500, 20))

    class Other:
        """A network of another family."""

        device = torch.device("cpu")
        variant = "other"

        def __getattr__(self, name):
            return getattr(model.network, name)

        def prepare(self, features):
            return {"mine": features}

    other = Predictor(Model(Other(), "other", "ef" * 32))
    other.set_image(np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(ModelError, match="keeps no image embedding"):
        embedding_pca(other)
    with pytest.raises(ModelError, match="not of the SAM architecture"):
        prompt_attention(other, Point(3, 3))


@pytest.mark.parametrize("family", ["sam2", "sam3_tracker"])
def test_models_of_transformers_have_an_embedding_to_show(hf_folder, cache, picture, family):
    predictor = Predictor(load_model(hf_folder(family), "cpu"))
    predictor.set_image(picture)
    height, width = predictor.prepared.embedding.shape[-2:]
    assert embedding_pca(predictor).shape == (height, width, 3)  # the image fills their input
    with pytest.raises(ModelError, match="not of the SAM architecture"):
        prompt_attention(predictor, Point(30, 20))


def test_the_embedded_model_tells_an_object_from_its_ground():
    """A bright disk: the single-mask token gathers its answer from in and around it."""
    y, x = np.mgrid[:256, :256]
    disk = (x - 128) ** 2 + (y - 128) ** 2 < 60**2
    pixels = np.where(disk[..., None], (230, 200, 60), (40, 70, 60)).astype(np.uint8)
    predictor = Predictor(load_model("embedded", "cpu"))
    predictor.set_image(pixels)
    assert embedding_pca(predictor).shape == (64, 64, 3)
    maps = prompt_attention(predictor, Point(128, 128)).maps
    near = disk[2::4, 2::4]
    assert maps[1][near].mean() > 1.2 * maps[1][~near].mean()
