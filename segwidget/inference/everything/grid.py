"""Where everything mode looks: a grid of points, over the image and over crops of it.

"Segment Anything", appendix B, "Cropping". Crops and points are those of the published generator,
so that both ask the same questions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import PromptError
from segwidget.inference.everything.settings import EverythingSettings


class Crop(NamedTuple):
    """A part of the image that is looked at as if it were one.

    Attributes:
        box: its edges ``(x0, y0, x1, y1)`` in pixels of the image.
        layer: 0 for the whole image.
        points: ``(N, 2)``, in pixels from the crop's corner.
    """

    box: tuple[int, int, int, int]
    layer: int
    points: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)``."""
        x0, y0, x1, y1 = self.box
        return x1 - x0, y1 - y0


def make_crops(width: int, height: int, settings: EverythingSettings) -> tuple[Crop, ...]:
    """The whole image, then the crops of each layer, column by column, with their points.

    Raises:
        PromptError: a layer's crops have no points, or the image is too small for so many.
    """
    layers = settings.crop_n_layers + 1
    if settings.point_grids is not None:
        grids = list(settings.point_grids)
    else:
        shrink = settings.crop_n_points_downscale_factor
        sides = [int((settings.points_per_side or 0) / shrink**layer) for layer in range(layers)]
        if min(sides) < 1:
            raise PromptError(
                f"A grid of {settings.points_per_side} points a side has none left in layer "
                f"{sides.index(0)}. Take more points, fewer layers of crops, or a smaller "
                "crop_n_points_downscale_factor."
            )
        grids = [point_grid(side) for side in sides]
    crops = []
    for layer in range(layers):
        for box in crop_boxes(width, height, layer, settings.crop_overlap_ratio):
            size = np.array([box[2] - box[0], box[3] - box[1]])
            if size.min() < 1:
                raise PromptError(
                    f"An image of {width} × {height} pixels is too small for {layer} layers of "
                    "crops. Take fewer layers."
                )
            crops.append(Crop(box, layer, grids[layer] * size))
    return tuple(crops)


def point_grid(side: int) -> NDArray[np.float64]:
    """Evenly spaced points ``(side * side, 2)`` of 0 to 1, row by row."""
    along = np.linspace(0.5 / side, 1 - 0.5 / side, side)
    x, y = np.meshgrid(along, along)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def crop_boxes(
    width: int, height: int, layer: int, overlap_ratio: float
) -> list[tuple[int, int, int, int]]:
    """The boxes ``(x0, y0, x1, y1)`` of a layer's crops; of layer 0 the whole image's."""
    n = 2**layer
    overlap = int(overlap_ratio * min(width, height) * (2 / n)) if layer else 0
    w = math.ceil((overlap * (n - 1) + width) / n)
    h = math.ceil((overlap * (n - 1) + height) / n)
    return [
        (x, y, min(x + w, width), min(y + h, height))
        for x in ((w - overlap) * i for i in range(n))
        for y in ((h - overlap) * i for i in range(n))
    ]
