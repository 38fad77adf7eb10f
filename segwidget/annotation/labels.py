"""The names that masks are given, and their colors."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias, overload

from PIL import ImageColor

from segwidget.errors import LabelError

DEFAULT_NAME = "object"
MAX_NAME_LENGTH = 100
_HUES = 500

# Twelve hues of middling luminance, so that each shows on white, on black and on a photograph;
# neighbors in the list differ most, because the first few labels are the ones that meet.
PALETTE = (
    "#e5484d", "#2f7fe8", "#1f9d55", "#b558d9", "#d9730d", "#0d9aa8",
    "#d6409f", "#7d8b10", "#7166ea", "#a8743f", "#6f8191", "#c4527c",
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """What a mask shows.

    Attributes:
        name: text of 1 to 100 characters on one line; spaces around it are dropped.
        color: "#rrggbb"; also given as "#rgb" or as a CSS name such as "tomato".

    Raises:
        LabelError: a name or a color that cannot be used.
    """

    name: str
    color: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_name(self.name))
        object.__setattr__(self, "color", checked_color(self.color))

    def to_dict(self) -> dict[str, str]:
        """The label as JSON: `{"name": ..., "color": "#rrggbb"}`."""
        return {"name": self.name, "color": self.color}


#: What a set of labels is made from: names, names with colors, labels, or a set.
LabelsLike: TypeAlias = (
    "LabelSet | str | Mapping[str, str | None] | Iterable[str | Label | Mapping[str, str]] | None"
)


@dataclass(frozen=True)
class LabelSet(Sequence[Label]):
    """The labels of a task, in order; immutable, never empty, each name once.

    `LabelSet.of` makes one from whatever is at hand.

    Raises:
        LabelError: no label, or a name twice.
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        labels = tuple(self.labels)
        if not labels:
            raise LabelError(
                f"There is no label; expected at least one. LabelSet.of([]) makes {DEFAULT_NAME!r}."
            )
        seen: set[str] = set()
        for label in labels:
            if label.name in seen:
                raise LabelError(
                    f"The label {label.name!r} is there twice; expected each name once. "
                    "Rename one of them."
                )
            seen.add(label.name)
        object.__setattr__(self, "labels", labels)

    @classmethod
    def of(cls, labels: LabelsLike = None) -> LabelSet:
        """Make a set of labels; those without a color get distinguishable ones.

        Args:
            labels: `["car", "person"]`, `{"car": "#f00", "person": None}`, `[Label(...), ...]`,
                `[{"name": "car", "color": "#f00"}, ...]`, one name, or a `LabelSet`. Nothing at
                all makes the one label "object".

        Raises:
            LabelError: a name or a color that cannot be used, or a name twice.
        """
        if isinstance(labels, LabelSet):
            return labels
        named = _named(labels) or [(DEFAULT_NAME, None)]
        taken = [checked_color(color) for _, color in named if color is not None]
        made = []
        for name, color in named:
            if color is None:
                color = _new_color(taken)
                taken.append(color)
            made.append(Label(name, color))
        return cls(tuple(made))

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(label.name for label in self.labels)

    def color_of(self, name: str) -> str:
        """The color "#rrggbb" of a label.

        Raises:
            LabelError: no such label.
        """
        return self[self._position(name)].color

    def add(self, name: str, color: str | None = None) -> LabelSet:
        """This set with one more label at its end.

        Args:
            name: of the new label.
            color: its color; by default one that no other label has.

        Raises:
            LabelError: the name is there already, or name or color cannot be used.
        """
        if color is None:
            color = _new_color([label.color for label in self.labels])
        return LabelSet((*self.labels, Label(name, color)))

    def rename(self, old: str, new: str) -> LabelSet:
        """This set with another name for one label; its place and color stay.

        Raises:
            LabelError: no such label, or the new name is taken or cannot be used.
        """
        place = self._position(old)
        labels = list(self.labels)
        labels[place] = replace(labels[place], name=new)
        return LabelSet(tuple(labels))

    def to_dicts(self) -> list[dict[str, str]]:
        """The labels as JSON, which `LabelSet.of` understands."""
        return [label.to_dict() for label in self.labels]

    def _position(self, name: str) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise LabelError(
                f"There is no label {name!r}; there are {', '.join(map(repr, self.names))}. "
                "Add it to the labels first."
            ) from None

    def __contains__(self, label: object) -> bool:
        """Whether a label, or the name of one, is in the set."""
        return label in self.labels or label in self.names

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Label, ...]: ...
    def __getitem__(self, index: int | slice) -> Label | tuple[Label, ...]:
        return self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __repr__(self) -> str:
        inside = ", ".join(f"{label.name!r}: {label.color!r}" for label in self.labels)
        return f"LabelSet.of({{{inside}}})"


def checked_name(name: Any) -> str:
    """A label's name as it is kept: composed Unicode, without spaces around it.

    Raises:
        LabelError: not text, empty, too long, or with line breaks or control characters.
    """
    if not isinstance(name, str):
        raise LabelError(
            f"The name of a label is {name!r}, a {type(name).__name__}; expected text such as "
            "'car'."
        )
    # The same word typed on two keyboards may differ in its code points.
    text = unicodedata.normalize("NFC", name).strip()
    if not text:
        raise LabelError("The name of a label is empty; expected text such as 'car'.")
    if len(text) > MAX_NAME_LENGTH:
        raise LabelError(
            f"The name of a label, {text[:30] + '…'!r}, has {len(text)} characters; expected at "
            f"most {MAX_NAME_LENGTH}. Shorten it."
        )
    # Cc, Cs, Zl, Zp: control characters, lone surrogates, line and paragraph separators.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise LabelError(
            f"The name of a label, {text!r}, holds line breaks or control characters; expected one "
            "line of text."
        )
    return text


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


def _named(labels: Any) -> list[tuple[Any, Any]]:
    """Names and colors (None: to be chosen) from whatever is at hand."""
    if labels is None:
        return []
    if isinstance(labels, str | Label):
        labels = [labels]
    if isinstance(labels, Mapping):
        return list(labels.items())
    if not isinstance(labels, Iterable):
        raise LabelError(
            f"Labels are {labels!r}, a {type(labels).__name__}; expected names such as "
            "['car', 'person'], or colors by name such as {'car': '#f00'}."
        )
    named: list[tuple[Any, Any]] = []
    for label in labels:
        if isinstance(label, Label):
            named.append((label.name, label.color))
        elif isinstance(label, Mapping):
            if "name" not in label or not label.keys() <= {"name", "color"}:
                raise LabelError(
                    f"A label has the keys {sorted(map(str, label))}; expected 'name', and 'color' "
                    "where it has one."
                )
            named.append((label["name"], label.get("color")))
        else:
            named.append((label, None))
    return named


def _new_color(taken: Iterable[str]) -> str:
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
