"""Matrices and kernels kept as 8-bit integers, so that a file holds twice the network.

Each output channel has a scale of its own (Krishnamoorthi, 2018, section 3.1): a weight is
``round(w / scale)`` with ``scale = max |w| / 127``, so no weight is off by more than half a scale.
Only the file is small; what is loaded is float32 as ever, and runs as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

# A packed tensor's scales lie beside it, under its name and this.
SCALE = ".scale"
# Smaller tensors gain nothing worth the rounding.
LEAST_VALUES = 4096


def packed(state: Mapping[str, Tensor], prefixes: Iterable[str]) -> dict[str, Tensor]:
    """Replace large weights by 8-bit integers and scales.

    Args:
        state: tensors by name.
        prefixes: starts of the names that may be packed; of these, floats of two dimensions or
            more and at least :data:`LEAST_VALUES` values are.

    Returns:
        The same tensors; a packed ``(C, …)`` one is int8, with float32 ``(C,)`` scales beside it.
    """
    starts = tuple(prefixes)
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        large = value.ndim >= 2 and value.numel() >= LEAST_VALUES
        if not (value.is_floating_point() and large and name.startswith(starts)):
            out[name] = value
            continue
        rows = value.detach().float().flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        out[name] = (rows / scale[:, None]).round().to(torch.int8).view(value.shape)
        out[name + SCALE] = scale
    return out


def unpacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`packed`: int8 tensors become float32, their scales are gone.

    Raises:
        ValueError: an int8 tensor has no scales that fit it.
    """
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.dtype != torch.int8:
            of = state.get(name.removesuffix(SCALE)) if name.endswith(SCALE) else None
            if of is None or of.dtype != torch.int8:
                out[name] = value
            continue
        scale = state.get(name + SCALE)
        if scale is None or value.ndim < 2 or scale.shape != value.shape[:1]:
            raise ValueError(f"the 8-bit weights {name} have no scales that fit them")
        if not (scale.is_floating_point() and bool(scale.isfinite().all())):
            raise ValueError(f"the scales of the 8-bit weights {name} are no finite numbers")
        out[name] = value.float() * scale.float().view(-1, *[1] * (value.ndim - 1))
    return out
