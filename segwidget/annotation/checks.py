"""Checks of an annotation's values, which come from code, browsers and files alike."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

import numpy as np

from segwidget.errors import AnnotationError
from segwidget.inference.prompts import PROMPTS, Prompt, prompt_from_dict


def utc(created: str) -> str:
    """A time as ISO 8601 in UTC; without a zone it is taken to be UTC, and "" stays unknown."""
    if not created:
        return created
    try:
        time = datetime.fromisoformat(created.replace("Z", "+00:00"))
        if time.tzinfo is None:
            time = time.replace(tzinfo=timezone.utc)
        return time.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError) as error:
        raise unexpected("created", created, "a time such as 2026-01-31T12:00:00Z") from error


def finite(name: str, value: Any) -> float:
    """A float, from any finite real number."""
    if isinstance(value, numbers.Real | np.generic):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise unexpected(name, value, "finite numbers" if name == "box" else "a finite number")


def index(name: str, value: Any) -> int:
    """A whole number from 0."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise unexpected(name, value, "a whole number from 0")
    return number


def flag(name: str, value: Any) -> bool:
    """True or False, and nothing that only passes for it."""
    if not isinstance(value, bool | np.bool_):
        raise unexpected(name, value, "True or False")
    return bool(value)


def listed(name: str, value: Any) -> tuple[Any, ...]:
    """A tuple, from anything that can be gone through but text and dictionaries."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise unexpected(name, value, "a list")
    return tuple(value)


def region(value: Any) -> tuple[int, int, int, int] | None:
    """Whole pixels (x0, y0, x1, y1) that enclose something, or None."""
    if value is None:
        return None
    expected = "(x0, y0, x1, y1) in whole pixels, or None"
    edges = tuple(index("region", edge) for edge in listed("region", value))
    if len(edges) != 4:
        raise unexpected("region", value, expected)
    x0, y0, x1, y1 = edges
    if not (x0 < x1 and y0 < y1):
        raise unexpected("region", value, expected)
    return x0, y0, x1, y1


def texts(name: str, value: Any) -> tuple[str, ...]:
    """A tuple of texts."""
    given = listed(name, value)
    if not all(isinstance(text, str) and text for text in given):
        raise unexpected(name, value, "a list of texts")
    return given


def relations(value: Any) -> tuple[tuple[str, str], ...]:
    """Pairs (kind, id), each once."""
    pairs = [texts("relations", pair) for pair in listed("relations", value)]
    if not all(len(pair) == 2 for pair in pairs):
        raise unexpected("relations", value, "a list of pairs (kind, id of another annotation)")
    return tuple(dict.fromkeys((pair[0], pair[1]) for pair in pairs))


def prompts(value: Any) -> tuple[Prompt, ...]:
    """Prompts, from values and from what `prompt_to_dict` writes."""
    given = listed("prompts", value)
    return tuple(one if isinstance(one, PROMPTS) else prompt_from_dict(one) for one in given)


def now() -> str:
    """The time, as `utc` writes it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def unexpected(name: str, value: object, expected: str) -> AnnotationError:
    """The sentence for a value that is not what was expected."""
    text = repr(value)
    text = text if len(text) <= 60 else f"{text[:60]}…"
    return AnnotationError(f"The {name} of an annotation is {text}; expected {expected}.")
