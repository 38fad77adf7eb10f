"""SAM's way from the image's tokens to masks, in operations that ONNX has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import MLP, LayerNorm2d
from segwidget.sam.mask_decoder import SMOOTHING, MaskDecoder


def centered(x: Tensor) -> Tensor:
    """Without the mean over the last axis."""
    return x - x.mean(-1, keepdim=True)


def halved(decoder: MaskDecoder, x: Tensor) -> Tensor:
    """Channels of the first doubling, ``(..., half)``, as the norm after it takes them.

    Centered, and of the norm's signs, so that its factors are positive.
    """
    norm = cast(LayerNorm2d, decoder.output_upscaling[1])
    return centered(x) * (1 - 2 * (norm.weight < 0).float())


def doubling_weight(decoder: MaskDecoder) -> Tensor:
    """The first doubling as a matrix, ``(C, 4 * half)``."""
    layer = cast(nn.ConvTranspose2d, decoder.output_upscaling[0])
    return halved(decoder, layer.weight.permute(0, 2, 3, 1)).reshape(layer.in_channels, -1)


def masks(
    decoder: MaskDecoder, tokens: Tensor, x: Tensor, spread: Tensor, size: tuple[int, int]
) -> Tensor:
    """Normalize what was doubled once, double it again and weigh its channels.

    Args:
        decoder: the network's.
        tokens: of the masks, ``(4, C)``.
        x: doubled once, as :func:`halved` has it, and times ``spread``: ``(N, 4 * half)``.
        spread: a positive factor for each token of the image, ``(1, N)``.
        size: ``(h, w)`` of the embedding.

    Returns:
        Logits ``(1, 4, 4h, 4w)``.
    """
    _, norm, act, layer, last = decoder.output_upscaling
    norm, layer, (h, w) = cast(LayerNorm2d, norm), cast(nn.ConvTranspose2d, layer), size
    x = x.reshape(h * w, 4, layer.in_channels)
    variance = (x * x).mean(-1, keepdim=True) + norm.eps * (spread * spread).reshape(-1, 1, 1)
    x, factors = x * (1 / variance.sqrt()), norm.weight.abs().clamp(min=1e-6)
    weight = layer.weight.permute(0, 2, 3, 1).reshape(layer.in_channels, -1)
    bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
    if isinstance(act, nn.ReLU):  # relu(f * x + b) = f * relu(x + b / f)
        x = torch.maximum(x + norm.bias / factors, torch.zeros(1))
        weight = factors.reshape(-1, 1) * weight
    else:
        x = act(x * factors + norm.bias)
    x = x.reshape(-1, layer.in_channels) @ weight
    hyper = _hyper(decoder.output_hypernetworks_mlps, tokens)
    if isinstance(last, nn.ReLU):
        # relu(x + b) = max(x, -b) + b: the bias adds the same all over a mask.
        logits = hyper @ torch.maximum(x, -bias.repeat(4)).reshape(-1, layer.out_channels).t()
        logits = logits + hyper @ bias.reshape(-1, 1)
    else:
        logits = hyper @ last(x + bias.repeat(4)).reshape(-1, layer.out_channels).t()
    logits = logits.reshape(-1, h, w, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
    logits = logits.reshape(1, -1, 4 * h, 4 * w)
    return _smoothed(logits) if decoder.smooth else logits


def _hyper(mlps: nn.ModuleList, tokens: Tensor) -> Tensor:
    """The hyper-networks side by side: ``(M, C)`` to ``(M, c)``."""
    layers: Sequence[Sequence[nn.Linear]] = [
        cast(Sequence[nn.Linear], layers)
        for layers in zip(*(cast(MLP, mlp).layers for mlp in mlps), strict=True)
    ]
    x = tokens.unsqueeze(1)
    for i, layer in enumerate(layers):
        weight = torch.stack([one.weight for one in layer]).transpose(1, 2)
        bias = torch.stack([one.bias for one in layer]).unsqueeze(1)
        x = (x if i == 0 else F.relu(x)) @ weight + bias
    return x.squeeze(1)


def _smoothed(logits: Tensor) -> Tensor:
    """As :func:`segwidget.sam.mask_decoder.smoothed`, of ``(1, M, h, w)``."""
    kernel = torch.tensor(SMOOTHING)
    x = F.pad(logits, (3, 3, 3, 3), mode="replicate").transpose(0, 1)
    x = F.conv2d(F.conv2d(x, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))
    return x.transpose(0, 1)
