"""The same weights, images and prompts give the same numbers in transformers' ``SamModel``."""

import re

import pytest
import torch
from transformers import SamConfig, SamModel

from segwidget.sam.build import build_sam_vit_b

# Each rewrites a part of a published key into transformers' name of it; the first that fits wins.
RENAMES = [
    (r"^image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"^image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^image_encoder\.blocks\.(\d+)\.norm(\d)\.", r"vision_encoder.layers.\1.layer_norm\2."),
    (r"^image_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"\.(iou_prediction_head|output_hypernetworks_mlps\.\d)\.layers\.0\.", r".\1.proj_in."),
    (r"\.(iou_prediction_head|output_hypernetworks_mlps\.\d)\.layers\.1\.", r".\1.layers.0."),
    (r"\.(iou_prediction_head|output_hypernetworks_mlps\.\d)\.layers\.2\.", r".\1.proj_out."),
    (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
]


def to_transformers(state):
    """A published state dict under transformers' keys."""
    converted = {}
    for key, value in state.items():
        for pattern, replacement in RENAMES:
            renamed, hits = re.subn(pattern, replacement, key)
            if hits:
                break
        converted[renamed] = value
    shared = "shared_embedding.positional_embedding"
    converted["shared_image_embedding.positional_embedding"] = converted[f"prompt_encoder.{shared}"]
    return converted


def build_reference(sizes, state):
    config = SamConfig(
        vision_config={
            "hidden_size": sizes.embed_dim,
            "output_channels": sizes.out_chans,
            "num_hidden_layers": sizes.depth,
            "num_attention_heads": sizes.num_heads,
            "image_size": sizes.img_size,
            "patch_size": sizes.patch_size,
            "mlp_ratio": sizes.mlp_ratio,
            "window_size": sizes.window_size,
            "global_attn_indexes": sizes.global_attn_indexes,
            "num_pos_feats": sizes.out_chans // 2,
        },
        prompt_encoder_config={
            "hidden_size": sizes.out_chans,
            "image_size": sizes.img_size,
            "patch_size": sizes.patch_size,
            "mask_input_channels": sizes.mask_in_chans,
        },
        mask_decoder_config={
            "hidden_size": sizes.out_chans,
            "mlp_dim": sizes.decoder_mlp_dim,
            "num_attention_heads": sizes.decoder_heads,
            "iou_head_hidden_dim": sizes.iou_head_hidden_dim,
            "layer_norm_eps": 1e-5,  # the published code's; transformers' own default is 1e-6
        },
    )
    with torch.device("meta"):  # the weights are replaced at once
        reference = SamModel(config)
    reference.load_state_dict(to_transformers(state), strict=True, assign=True)
    return reference.eval()


def reference_predict(reference, embedding, prompts, multimask_output):
    """Ask transformers, which counts images and prompts of an image on two axes."""
    each_its_own_mask = prompts.masks is not None and len(prompts.masks) > 1
    if each_its_own_mask:  # which it allows to different images only
        embedding = embedding.expand(prompts.count, -1, -1, -1)

    def split(x):
        if x is None:
            return None
        return x.unsqueeze(1) if each_its_own_mask else x.unsqueeze(0)

    coords, labels = prompts.points or (None, None)
    answer = reference(
        image_embeddings=embedding,
        input_points=split(coords),
        input_labels=split(labels),
        input_boxes=split(prompts.boxes),
        input_masks=prompts.masks,
        multimask_output=multimask_output,
    )
    return answer.pred_masks.flatten(0, 1), answer.iou_scores.flatten(0, 1)


@pytest.fixture(scope="module")
def reference(sizes, small_sam):
    return build_reference(sizes, small_sam.state_dict())


def test_image_embedding(small_sam, reference, pixels, assert_parity):
    ours = small_sam.encode(pixels).embedding
    assert_parity(ours, reference.get_image_embeddings(pixels))
    assert (ours[0] - ours[1]).abs().mean() > 0.1  # two images, two answers


def test_masks_and_iou(
    small_sam, reference, features, prompts, multimask_output, predict, assert_parity
):
    logits, iou = predict(small_sam, features, prompts, multimask_output)
    expected = reference_predict(reference, features.embedding, prompts, multimask_output)
    masks = 3 if multimask_output else 1
    assert logits.shape == (prompts.count, masks, 48, 48)
    assert iou.shape == (prompts.count, masks)
    assert_parity(logits, expected[0])
    torch.testing.assert_close(iou, expected[1], rtol=0, atol=1e-4)
    assert iou.abs().min() > 1e-3


def test_prompts_on_two_images_at_once(small_sam, reference, pixels, make_prompts, assert_parity):
    coords, labels = make_prompts("batch of points", 192).points
    coords = torch.cat([coords, coords.flip(0) * 0.8])
    labels = torch.cat([labels, labels.flip(1)])
    features = small_sam.encode(pixels)
    logits, iou = small_sam.decode(features, (coords, labels))
    expected = [
        reference(
            image_embeddings=features.embedding,
            input_points=coords.unflatten(0, (2, 3)),
            input_labels=labels.unflatten(0, (2, 3)),
            multimask_output=multimask_output,
        )
        for multimask_output in (False, True)
    ]
    assert_parity(logits, torch.cat([x.pred_masks for x in expected], dim=2).flatten(0, 1))
    assert_parity(iou, torch.cat([x.iou_scores for x in expected], dim=2).flatten(0, 1))


@pytest.mark.slow
@pytest.mark.timeout(600)  # half a minute of one core, where that core is free
def test_vit_b(vit_b_sizes, random_state, make_pixels, make_prompts, predict, assert_parity):
    sam = build_sam_vit_b().eval()
    sam.load_state_dict(random_state(sam), strict=True)
    reference = build_reference(vit_b_sizes, sam.state_dict())
    pixels = make_pixels(1, 1024)
    features = sam.encode(pixels)
    assert features.embedding.shape == (1, 256, 64, 64)
    assert_parity(features.embedding, reference.get_image_embeddings(pixels))
    for kind in ("point", "box and points", "mask and points"):
        prompts = make_prompts(kind, 1024)
        logits, iou = predict(sam, features, prompts, True)
        expected = reference_predict(reference, features.embedding, prompts, True)
        assert logits.shape == (1, 3, 256, 256)
        assert_parity(logits, expected[0])
        assert_parity(iou, expected[1])
