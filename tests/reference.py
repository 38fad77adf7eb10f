"""The published code which results are compared with: segment-anything, and MobileSAM.

Both import torchvision for four functions: two that resize a photograph, two that suppress boxes
which overlap. Those stand here, by Pillow and in plain torch, so that the tests need no torchvision
and always compare with the same code. What MobileSAM imports of timm stands here, too.
"""

import importlib
import sys
from functools import lru_cache
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


def _import(package):
    """A package that finds the stand-ins.

    Neither it nor they stay among the imported modules, so that nothing else in the process takes
    them for installed.
    """
    passing = package, "torchvision", "timm"
    before = _forget(*passing)
    try:
        for name, content in STAND_INS.items():
            module = ModuleType(name)
            vars(module).update(content)
            sys.modules[name] = module
        return importlib.import_module(package)
    finally:
        _forget(*passing)
        sys.modules.update(before)


@lru_cache(maxsize=1)
def segment_anything():
    """The whole package, with its predictor and its mask generator."""
    return _import("segment_anything")


@lru_cache(maxsize=1)
def mobile_sam():
    """MobileSAM's package: a copy of segment-anything with the small encoder."""
    return _import("mobile_sam")
