"""The colors of labels: how they are written, and new ones that can be told apart."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from PIL import ImageColor

from segwidget.errors import LabelError

_HUES = 500

# Twelve hues of middling luminance, so that each shows on white, on black and on a photograph;
# neighbors in the list differ most, because the first few labels are the ones that meet.
PALETTE = (
    "#e5484d", "#2f7fe8", "#1f9d55", "#b558d9", "#d9730d", "#0d9aa8",
    "#d6409f", "#7d8b10", "#7166ea", "#a8743f", "#6f8191", "#c4527c",
)  # fmt: skip


def checked_color(color: Any) -> str:
    """A color as "#rrggbb".

    Args:
        color: "#rgb", "#rrggbb", a CSS name, or CSS's "rgb(...)" and "hsl(...)".

    Raises:
        LabelError: something else, or a color with transparency.
    """
    problem = f"The color of a label is {color!r}; expected '#rrggbb', '#rgb' or a CSS name."
    if not isinstance(color, str):
        raise LabelError(problem)
    try:
        channels = ImageColor.getrgb(color.strip())
    except ValueError:
        raise LabelError(problem) from None
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        raise LabelError(f"{problem} The color is opaque: three channels of 0 to 255.")
    return "#{:02x}{:02x}{:02x}".format(*channels)


def channels_of(color: str) -> tuple[int, int, int]:
    """Red, green and blue of a color "#rrggbb", each 0 to 255."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def new_color(taken: Iterable[str]) -> str:
    """The first color of the palette, and then of a series of hues, that is not taken."""
    used = set(taken)
    for color in PALETTE:
        if color not in used:
            return color
    for step in range(_HUES):
        # Steps by the golden ratio never come back to a hue; two depths part near neighbors.
        color = _with_luminance((step * 0.618034) % 1, 0.3 if step % 2 else 0.18)
        if color not in used:
            return color
    return PALETTE[len(used) % len(PALETTE)]  # no eye tells so many apart


@lru_cache(maxsize=_HUES)
def _with_luminance(hue: float, luminance: float) -> str:
    """The color of a hue whose luminance (0 black, 1 white; WCAG 2) is the given one or just above.

    Equal lightness would not do: a blue is far darker to the eye than a yellow.
    """
    for percent in range(20, 100):
        channels = colorsys.hls_to_rgb(hue, percent / 100, 0.6)
        # 2.2 is close enough to sRGB's curve.
        red, green, blue = (channel**2.2 for channel in channels)
        if 0.2126 * red + 0.7152 * green + 0.0722 * blue >= luminance:
            break
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * channel) for channel in channels))
