"""What a person, or a program, points at: points and boxes.

Coordinates are (x, y) in pixels of the original image, with pixel centers at half-integers: the
image spans 0 to its width and 0 to its height, and the center of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, SupportsFloat, TypeAlias

from segwidget.errors import PromptError

# Browsers and detectors compute edges in floating point; so much beyond an edge is on it.
EDGE_TOLERANCE = 1e-3


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
        _set(self, "x", _number(self.x, "x of a point"))
        _set(self, "y", _number(self.y, "y of a point"))
        label = _number(self.label, "label of a point")
        if label not in (0, 1):
            raise PromptError(
                f"The label of a point is {self.label!r}; expected 1 (foreground, include) or "
                "0 (background, exclude)."
            )
        _set(self, "label", int(label))


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
            _set(self, edge, _number(getattr(self, edge), f"{edge} of a box"))
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


Prompt: TypeAlias = Point | Box

_TYPES: dict[str, type[Point] | type[Box]] = {"point": Point, "box": Box}


def prompt_to_dict(prompt: Prompt) -> dict[str, Any]:
    """The prompt as JSON: `{"type": "point", "x", "y", "label"}` or `{"type": "box", "x0", ...}`.

    Raises:
        PromptError: not a prompt.
    """
    for name, kind in _TYPES.items():
        if isinstance(prompt, kind):
            return {"type": name, **{f.name: getattr(prompt, f.name) for f in fields(prompt)}}
    raise _not_a_prompt(prompt)


def prompt_from_dict(data: Mapping[str, Any]) -> Prompt:
    """The prompt from JSON, as `prompt_to_dict` writes it; a point's label may be left out.

    Raises:
        PromptError: an unknown type, keys that are missing or unknown, or impossible values.
    """
    if not isinstance(data, Mapping):
        raise _not_a_prompt(data)
    kind = _TYPES.get(data["type"]) if isinstance(data.get("type"), str) else None
    if kind is None:
        raise PromptError(
            f'A prompt has the type {data.get("type")!r}; expected "point" or "box", as in '
            '{"type": "point", "x": 3.5, "y": 2.5, "label": 1}.'
        )
    known = [f.name for f in fields(kind)]
    needed = [name for name in known if name != "label"]
    missing = [name for name in needed if name not in data]
    unknown = [str(name) for name in data if name not in ("type", *known)]
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else f"has also {', '.join(unknown)}"
        raise PromptError(
            f"A {data['type']} prompt {problem}; expected the keys {', '.join(known)}."
        )
    return kind(**{name: data[name] for name in known if name in data})


def validate_prompts(
    prompts: Prompt | Iterable[Prompt | Mapping[str, Any]], width: float, height: float
) -> tuple[Prompt, ...]:
    """Check that prompts can be asked of an image.

    Args:
        prompts: points and boxes in the order in which they were given; also as dictionaries, and
            also a single one.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        The prompts. Those that are beyond an edge by a rounding error are moved onto it.

    Raises:
        PromptError: no prompt at all, something that is no prompt, or one outside the image.
    """
    given: Any = prompts
    if isinstance(given, Point | Box | Mapping):
        given = [given]
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise _not_a_prompt(given)
    checked = tuple(
        _within(
            prompt if isinstance(prompt, Point | Box) else prompt_from_dict(prompt),
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
    clipped = prompt.clipped(width, height)
    if not (low <= prompt.x0 and prompt.x1 <= right and low <= prompt.y0 and prompt.y1 <= lower):
        raise PromptError(
            f"{prompt} reaches outside {size}. Clip it first: box.clipped({width:g}, {height:g})."
        )
    return clipped


def _number(value: Any, what: str) -> float:
    """A finite float from any real number, also a NumPy or torch scalar; never from text."""
    if isinstance(value, numbers.Real) or (
        isinstance(value, SupportsFloat)
        and getattr(value, "ndim", None) == 0
        and not isinstance(value, numbers.Complex)
    ):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise PromptError(
        f"The {what} is {value!r}; expected a finite number of pixels."
        if "label" not in what
        else f"The {what} is {value!r}; expected 1 (foreground) or 0 (background)."
    )


def _not_a_prompt(value: object) -> PromptError:
    return PromptError(
        f"A prompt is a {type(value).__name__}, {_short(value)}; expected Point(x, y, label), "
        "Box(x0, y0, x1, y1), or a list of them."
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _set(prompt: Prompt, name: str, value: float) -> None:
    """Store a converted value in a frozen prompt while it is being made."""
    object.__setattr__(prompt, name, value)
