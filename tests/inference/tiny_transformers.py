"""Models of transformers, tiny and with random weights, that answer in the right places."""

import json

import torch
from safetensors.torch import save_file
from transformers import (
    Sam2Config,
    Sam2Model,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoModel,
    SamConfig,
    SamModel,
)

SIZES = {"sam": 96, "sam2": 128, "sam3_tracker": 112}  # of the input, in pixels
DECODER = {
    "hidden_size": 32,
    "mlp_dim": 32,
    "num_attention_heads": 4,
    "iou_head_hidden_dim": 32,
}
MEMORY = {  # of the models for videos
    "memory_attention_hidden_size": 32,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_attention_num_layers": 1,
    "memory_attention_rope_feat_sizes": [8, 8],
    "memory_encoder_hidden_size": 32,
    "memory_encoder_output_channels": 16,
    "memory_fuser_embed_dim": 32,
    "memory_fuser_intermediate_dim": 32,
    "mask_downsampler_embed_dim": 32,
}


def prompts(size, patch_size):
    return {
        "hidden_size": 32,
        "image_size": size,
        "patch_size": patch_size,
        "mask_input_channels": 8,
    }


def feature_sizes(size, patch_size):
    return [[factor * size // patch_size] * 2 for factor in (4, 2, 1)]


def sam():
    size = SIZES["sam"]
    return SamModel(
        SamConfig(
            vision_config={
                "hidden_size": 32,
                "output_channels": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": size,
                "patch_size": 16,
                "mlp_ratio": 2.0,
                "window_size": 4,
                "global_attn_indexes": [1],
                "num_pos_feats": 16,
            },
            prompt_encoder_config=prompts(size, 16),
            mask_decoder_config=DECODER,
        )
    )


def sam2_parts():
    size = SIZES["sam2"]
    hiera = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [size, size],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [4, 4, 4, 2],
        "window_positional_embedding_background_size": [4, 4],
        "global_attention_blocks": [3],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": hiera,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": feature_sizes(size, 16),
        "fpn_hidden_size": 32,
    }
    return {
        "vision_config": vision,
        "prompt_encoder_config": prompts(size, 16),
        "mask_decoder_config": DECODER,
    }


def sam2():
    return Sam2Model(Sam2Config(**sam2_parts()))


def sam2_video():
    return Sam2VideoModel(Sam2VideoConfig(**sam2_parts(), image_size=SIZES["sam2"], **MEMORY))


def sam3_parts(scale_factors):
    size = SIZES["sam3_tracker"]
    vit = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": size,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": vit,
        "backbone_feature_sizes": feature_sizes(size, 14),
        "fpn_hidden_size": 32,
        "scale_factors": scale_factors,
    }
    return {
        "vision_config": vision,
        "prompt_encoder_config": prompts(size, 14),
        "mask_decoder_config": DECODER,
    }


def sam3_tracker(scale_factors=(4.0, 2.0, 1.0)):
    return Sam3TrackerModel(Sam3TrackerConfig(**sam3_parts(list(scale_factors))))


def sam3_tracker_video():
    parts = sam3_parts([4.0, 2.0, 1.0, 0.5])  # as published: the last is not for the decoder
    size = SIZES["sam3_tracker"]
    return Sam3TrackerVideoModel(Sam3TrackerVideoConfig(**parts, image_size=size, **MEMORY))


def save_sam3(folder):
    """All of SAM 3 as published, but for the part that answers text; returns the tracker in it."""
    tracker = randomized(sam3_tracker((4.0, 2.0, 1.0, 0.5)))
    parts = {
        "vision_encoder.backbone.": "detector_model.vision_encoder.backbone.",
        "vision_encoder.neck.": "tracker_neck.",
        "": "tracker_model.",
    }
    weights = {"detector_model.detr_decoder.query_embed.weight": torch.ones(1)}
    for key, value in tracker.state_dict().items():
        ours = next(prefix for prefix in parts if key.startswith(prefix))
        weights[parts[ours] + key.removeprefix(ours)] = value.clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    own = {"model_type": "sam3_tracker_video", "image_size": SIZES["sam3_tracker"], **MEMORY}
    config = {
        "model_type": "sam3_video",
        "architectures": ["Sam3VideoModel"],
        "detector_config": {"model_type": "sam3"},
        "tracker_config": {**own, **sam3_parts([4.0, 2.0, 1.0, 0.5])},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return tracker


def randomized(model):
    """The model with weights that keep signals alive, so that a wrong one is seen in the answer."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:
                weight.copy_(0.1 * noise + ("norm" in name and name.endswith("weight")))
            elif "embed" in name or "token" in name:
                weight.copy_(0.5 * noise)
            else:
                weight.copy_(noise * (1.5 / weight[0].numel()) ** 0.5)
        places = model.shared_image_embedding.positional_embedding
        places.copy_(torch.randn(places.shape, generator=generator))
        # Two tensors in SAM 2 and 3, but of one content, as published.
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(places)
    return model.eval()
