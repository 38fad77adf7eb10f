"""What a person, or a program, points at: prompts to and from JSON, and checked against an image.

What prompts are, and in which coordinates, stands in :mod:`segwidget.inference.prompt_types`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from segwidget.errors import AnnotationError, PromptError
from segwidget.inference.prompt_types import (
    EXTENTS,
    MAX_CORNERS,
    PROMPTS,
    Box,
    MaskPrompt,
    Point,
    PointLabel,
    Polygon,
    Prompt,
)
from segwidget.inference.prompt_values import short
from segwidget.inference.rle import Rle

__all__ = [
    "EDGE_TOLERANCE",
    "EXTENTS",
    "MAX_CORNERS",
    "PROMPTS",
    "Box",
    "MaskPrompt",
    "Point",
    "PointLabel",
    "Polygon",
    "Prompt",
    "check_extents",
    "prompt_from_dict",
    "prompt_to_dict",
    "validate_prompts",
]

# Browsers and detectors compute edges in floating point; so much beyond an edge is on it.
EDGE_TOLERANCE = 1e-3

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
