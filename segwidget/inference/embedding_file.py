"""An embedding as a file: float16 safetensors that say whose they are."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from segwidget.sam.sam import ImageFeatures

FORMAT = "segwidget-embedding-1"
LARGEST_HEADER = 1 << 16  # bytes; ours are some hundred

_SHA256 = re.compile(r"[0-9a-f]{64}")


class EmbeddingKey(NamedTuple):
    """What an embedding depends on.

    Attributes:
        image: SHA-256 of the image's pixels.
        model: SHA-256 of the model's checkpoint.
        device: where it lies; a file may be used on any.
        variant: how the image was preprocessed, and in which precision it was embedded.
    """

    image: str
    model: str
    device: str
    variant: str = ""


def has_file(key: EmbeddingKey) -> bool:
    """Whether an embedding may be found again in another session: both hashes are real ones."""
    return bool(_SHA256.fullmatch(key.image) and _SHA256.fullmatch(key.model))


def file_name(key: EmbeddingKey) -> str:
    """A SHA-256, in hex, of all that the numbers depend on."""
    text = json.dumps([FORMAT, key.image, key.model, key.variant])
    return hashlib.sha256(text.encode()).hexdigest()


def well_formed(features: ImageFeatures) -> bool:
    """Whether the tensors are float16 and shaped as :class:`ImageFeatures` says, of one image."""
    first = features.embedding
    if first.ndim != 4:
        return False
    for tensor, scale in zip(features, (1, 2, 4), strict=True):
        if tensor is None:
            continue
        if tensor.dtype != torch.float16 or tensor.ndim != 4 or tensor.numel() == 0:
            return False
        side = (first.shape[2] * scale, first.shape[3] * scale)
        if len(tensor) != 1 or tuple(tensor.shape[2:]) != side:
            return False
    return True


def pack(key: EmbeddingKey, features: ImageFeatures) -> bytes:
    """A :func:`well_formed` embedding as the bytes of a safetensors file.

    The header names the image, the model and the variant, and holds a checksum (CRC-32), which the
    format itself lacks.
    """
    tensors = {k: t.cpu().contiguous() for k, t in features._asdict().items() if t is not None}
    return save(tensors, {**_header(key), "crc32": _checksum(tensors)})


def unpack(key: EmbeddingKey, data: bytes) -> ImageFeatures | None:
    """The embedding in a file, on the CPU; ``None`` if the file is damaged or of something else."""
    try:
        length = int.from_bytes(data[:8], "little")
        if length > LARGEST_HEADER:
            return None
        found = json.loads(data[8 : 8 + length])["__metadata__"]
        if {k: found[k] for k in _header(key)} != _header(key):
            return None
        tensors = load(data)
        features = ImageFeatures(**tensors)
        if not well_formed(features) or found["crc32"] != _checksum(tensors):
            return None
    except Exception:  # damaged files raise anything
        return None
    return features


def _header(key: EmbeddingKey) -> dict[str, str]:
    return {
        "format": FORMAT,
        "image": key.image,
        "model": key.model,
        "variant": key.variant,
    }


def _checksum(tensors: dict[str, Tensor]) -> str:
    """CRC-32 of all numbers, in the order of :class:`ImageFeatures`."""
    crc = 0
    for name in ImageFeatures._fields:
        if name in tensors:
            crc = zlib.crc32(tensors[name].numpy().view(np.uint8).data, crc)
    return f"{crc:08x}"
