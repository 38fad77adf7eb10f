"""Builds the networks by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from segwidget.sam.compact_encoder import BLOCKS, Blocks, CompactEncoder
from segwidget.sam.image_encoder import ImageEncoderViT
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.sam import Sam
from segwidget.sam.tiny_vit import TinyViT
from segwidget.sam.transformer import TwoWayTransformer


def build_sam_vit_b() -> Sam:
    """SAM with ViT-B: 94 M parameters, random weights."""
    return _build_vit(768, 12, 12, (2, 5, 8, 11))


def build_sam_vit_l() -> Sam:
    """SAM with ViT-L: 312 M parameters, random weights."""
    return _build_vit(1024, 24, 16, (5, 11, 17, 23))


def build_sam_vit_h() -> Sam:
    """SAM with ViT-H: 641 M parameters, random weights."""
    return _build_vit(1280, 32, 16, (7, 15, 23, 31))


def build_sam_mobile() -> Sam:
    """MobileSAM: SAM's decoder behind a TinyViT; 9.8 M parameters, random weights."""
    return _with_published_decoder(TinyViT())


def build_compact(img_size: int = 512, blocks: Blocks = BLOCKS) -> Sam:
    """The embedded model's network: a compact encoder and a decoder of width 128.

    Args:
        img_size: side of the input in pixels, a multiple of 32; 512 as shipped. Training starts
            at smaller sizes, with the same parameters.
        blocks: depth of the encoder; by default as shipped.
    """
    dim, high_res = 128, 32
    side = img_size // 8
    return Sam(
        CompactEncoder(img_size, blocks=blocks, out_chans=dim, high_res_channels=high_res),
        PromptEncoder(
            dim,
            (side, side),
            (img_size, img_size),
            activation=nn.ReLU,
            point_features=True,
            dense_prompts=True,
        ),
        MaskDecoder(
            transformer_dim=dim,
            transformer=TwoWayTransformer(2, dim, num_heads=4, mlp_dim=512),
            iou_head_hidden_dim=dim,
            upscaled_channels=(48, 24),
            activation=nn.ReLU,  # GELU's gradient alone would take a fifth of a training step
            high_res_channels=high_res,
            smooth=True,
        ),
    )


def _build_vit(
    embed_dim: int, depth: int, num_heads: int, global_attn_indexes: tuple[int, ...]
) -> Sam:
    return _with_published_decoder(
        ImageEncoderViT(
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            global_attn_indexes=global_attn_indexes,
        )
    )


def _with_published_decoder(image_encoder: ImageEncoderViT | TinyViT) -> Sam:
    """A network whose encoder makes 256 channels of stride 16."""
    img_size, dim = image_encoder.img_size, 256
    side = img_size // 16
    return Sam(
        image_encoder,
        PromptEncoder(dim, (side, side), (img_size, img_size)),
        MaskDecoder(
            transformer_dim=dim,
            transformer=TwoWayTransformer(2, dim, num_heads=8, mlp_dim=2048),
        ),
    )


BUILDERS: dict[str, Callable[[], Sam]] = {
    "vit_b": build_sam_vit_b,
    "vit_l": build_sam_vit_l,
    "vit_h": build_sam_vit_h,
    "mobile_sam": build_sam_mobile,
    "embedded": build_compact,
}
