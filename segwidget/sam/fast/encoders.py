"""An image encoder for inference, whichever network it belongs to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from segwidget.sam.fast.encoder import FastImageEncoder
from segwidget.sam.fast.linear import FastLinear, Kernel
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
    if not on_cpu and dtype == torch.float32:
        return module
    own = copy.deepcopy(module).to(dtype)
    if on_cpu:
        _swap_linears(own, dtype, kernel)

    def run(x: Tensor) -> tuple[Tensor, Tensor | None]:
        embedding, high_res = own(x.to(dtype))
        return embedding.float(), None if high_res is None else high_res.float()

    return run


class _Linear(nn.Module):
    """A fast linear layer in the place of one of PyTorch's."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, kernel: Kernel) -> None:
        super().__init__()
        self._run = FastLinear(layer.weight, layer.bias, dtype, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., cin)`` to ``(..., cout)``."""
        y = self._run(x.reshape(-1, x.shape[-1]))
        return y.view(*x.shape[:-1], -1)


def _swap_linears(module: nn.Module, dtype: torch.dtype, kernel: Kernel) -> None:
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, _Linear(child, dtype, kernel))
