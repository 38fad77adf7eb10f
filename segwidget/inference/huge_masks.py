"""Masks of huge images, of which only the part around the mask is ever made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segwidget.inference.preprocessing import Frame


def mask_in_box(
    frame: Frame, logits: NDArray[np.float32], threshold: float = 0.0
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """A mask at the image's size, within a box around it: what logits above a threshold become.

    As `Frame.upsample` enlarges them, but for pixels whose logit differs from the threshold by no
    more than rounding.

    Args:
        frame: how the image lies in the logits.
        logits: float32 ``(s, s)``.
        threshold: logits above it are inside.

    Returns:
        ``(h, w)`` bool, and the ``(x, y)`` of its upper left pixel; ``(0, 0)`` where there is
        nothing.
    """
    # Here, because everything mode itself needs candidates.
    from segwidget.inference.everything.canvas import Canvas

    canvas = Canvas(frame, offset=0.0, threshold=threshold)
    window = canvas.window(logits)
    if window is None:
        return np.zeros((0, 0), bool), (0, 0)
    _, piece = canvas.measure(window)
    return piece.mask, (piece.x, piece.y)
