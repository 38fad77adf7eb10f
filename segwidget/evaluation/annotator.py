"""The simulated annotator: prompts as the field simulates them, from the ground truth.

Clicks. The first one is where the Euclidean distance transform of the ground truth is largest: the
point that lies farthest from the mask's edge. After each answer, the transform is taken of what
the answer lacks (false negatives) and of what it has too much (false positives); the next click is
at the larger of the two maxima, foreground in the first case and background in the second, or
where they are equal. Masks are padded with zeros first, so that the image's edge is an edge; no
pixel is clicked twice; the first pixel in reading order wins a tie; a perfect answer ends the
clicks. That is the protocol of Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for
Interactive Segmentation" (2021), whose code settles these details, and of "Segment Anything"
(Kirillov et al., 2023), appendix D.1, "Point sampling". It knows no chance, so every model starts
from the same click, and later clicks differ only where answers do.

Boxes. The tight box of the ground truth, as in SAM's evaluation; or one as in SAM's training
(appendix A, "Training algorithm"): to each edge Gaussian noise is added with a standard deviation
of 10 % of the box's side, to a maximum of 20 pixels.

Coordinates are pixels of the image with pixel centers at half-integers; the first pixel's center
is (0.5, 0.5). The edges of a tight box are the outer edges of its outermost pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segwidget.errors import AnnotationError
from segwidget.inference.candidates import mask_box
from segwidget.inference.prompts import Box, Point

JITTER = 0.1
MAX_JITTER = 20.0


def first_click(target: NDArray[np.bool_]) -> Point:
    """The foreground point that lies deepest inside the ground truth.

    Args:
        target: ``(H, W)`` bool with at least one pixel inside.

    Raises:
        AnnotationError: the mask is empty.
    """
    click = next_click(target, np.zeros_like(target))
    if click is None:
        raise _empty()
    return click


def next_click(
    target: NDArray[np.bool_], answer: NDArray[np.bool_], clicks: Iterable[Point] = ()
) -> Point | None:
    """The click that corrects an answer.

    Args:
        target: ``(H, W)`` bool, the ground truth.
        answer: ``(H, W)`` bool, the mask that is to be corrected.
        clicks: those made before; their pixels are not clicked again.

    Returns:
        A foreground point in what is missing or a background point in what is too much, whichever
        region is deeper; ``None`` where nothing is left to correct.

    Raises:
        AnnotationError: the masks are of different shape.
    """
    if target.shape != answer.shape:
        raise AnnotationError(
            f"The ground truth is {target.shape} and the answer {answer.shape}; expected the same "
            "(height, width). Compare masks of one image."
        )
    clicked = [(int(point.y), int(point.x)) for point in clicks]
    missing, (y, x) = deepest(target & ~answer, clicked)
    excess, elsewhere = deepest(answer & ~target, clicked)
    if max(missing, excess) == 0:
        return None
    if excess >= missing:
        y, x = elsewhere
    return Point(x + 0.5, y + 0.5, int(missing > excess))


def deepest(
    region: NDArray[np.bool_], leave_out: Iterable[tuple[int, int]] = ()
) -> tuple[float, tuple[int, int]]:
    """The largest distance in pixels from the edge of an ``(H, W)`` region, and its (row, column).

    Pixels of ``leave_out`` are passed over. An empty region has depth 0.
    """
    x0, y0, x1, y1 = mask_box(region)
    if x1 == 0:
        return 0.0, (0, 0)
    # Beyond the box nothing is inside, so that the distances within it are those of the image.
    distance = distance_transform_edt(np.pad(region[y0:y1, x0:x1], 1))[1:-1, 1:-1]
    for y, x in leave_out:
        if y0 <= y < y1 and x0 <= x < x1:
            distance[y - y0, x - x0] = 0
    row, column = divmod(int(distance.argmax()), x1 - x0)
    return float(distance[row, column]), (y0 + row, x0 + column)


def tight_box(target: NDArray[np.bool_]) -> Box:
    """The box of the ground truth ``(H, W)``.

    Raises:
        AnnotationError: the mask is empty.
    """
    x0, y0, x1, y1 = mask_box(target)
    if x1 == 0:
        raise _empty()
    return Box(x0, y0, x1, y1)


def jittered_box(target: NDArray[np.bool_], rng: np.random.Generator) -> Box:
    """The box of the ground truth as a hasty person draws it, within the image.

    Args:
        target: ``(H, W)`` bool with at least one pixel inside.
        rng: source of the noise.

    Raises:
        AnnotationError: the mask is empty.
    """
    tight = tight_box(target)
    height, width = target.shape
    side = np.tile([tight.x1 - tight.x0, tight.y1 - tight.y0], 2)
    # Less than half a side, else opposite edges might pass each other (at five deviations).
    limit = np.minimum(MAX_JITTER, 0.49 * side)
    noise = np.clip(rng.normal(0, JITTER * side), -limit, limit)
    x0, y0, x1, y1 = np.array([tight.x0, tight.y0, tight.x1, tight.y1]) + noise
    return Box(x0, y0, x1, y1).clipped(width, height)


def _empty() -> AnnotationError:
    return AnnotationError(
        "The ground truth is an empty mask; expected at least one pixel inside. Leave it out."
    )
