"""Layers that the encoders and the decoder share."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gelu(x: Tensor) -> Tensor:
    """GELU, exact; in place where no gradient is wanted, since ``x`` is not needed any more."""
    if torch.is_grad_enabled() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return F.gelu(x)
    out: Tensor = torch.ops.aten.gelu_(x)
    return out


class LayerNorm2d(nn.Module):
    """Layer normalization over the channels of a ``(B, C, H, W)`` map, at each position."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` of shape ``(B, C, H, W)``; shape and dtype stay."""
        return self.channels_last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def channels_last(self, x: Tensor) -> Tensor:
        """Normalize ``x`` of shape ``(..., C)`` over its last axis."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class MLPBlock(nn.Module):
    """Two linear layers around a non-linearity, as in every transformer block.

    Args:
        embedding_dim: channels in and out.
        mlp_dim: channels in between.
        act: GELU in the image encoder, ReLU in the mask decoder, as published.
    """

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., C)`` to ``(..., C)``."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


class MLP(nn.Module):
    """A stack of linear layers with ReLU between them (hyper-networks and the IoU head).

    Args:
        input_dim: channels in.
        hidden_dim: channels of every hidden layer.
        output_dim: channels out.
        num_layers: number of linear layers.
    """

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        dims = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., input_dim)`` to ``(..., output_dim)``."""
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i + 1 < len(self.layers):
                x = F.relu(x)
        return x
