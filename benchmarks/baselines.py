"""What a person could have instead of a model, with the same clicks and boxes.

Each class answers the prompts of :class:`segwidget.evaluation.protocol.PromptableSegmenter`. All
are given what helps them: clicks as small disks rather than single pixels, the image's border as
background where nothing else says what background is, and parameters that were chosen once, on
training images, and hold for all sets.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.filters import gaussian
from skimage.segmentation import flood, random_walker
from skimage.transform import resize

from segwidget.inference.prompts import Box, Point

Mask = NDArray[np.bool_]


class Scored(NamedTuple):
    """One mask; baselines have no opinion of themselves."""

    mask: Mask
    predicted_iou: None = None


class Baseline:
    """Keeps the image; subclasses answer."""

    name: str
    pixels: NDArray[np.uint8]

    def set_image(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def click(self, points: Sequence[Point]) -> Sequence[Scored]:
        return [Scored(self.from_clicks(points))]

    def box(self, box: Box) -> Sequence[Scored]:
        return [Scored(self.from_box(box))]

    def from_clicks(self, points: Sequence[Point]) -> Mask:
        raise NotImplementedError

    def from_box(self, box: Box) -> Mask:
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


class Shapes(Baseline):
    """Sanity: the filled box; for clicks disks, foreground ones less background ones.

    A disk's radius is a tenth of the image's longer side.
    """

    name = "filled box, disks"

    def from_clicks(self, points: Sequence[Point]) -> Mask:
        return disks(self.shape, points, 0.1 * max(self.shape), 1) & ~disks(
            self.shape, points, 0.1 * max(self.shape), 0
        )

    def from_box(self, box: Box) -> Mask:
        return filled(self.shape, box)


class RandomWalker(Baseline):
    """scikit-image's random walker (Grady, 2006).

    Seeds: a disk of three pixels around every click; the image's border, except under a foreground
    click, is background. For a box the outside is background, and an ellipse of 0.7 of the
    box in its middle is foreground. The long side is shrunk to 256 pixels first.
    """

    name = "random walker"
    side = 256
    radius = 3.0
    beta = 130.0  # scikit-image's default

    def set_image(self, pixels: NDArray[np.uint8]) -> None:
        super().set_image(pixels)
        self.scale = min(1.0, self.side / max(self.shape))
        size = max(1, round(self.shape[0] * self.scale)), max(1, round(self.shape[1] * self.scale))
        self.small = rgb2lab(resize(pixels, size, anti_aliasing=True)) / 100

    def from_clicks(self, points: Sequence[Point]) -> Mask:
        size = self.small.shape[:2]
        small = [scaled_point(p, self.scale) for p in points]
        seeds = np.full(size, 2, np.int32)
        seeds[1:-1, 1:-1] = 0
        seeds[disks(size, small, self.radius, 0)] = 2
        seeds[disks(size, small, self.radius, 1)] = 1
        return self.walk(seeds)

    def from_box(self, box: Box) -> Mask:
        size = self.small.shape[:2]
        small = scaled_box(box, self.scale)
        seeds = np.where(filled(size, small), 0, 2).astype(np.int32)
        seeds[ellipse(size, small, 0.7)] = 1
        return self.walk(seeds)

    def walk(self, seeds: NDArray[np.int32]) -> Mask:
        if not (seeds == 2).any() or not (seeds == 0).any():
            return enlarged((seeds != 2).astype(float), self.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice about faster solvers that may be installed
            chance = random_walker(
                self.small,
                seeds,
                beta=self.beta,
                mode="bf",  # conjugate gradients may take minutes where colors hardly change
                channel_axis=-1,
                return_full_prob=True,
            )
        return enlarged(chance[0], self.shape)


class Flood(Baseline):
    """scikit-image's flood fill, the magic wand of paint programs.

    From each click, over pixels whose color is within a CIELAB distance of that under the click,
    in an image that is smoothed a little; background clicks take theirs away, and a later click
    overrules an earlier one. A box is flooded from its middle and cut.
    """

    name = "flood"
    tolerance = 12.0

    def set_image(self, pixels: NDArray[np.uint8]) -> None:
        super().set_image(pixels)
        self.lab = rgb2lab(gaussian(pixels, 1.0, channel_axis=-1))

    def from_clicks(self, points: Sequence[Point]) -> Mask:
        found = np.zeros(self.shape, bool)
        for point in points:
            found[self.flooded(point.x, point.y)] = point.label == 1
        return found

    def from_box(self, box: Box) -> Mask:
        middle = self.flooded((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        return middle & filled(self.shape, box)

    def flooded(self, x: float, y: float) -> Mask:
        row, column = min(int(y), self.shape[0] - 1), min(int(x), self.shape[1] - 1)
        distance = np.linalg.norm(self.lab - self.lab[row, column], axis=2)
        return flood(distance, (row, column), tolerance=self.tolerance)


class GrabCut(Baseline):
    """OpenCV's GrabCut (Rother et al., 2004), five iterations.

    A box is the rectangle that it was made for. For clicks the rectangle is the image less its
    border, and disks of three pixels around the clicks are certain. The long side is shrunk to 256
    pixels first: its graph cuts take seconds beyond that.
    """

    name = "GrabCut"
    side = 256
    radius = 3.0
    iterations = 5

    def set_image(self, pixels: NDArray[np.uint8]) -> None:
        super().set_image(pixels)
        self.scale = min(1.0, self.side / max(self.shape))
        size = max(1, round(self.shape[1] * self.scale)), max(1, round(self.shape[0] * self.scale))
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        self.small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)

    def from_clicks(self, points: Sequence[Point]) -> Mask:
        size = self.small.shape[:2]
        small = [scaled_point(p, self.scale) for p in points]
        labels = np.full(size, cv2.GC_BGD, np.uint8)
        labels[1:-1, 1:-1] = cv2.GC_PR_FGD
        labels[disks(size, small, self.radius, 0)] = cv2.GC_BGD
        labels[disks(size, small, self.radius, 1)] = cv2.GC_FGD
        return self.cut(labels)

    def from_box(self, box: Box) -> Mask:
        inside = filled(self.small.shape[:2], scaled_box(box, self.scale))
        return self.cut(np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8))

    def cut(self, labels: NDArray[np.uint8]) -> Mask:
        possible = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        # Each of its color models has five components, which want at least as many pixels.
        if min(possible.sum(), (~possible).sum()) >= 10:
            cv2.setRNGSeed(0)  # the color models start from k-means
            models = np.zeros((1, 65)), np.zeros((1, 65))
            mode = cv2.GC_INIT_WITH_MASK
            labels, *_ = cv2.grabCut(self.small, labels, None, *models, self.iterations, mode)
            possible = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        return enlarged(possible.astype(float), self.shape)


def all_baselines() -> list[Baseline]:
    return [RandomWalker(), Flood(), GrabCut(), Shapes()]


def scaled_point(point: Point, scale: float) -> Point:
    return Point(point.x * scale, point.y * scale, point.label)


def scaled_box(box: Box, scale: float) -> Box:
    return Box(box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale)


def enlarged(chance: NDArray[np.float64], shape: tuple[int, int]) -> Mask:
    """A small map of 0 to 1 as a mask of the image's shape, with smooth edges."""
    return resize(chance, shape, order=1) > 0.5


def disks(shape: tuple[int, int], points: Sequence[Point], radius: float, label: int) -> Mask:
    """Pixels whose centers lie within the radius of a click of that label, at least the clicked."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    found = np.zeros(shape, bool)
    for p in points:
        if p.label == label:
            found |= (columns + 0.5 - p.x) ** 2 + (rows + 0.5 - p.y) ** 2 <= radius**2
            found[min(int(p.y), shape[0] - 1), min(int(p.x), shape[1] - 1)] = True
    return found


def filled(shape: tuple[int, int], box: Box) -> Mask:
    """Pixels whose centers lie within the box, at least the middle one."""
    return ellipse(shape, box, 1.0, corners=True)


def ellipse(shape: tuple[int, int], box: Box, part: float, corners: bool = False) -> Mask:
    """The ellipse (or rectangle) of so large a part of the box's sides, in its middle."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    across = np.abs(columns + 0.5 - x) / (part * (box.x1 - box.x0) / 2)
    down = np.abs(rows + 0.5 - y) / (part * (box.y1 - box.y0) / 2)
    found = (across <= 1) & (down <= 1) if corners else across**2 + down**2 <= 1
    found[min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)] = True
    return found
