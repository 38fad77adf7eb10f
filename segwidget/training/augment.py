"""Changes of color and sharpness that keep masks where they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def recolor(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Vary brightness, contrast, gamma, color, sharpness and noise of an RGB image.

    Args:
        image: ``(H, W, 3)`` uint8.
        rng: source of chance.

    Returns:
        ``(H, W, 3)`` float32 of 0 to 255.
    """
    x = image.astype(np.float32) / 255
    if rng.random() < 0.8:
        x **= np.float32(np.exp(rng.uniform(-0.4, 0.4)))
        x *= np.float32(rng.uniform(0.75, 1.25))
        mean = x.mean(dtype=np.float64)
        x = (x - np.float32(mean)) * np.float32(rng.uniform(0.7, 1.3)) + np.float32(mean)
    gray = x.mean(axis=2, keepdims=True)
    if rng.random() < 0.12:
        x = np.repeat(gray, 3, axis=2)
    elif rng.random() < 0.7:
        x = gray + (x - gray) * np.float32(rng.uniform(0.5, 1.4))
        x *= rng.uniform(0.88, 1.12, size=3).astype(np.float32)
    if rng.random() < 0.15:
        x = gaussian_filter(x, (sigma := rng.uniform(0.3, 1.2), sigma, 0))
    if rng.random() < 0.15:
        x += rng.normal(0, rng.uniform(0.01, 0.05), x.shape).astype(np.float32)
    return (np.clip(x, 0, 1) * 255).astype(np.float32)
