"""What pictures of answers share: the image, both outlines, and what was asked."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segwidget.inference.prompts import Box, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, TRUTH, ANSWER = "#26323f", "#5f6b7a", "#2f855a", "#c05621"


class ShownFigure(Figure):
    """A figure that a notebook shows as a picture, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=100)
        return stream.getvalue()


def draw_answer(
    axes: Axes,
    pixels: NDArray[np.uint8],
    target: NDArray[np.bool_],
    answer: NDArray[np.bool_],
    asked: Point | Box,
) -> None:
    """Draw one answer; the caller sets what part of the image is seen.

    Args:
        axes: where to.
        pixels: ``(H, W, 3)`` uint8.
        target: ``(H, W)`` bool, whose outline is green.
        answer: ``(H, W)`` bool, whose outline is orange.
        asked: the prompt, in white.
    """
    height, width = target.shape
    axes.imshow(pixels, extent=(0, width, height, 0))
    centers = np.arange(width) + 0.5, np.arange(height) + 0.5
    for mask, color in ((target, TRUTH), (answer, ANSWER)):
        if mask.any() and not mask.all():
            axes.contour(*centers, mask.astype(float), levels=[0.5], colors=[color], linewidths=1.8)
    if isinstance(asked, Point):
        axes.plot(asked.x, asked.y, "o", color="white", mec=INK, ms=6)
    else:
        xs, ys = [asked.x0, asked.x1, asked.x1, asked.x0], [asked.y0, asked.y0, asked.y1, asked.y1]
        axes.plot([*xs, xs[0]], [*ys, ys[0]], color="white", lw=1.2, ls="--")
    axes.set_axis_off()
