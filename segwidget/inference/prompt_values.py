"""Values of prompts, checked while a prompt is made; they come from code and from pages alike."""

from __future__ import annotations

import math
import numbers
from typing import Any, SupportsFloat

from segwidget.errors import PromptError


def finite_number(value: Any, what: str) -> float:
    """A finite float from any real number, also a NumPy or torch scalar; never from text.

    Args:
        value: the number.
        what: which one it is, for the sentence where it is none.

    Raises:
        PromptError: it is no finite number.
    """
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


def short(value: object) -> str:
    """A value as it stands in a sentence."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def store(prompt: object, name: str, value: Any) -> None:
    """Store a converted value in a frozen prompt while it is being made."""
    object.__setattr__(prompt, name, value)
