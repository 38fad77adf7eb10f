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


def unexpected(name: str, value: object, expected: str) -> AnnotationError:
    """The sentence for a value that is not what was expected."""
    text = repr(value)
    text = text if len(text) <= 60 else f"{text[:60]}…"
    return AnnotationError(f"The {name} of an annotation is {text}; expected {expected}.")
