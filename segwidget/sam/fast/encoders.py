"""An image encoder for inference, whichever network it belongs to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from segwidget.sam.fast.encoder import FastImageEncoder
from segwidget.sam.fast.linear import Kernel
from segwidget.sam.image_encoder import ImageEncoderViT

#: Normalized and padded images ``(B, 3, S, S)`` to the embedding and the stride-4 features, both
#: float32; ``None`` in place of features that the network does not have.
Encoder: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor | None]]


def encoder_for(module: nn.Module, dtype: torch.dtype, kernel: Kernel) -> Encoder:
    """The fastest way to run an image encoder in PyTorch, where it lies.

    Args:
        module: the image encoder, in evaluation mode. Its weights must not change afterwards.
        dtype: ``float32``, or ``bfloat16`` for matrix products and convolutions.
        kernel: how linear layers are computed on a CPU.
    """
    on_cpu = next(module.parameters()).device.type == "cpu"
    if isinstance(module, ImageEncoderViT) and on_cpu:
        return FastImageEncoder(module, dtype, kernel)
    if dtype == torch.float32:
        return module
    half = copy.deepcopy(module).to(dtype)

    def run(x: Tensor) -> tuple[Tensor, Tensor | None]:
        embedding, high_res = half(x.to(dtype))
        return embedding.float(), None if high_res is None else high_res.float()

    return run
