"""What a person, or a program, points at: points, boxes, polygons and masks.

Coordinates are (x, y) in pixels of the original image, with pixel centers at half-integers: the
image spans 0 to its width and 0 to its height, and the center of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import AnnotationError, PromptError
from segwidget.inference.prompt_values import finite_number, short, store
from segwidget.inference.rle import Rle

# Browsers and detectors compute edges in floating point; so much beyond an edge is on it.
EDGE_TOLERANCE = 1e-3

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

_EXTENT_NAMES: dict[type, str] = {Box: "box", Polygon: "polygon", MaskPrompt: "mask"}
_TYPES: dict[str, type[Point] | type[Box] | type[Polygon] | type[MaskPrompt]] = {
    "point": Point,
    "box": Box,
    "polygon": Polygon,
    "mask": MaskPrompt,
}


def prompt_to_dict(prompt: Prompt) -> dict[str, Any]:
    """The prompt as JSON: its `"type"` ("point", "box", "polygon" or "mask") and its attributes.

    Raises:
        PromptError: not a prompt.
    """
    if isinstance(prompt, Polygon):
        points = [list(corner) for corner in prompt.points]
        return {"type": "polygon", "points": points, "tolerance": prompt.tolerance}
    if isinstance(prompt, MaskPrompt):
        return {"type": "mask", "rle": prompt.rle.to_dict()}
    for name, kind in _TYPES.items():
        if isinstance(prompt, kind):
            return {"type": name, **{f.name: getattr(prompt, f.name) for f in fields(prompt)}}
    raise _not_a_prompt(prompt)


def prompt_from_dict(data: Mapping[str, Any]) -> Prompt:
    """The prompt from JSON, as `prompt_to_dict` writes it.

    A point's label and a polygon's tolerance may be left out.

    Raises:
        PromptError: an unknown type, keys that are missing or unknown, or impossible values.
    """
    if not isinstance(data, Mapping):
        raise _not_a_prompt(data)
    kind = _TYPES.get(data["type"]) if isinstance(data.get("type"), str) else None
    if kind is None:
        raise PromptError(
            f"A prompt has the type {short(data.get('type'))}; expected one of "
            f"{', '.join(_TYPES)}, as in "
            '{"type": "point", "x": 3.5, "y": 2.5, "label": 1}.'
        )
    known = [f.name for f in fields(kind)]
    needed = [name for name in known if name not in ("label", "tolerance")]
    missing = [name for name in needed if name not in data]
    unknown = [str(name) for name in data if name not in ("type", *known)]
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else f"has also {', '.join(unknown)}"
        raise PromptError(
            f"A {data['type']} prompt {problem}; expected the keys {', '.join(known)}."
        )
    if kind is MaskPrompt:
        try:
            return MaskPrompt(Rle.from_dict(data["rle"]))
        except AnnotationError as error:
            raise PromptError(str(error)) from error
    return kind(**{name: data[name] for name in known if name in data})


def check_extents(prompts: Sequence[object]) -> None:
    """Check that prompts about one thing agree on how far it reaches.

    Raises:
        PromptError: several boxes, polygons or masks, or a polygon or a mask that is not the first.
    """
    extents = [prompt for prompt in prompts if isinstance(prompt, EXTENTS)]
    drawn = [type(prompt).__name__ for prompt in extents if not isinstance(prompt, Box)]
    if len(extents) > 1 and not drawn:
        raise PromptError(
            "There are several boxes for one thing; expected at most one. Ask for one thing at a "
            "time, or correct the box with points."
        )
    if len(extents) > 1:
        names = " and a ".join(_EXTENT_NAMES[type(extent)] for extent in extents[:2])
        raise PromptError(
            f"There are several outlines of one thing, a {names}; expected one box, polygon or "
            "mask. Correct it with points, or clear it first."
        )
    if drawn and not isinstance(prompts[0], EXTENTS):
        raise PromptError(
            f"A {_EXTENT_NAMES[type(extents[0])]} comes after other prompts; expected it first. "
            "Clear the draft, draw it, and correct it with points."
        )


def validate_prompts(
    prompts: Prompt | Iterable[Prompt | Mapping[str, Any]], width: float, height: float
) -> tuple[Prompt, ...]:
    """Check that prompts can be asked of an image.

    Args:
        prompts: in the order in which they were given; also as dictionaries, and also a single
            one.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        The prompts. Those that are beyond an edge by a rounding error are moved onto it, and so
        are a polygon's corners, however far beyond.

    Raises:
        PromptError: no prompt at all, something that is no prompt, or one outside the image.
    """
    given: Any = prompts
    if isinstance(given, (*PROMPTS, Mapping)):
        given = [given]
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise _not_a_prompt(given)
    checked = tuple(
        _within(
            prompt if isinstance(prompt, PROMPTS) else prompt_from_dict(prompt),
            float(width),
            float(height),
        )
        for prompt in given
    )
    if not checked:
        raise PromptError(
            "There is no prompt; expected at least one point or box, such as Point(120, 80)."
        )
    return checked


def _within(prompt: Prompt, width: float, height: float) -> Prompt:
    size = f"the image of {width:g} × {height:g} pixels"
    low, right, lower = -EDGE_TOLERANCE, width + EDGE_TOLERANCE, height + EDGE_TOLERANCE
    if isinstance(prompt, Point):
        if not (low <= prompt.x <= right and low <= prompt.y <= lower):
            raise PromptError(
                f"The point ({prompt.x:g}, {prompt.y:g}) is outside {size}; expected "
                f"0 ≤ x ≤ {width:g} and 0 ≤ y ≤ {height:g}. "
                "Check whether x and y are swapped or scaled."
            )
        x, y = min(max(prompt.x, 0.0), width), min(max(prompt.y, 0.0), height)
        return prompt if (x, y) == (prompt.x, prompt.y) else Point(x, y, prompt.label)
    if isinstance(prompt, MaskPrompt):
        rows, columns = prompt.rle.size
        if rows != height or columns != width:
            raise PromptError(
                f"The mask of a prompt has {columns} × {rows} pixels; expected the size of {size}. "
                "Make it at the image's full resolution."
            )
        return prompt
    if isinstance(prompt, Polygon):
        return prompt.clipped(width, height)
    clipped = prompt.clipped(width, height)
    if not (low <= prompt.x0 and prompt.x1 <= right and low <= prompt.y0 and prompt.y1 <= lower):
        raise PromptError(
            f"{prompt} reaches outside {size}. Clip it first: box.clipped({width:g}, {height:g})."
        )
    return clipped


def _not_a_prompt(value: object) -> PromptError:
    return PromptError(
        f"A prompt is a {type(value).__name__}, {short(value)}; expected Point(x, y, label), "
        "Box(x0, y0, x1, y1), Polygon(points), MaskPrompt.of(mask), or a list of them."
    )


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
