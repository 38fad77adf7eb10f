"""The network's parts by their published names."""

from segwidget.compat.sam import Sam
from segwidget.sam.image_encoder import ImageEncoderViT
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.tiny_vit import TinyViT
from segwidget.sam.transformer import TwoWayTransformer

__all__ = [
    "ImageEncoderViT",
    "MaskDecoder",
    "PromptEncoder",
    "Sam",
    "TinyViT",
    "TwoWayTransformer",
]
