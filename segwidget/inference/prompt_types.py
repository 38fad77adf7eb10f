"""Prompts as values: points, boxes, polygons and masks.

Coordinates are (x, y) in pixels of the original image, with pixel centers at half-integers: the
image spans 0 to its width and 0 to its height, and the center of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import AnnotationError, PromptError
from segwidget.inference.prompt_values import finite_number, short, store
from segwidget.inference.rle import Rle

# A lasso has a corner for each few pixels that the pointer moves.
MAX_CORNERS = 2000


class PointLabel(IntEnum):
    """What a point says about the thing under it."""

    BACKGROUND = 0
    FOREGROUND = 1


@dataclass(frozen=True)
class Point:
    """A click.

    Attributes:
        x: pixels from the image's left edge.
        y: pixels from its upper edge.
        label: 1 (foreground: include what is here) or 0 (background: exclude it).

    Raises:
        PromptError: a coordinate that is not a finite number, or another label.
    """

    x: float
    y: float
    label: int = 1

    def __post_init__(self) -> None:
        store(self, "x", finite_number(self.x, "x of a point"))
        store(self, "y", finite_number(self.y, "y of a point"))
        label = finite_number(self.label, "label of a point")
        if label not in (0, 1):
            raise PromptError(
                f"The label of a point is {self.label!r}; expected 1 (foreground, include) or "
                "0 (background, exclude)."
            )
        store(self, "label", int(label))


@dataclass(frozen=True)
class Box:
    """A box around the thing.

    Attributes:
        x0: left edge, in pixels.
        y0: upper edge.
        x1: right edge, beyond `x0`.
        y1: lower edge, beyond `y0`.

    Raises:
        PromptError: an edge that is not a finite number, or a box that is inverted or empty.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        for edge in ("x0", "y0", "x1", "y1"):
            store(self, edge, finite_number(getattr(self, edge), f"{edge} of a box"))
        for low, high in (("x0", "x1"), ("y0", "y1")):
            start, end = getattr(self, low), getattr(self, high)
            if start > end:
                raise PromptError(
                    f"{self} is inverted: {low} is {start:g} and {high} is {end:g}; expected "
                    f"{low} < {high}. Boxes are (x0, y0, x1, y1), not (x, y, width, height)."
                )
            if start == end:
                raise PromptError(
                    f"{self} is empty: {low} and {high} are both {start:g}; expected "
                    f"{low} < {high}. For a single place, use Point(x, y)."
                )

    @classmethod
    def of(cls, edges: Box | Iterable[float], what: str = "box") -> Box:
        """A box from its four edges; one that is a box already is answered as it is.

        Args:
            edges: ``(x0, y0, x1, y1)`` in pixels.
            what: what the box is, as errors call it.

        Raises:
            PromptError: another number of edges, or an impossible box.
        """
        if isinstance(edges, Box):
            return edges
        given = tuple(edges)
        if len(given) != 4:
            raise PromptError(
                f"A {what} has {len(given)} edges; expected (x0, y0, x1, y1) in pixels."
            )
        return cls(*given)

    def clipped(self, width: float, height: float) -> Box:
        """The part of the box within an image of that size.

        Raises:
            PromptError: no part of it lies within the image.
        """
        if self.x0 >= width or self.y0 >= height or self.x1 <= 0 or self.y1 <= 0:
            raise PromptError(
                f"{self} lies outside the image of {width:g} × {height:g} pixels; expected a box "
                "that overlaps it. Check whether x and y are swapped or scaled."
            )
        return Box(max(self.x0, 0), max(self.y0, 0), min(self.x1, width), min(self.y1, height))


