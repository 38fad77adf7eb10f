"""Arrays and tensors as 8-bit RGB pixels.

One scaling rule serves every number type, so that a 16-bit file and the `uint16` array that was
read from it look the same:

- `uint8` is taken as it is; `bool` becomes 0 and 255.
- Floats within [0, 1] (up to 0.01 beyond, as resampling overshoots) are multiplied by 255.
- Other numbers within [0, 255] are taken as 8-bit levels and rounded.
- Anything wider is stretched linearly: the smallest value becomes 0, the largest 255.
- NaN becomes 0, as does minus infinity; infinity becomes 255.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import ImageError

OVERSHOOT = 0.01


def to_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale numbers of any real type to 8-bit levels, by the rule at the top of this file.

    Args:
        values: real numbers of any shape, not empty.

    Returns:
        A new `uint8` array of the same shape.

    Raises:
        ImageError: the values are not real numbers, or none of them is finite.
    """
    if values.dtype == np.uint8:
        return np.array(values, order="C")
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "iuf":
        raise ImageError(
            f"An array of {values.dtype} is not an image; expected numbers such as uint8, uint16, "
            "bool or float. Convert it first, for example with array.astype(float)."
        )
    exact_in_32_bits = values.dtype.itemsize <= 2 or values.dtype == np.float32
    floats: NDArray[np.floating[Any]] = values.astype(
        np.float32 if exact_in_32_bits else np.float64
    )
    finite = floats
    if values.dtype.kind == "f":
        finite = floats[np.isfinite(floats)]
        if finite.size == 0:
            raise ImageError(
                "The array holds no finite number (only NaN or infinity), so there is nothing to "
                "see. Check how it was computed."
            )
    low, high = float(finite.min()), float(finite.max())

    if values.dtype.kind == "f" and low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        floats = floats * 255
    elif low < 0 or high > 255:
        # Halving first keeps the span of huge float64 values finite.
        span = high / 2 - low / 2
        floats = (floats / 2 - low / 2) * (255 / span) if span > 0 else np.zeros_like(floats)
    floats = np.nan_to_num(floats, nan=0, posinf=255, neginf=0)
    levels: NDArray[np.uint8] = np.clip(np.rint(floats), 0, 255).astype(np.uint8)
    return levels


def array_to_rgb(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn an array into RGB pixels.

    Args:
        array: grey (H, W) or (H, W, 1), RGB (H, W, 3), or RGBA (H, W, 4). Transparent pixels are
            composited over white, as a browser shows them on a light page.

    Returns:
        A new C-contiguous `uint8` array (H, W, 3).

    Raises:
        ImageError: another shape, no pixels, or values that are not numbers.
    """
    shape = array.shape
    if array.ndim == 3 and shape[2] not in (1, 3, 4) and shape[0] in (1, 3, 4):
        raise ImageError(
            f"An array of shape {shape} has its channels first; expected (H, W), (H, W, 3) or "
            "(H, W, 4). Pass array.transpose(1, 2, 0)."
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"An array of shape {shape} is not one image; expected (H, W), (H, W, 1), (H, W, 3) or "
            "(H, W, 4). Pass one image of a batch at a time, and choose at most three channels."
        )
    if array.size == 0:
        raise ImageError(
            f"An array of shape {shape} has no pixels; expected at least one row and one column. "
            "Check the slice or the crop that made it."
        )
    if array.ndim == 2 or shape[2] == 1:
        grey = to_levels(array.reshape(shape[:2]))
        return np.repeat(grey[:, :, None], 3, axis=2)
    rgb = to_levels(array[:, :, :3])
    if shape[2] == 4:
        alpha = _opacity(array[:, :, 3])[:, :, None]
        rgb = np.rint(rgb * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(rgb)


def _opacity(alpha: NDArray[Any]) -> NDArray[np.float32]:
    """The alpha channel as fractions from 0 (transparent) to 1."""
    # Integers wider than 8 bits are opaque at their type's maximum, or at 255 where none is larger.
    fractions = np.nan_to_num(alpha.astype(np.float32), nan=0.0)
    largest = float(fractions.max())
    if alpha.dtype == np.bool_ or (alpha.dtype.kind == "f" and largest <= 1 + OVERSHOOT):
        opaque = 1.0
    elif largest <= 255:
        opaque = 255.0
    elif alpha.dtype.kind in "iu":
        opaque = float(np.iinfo(alpha.dtype).max)
    else:
        opaque = largest
    opacity: NDArray[np.float32] = np.clip(fractions / np.float32(opaque), 0, 1)
    return opacity


def is_tensor(value: object) -> bool:
    """Whether this is a torch tensor; torch is never imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def tensor_to_rgb(tensor: Any) -> NDArray[np.uint8]:
    """Turn a torch tensor into RGB pixels; torch's own order (C, H, W) wins where both would fit.

    Args:
        tensor: (H, W), (C, H, W) or (H, W, C) with 1, 3 or 4 channels, on any device.

    Returns:
        A new C-contiguous `uint8` array (H, W, 3).

    Raises:
        ImageError: another shape, or values that cannot be read (sparse, meta, complex).
    """
    shape = tuple(tensor.shape)
    if len(shape) == 3 and shape[0] not in (1, 3, 4) and shape[2] not in (1, 3, 4):
        raise ImageError(
            f"A tensor of shape {shape} is not one image; expected (C, H, W) or (H, W, C) with 1, "
            "3 or 4 channels, or (H, W). Choose at most three channels."
        )
    if len(shape) not in (2, 3):
        raise ImageError(
            f"A tensor of shape {shape} is not one image; expected (C, H, W), (H, W, C) or (H, W). "
            "Pass one image of a batch at a time, for example tensor[0]."
        )
    try:
        plain = tensor.detach().cpu()
        if plain.is_floating_point():
            plain = plain.float()  # NumPy has no bfloat16
        array: NDArray[Any] = plain.numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ImageError(
            f"A tensor ({tensor.dtype}, {tensor.layout}, on {tensor.device}) cannot be read as "
            f"pixels: {error}. Pass a dense tensor of real numbers."
        ) from error
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    return array_to_rgb(array)
