"""The published code which results are compared with: segment-anything, and MobileSAM.

Both import torchvision for four functions: two that resize a photograph, two that suppress boxes
which overlap. Those stand here, by Pillow and in plain torch, so that the tests need no torchvision
and always compare with the same code. What MobileSAM imports of timm stands here, too.
"""

import importlib
import sys
from contextlib import contextmanager
from functools import lru_cache, partial
from types import ModuleType

import torch
from PIL import Image
from torch import nn


def to_pil_image(pixels):
    """`torchvision.transforms.functional.to_pil_image` of an array ``uint8 (H, W, 3)``."""
    return Image.fromarray(pixels)


def resize(picture, size):
    """`torchvision.transforms.functional.resize` of a Pillow image to ``(h, w)``, bilinear."""
    return picture.resize(tuple(size)[::-1], Image.Resampling.BILINEAR)


def box_area(boxes):
    """`torchvision.ops.boxes.box_area` of ``(N, 4)`` boxes ``xyxy``."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def nms(boxes, scores, iou_threshold):
    """`torchvision.ops.boxes.nms`: the indices that stay, by falling score."""
    order = scores.argsort(descending=True, stable=True)
    boxes, areas = boxes[order], box_area(boxes[order])
    alive = torch.ones(len(boxes), dtype=torch.bool)
    for i in range(len(boxes)):
        if alive[i]:
            low = torch.maximum(boxes[i, :2], boxes[i + 1 :, :2])
            high = torch.minimum(boxes[i, 2:], boxes[i + 1 :, 2:])
            shared = (high - low).clamp(min=0).prod(dim=1)
            alive[i + 1 :] &= shared / (areas[i] + areas[i + 1 :] - shared) <= iou_threshold
    return order[alive]


def batched_nms(boxes, scores, idxs, iou_threshold):
    """`torchvision.ops.boxes.batched_nms`: each class among itself, by moving classes apart."""
    if not len(boxes):
        return torch.empty(0, dtype=torch.int64)
    offsets = idxs.to(boxes) * (boxes.max() + 1)
    return nms(boxes + offsets[:, None], scores, iou_threshold)


STAND_INS = {
    "torchvision": {},
    "torchvision.transforms": {},
    "torchvision.transforms.functional": {"resize": resize, "to_pil_image": to_pil_image},
    "torchvision.ops": {},
    "torchvision.ops.boxes": {"batched_nms": batched_nms, "box_area": box_area},
    "timm": {},
    "timm.models": {},
    "timm.models.layers": {
        "DropPath": nn.Identity,  # only made where paths are dropped: never in MobileSAM
        "to_2tuple": lambda x: (x, x),
        "trunc_normal_": nn.init.trunc_normal_,
    },
    "timm.models.registry": {"register_model": lambda build: build},
}


def _forget(*packages):
    """Take the packages out of the imported modules and return them."""
    names = [name for name in sys.modules if name.split(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}


@lru_cache
def _modules(package):
    """A package's modules by name, imported with the stand-ins at hand.

    Neither they nor the stand-ins stay among the imported modules, so that nothing else in the
    process takes them for installed.
    """
    passing = package, "torchvision", "timm"
    before = _forget(*passing)
    try:
        for name, content in STAND_INS.items():
            module = ModuleType(name)
            vars(module).update(content)
            sys.modules[name] = module
        importlib.import_module(package)
    finally:
        modules = _forget(*passing)
        sys.modules.update(before)
    return {name: module for name, module in modules.items() if name.split(".")[0] == package}


def segment_anything():
    """The whole package, with its predictor and its mask generator."""
    return _modules("segment_anything")["segment_anything"]


def mobile_sam():
    """MobileSAM's package: a copy of segment-anything with the small encoder."""
    return _modules("mobile_sam")["mobile_sam"]


@contextmanager
def importable(package):
    """Lets code import a package while it lasts."""
    before = _forget(package)
    sys.modules.update(_modules(package))
    try:
        yield
    finally:
        _forget(package)
        sys.modules.update(before)


def build_reference(sizes):
    """The package's network at other sizes; see `Sizes` in `tests/sam/conftest.py`."""
    parts = segment_anything().modeling
    return parts.Sam(
        image_encoder=parts.ImageEncoderViT(
            img_size=sizes.img_size,
            patch_size=sizes.patch_size,
            embed_dim=sizes.embed_dim,
            depth=sizes.depth,
            num_heads=sizes.num_heads,
            mlp_ratio=sizes.mlp_ratio,
            out_chans=sizes.out_chans,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=sizes.window_size,
            global_attn_indexes=sizes.global_attn_indexes,
        ),
        prompt_encoder=parts.PromptEncoder(
            embed_dim=sizes.out_chans,
            image_embedding_size=(sizes.side, sizes.side),
            input_image_size=(sizes.img_size, sizes.img_size),
            mask_in_chans=sizes.mask_in_chans,
        ),
        mask_decoder=parts.MaskDecoder(
            transformer_dim=sizes.out_chans,
            transformer=parts.TwoWayTransformer(
                depth=2,
                embedding_dim=sizes.out_chans,
                num_heads=sizes.decoder_heads,
                mlp_dim=sizes.decoder_mlp_dim,
            ),
            iou_head_hidden_dim=sizes.iou_head_hidden_dim,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    ).eval()


def make_picture(width, height):
    """``uint8 (H, W, 3)`` with structure at several scales."""
    generator = torch.Generator().manual_seed(5)
    picture = torch.full((1, 3, height, width), 120.0)
    for side in (3, 9, 40):
        noise = torch.randn(1, 3, side, side, generator=generator)
        picture += 30 * nn.functional.interpolate(noise, (height, width), mode="bilinear")
    return picture[0].permute(1, 2, 0).clamp(0, 255).to(torch.uint8).numpy()