@dataclass(frozen=True)
class Polygon:
    """An outline that is drawn roughly around the thing; the answer snaps to the thing.

    Attributes:
        points: corners ((x, y), ...) in pixels, at least three; the last one joins the first.
        tolerance: the answer's outline stays within so many pixels of this one.

    Raises:
        PromptError: no pairs of finite numbers, corners too few, too many or all on one line, or a
            tolerance below 0.
    """

    points: tuple[tuple[float, float], ...]
    tolerance: float = 10.0

    def __post_init__(self) -> None:
        given: Any = self.points
        if isinstance(given, np.ndarray):
            given = given.tolist()
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise _no_corners(given)
        if len(given) > MAX_CORNERS:
            raise PromptError(
                f"A polygon has {len(given)} corners; expected at most {MAX_CORNERS}. Leave out "
                "those that are next to others."
            )
        corners = []
        for pair in given:
            if (
                not isinstance(pair, Sequence | np.ndarray)
                or isinstance(pair, str)
                or len(pair) != 2
            ):
                raise _no_corners(pair)
            x, y = (finite_number(v, "corner of a polygon") for v in pair)
            corners.append((x, y))
        store(self, "points", tuple(corners))
        tolerance = finite_number(self.tolerance, "tolerance of a polygon")
        if tolerance < 0:
            raise PromptError(
                f"The tolerance of a polygon is {tolerance:g}; expected 0 pixels or more."
            )
        store(self, "tolerance", tolerance)
        if not _has_area(corners):
            raise PromptError(
                f"A polygon of {len(corners)} corners encloses nothing; expected at least three "
                "that are not on one line. For a single place, use Point(x, y)."
            )

    @property
    def box(self) -> Box:
        """The tight box around it."""
        xs, ys = zip(*self.points, strict=True)
        return Box(min(xs), min(ys), max(xs), max(ys))

    def clipped(self, width: float, height: float) -> Polygon:
        """The polygon with corners beyond an image of that size moved to its edges.

        Raises:
            PromptError: nothing of it lies within the image.
        """
        self.box.clipped(width, height)
        points = tuple((min(max(x, 0.0), width), min(max(y, 0.0), height)) for x, y in self.points)
        return self if points == self.points else Polygon(points, self.tolerance)


@dataclass(frozen=True)
class MaskPrompt:
    """A mask of any origin to start from.

    Attributes:
        rle: the mask at the image's size, not empty. `MaskPrompt.of` takes arrays, too.

    Raises:
        PromptError: no `Rle`, or one with nothing inside.
    """

    rle: Rle

    def __post_init__(self) -> None:
        rle: Any = self.rle
        if not isinstance(rle, Rle):
            raise PromptError(
                f"The mask of a prompt is a {type(rle).__name__}; expected an Rle. "
                "MaskPrompt.of(mask) takes an array."
            )
        if rle.area == 0:
            raise PromptError("The mask of a prompt is empty; expected at least one pixel inside.")

    @classmethod
    def of(cls, mask: NDArray[Any] | Rle) -> MaskPrompt:
        """From a mask, (H, W) bool, or an `Rle`.

        Raises:
            PromptError: another shape or type, or an empty mask.
        """
        try:
            return cls(mask if isinstance(mask, Rle) else Rle.encode(mask))
        except AnnotationError as error:
            raise PromptError(str(error)) from error


Prompt: TypeAlias = Point | Box | Polygon | MaskPrompt
#: What says how far a thing reaches; a polygon or a mask comes before all other prompts.
EXTENTS = (Box, Polygon, MaskPrompt)
PROMPTS = (Point, *EXTENTS)


def _no_corners(value: object) -> PromptError:
    return PromptError(
        f"The corners of a polygon are {short(value)}; expected pairs of numbers, such as "
        "[(10, 10), (90, 20), (50, 80)]."
    )


def _has_area(corners: list[tuple[float, float]]) -> bool:
    """Whether the corners are not all on one line."""
    if len(corners) < 3:
        return False
    xy = np.array(corners) - corners[0]
    farthest = xy[np.square(xy).sum(axis=1).argmax()]
    return bool(np.abs(xy[:, 0] * farthest[1] - xy[:, 1] * farthest[0]).max() > 1e-6)
