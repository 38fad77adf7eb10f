"""What labels say beyond a name and a color: attributes, a tree of parents, and hotkeys."""

from __future__ import annotations

import math
import numbers
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from segwidget.errors import AnnotationError, LabelError

MAX_NAME_LENGTH = 100
MAX_TEXT_LENGTH = 10_000

#: What an attribute's value is: any text, a number, one of the choices, or a tag: any number of the
#: choices where there are some, and otherwise there or not.
Kind: TypeAlias = Literal["text", "number", "choice", "tag"]

#: A value of an attribute, by the kinds above: text, float, text, and tuple of texts or bool.
Value: TypeAlias = str | float | bool | tuple[str, ...]


def checked_name(name: Any, of: str = "a label") -> str:
    """A name as it is kept: composed Unicode, without spaces around it.

    Args:
        name: what was given.
        of: what it is the name of, with its article.

    Raises:
        LabelError: not text, empty, too long, or with line breaks or control characters.
    """
    if not isinstance(name, str):
        raise LabelError(
            f"The name of {of} is {name!r}, a {type(name).__name__}; expected text such as 'car'."
        )
    # The same word typed on two keyboards may differ in its code points.
    text = unicodedata.normalize("NFC", name).strip()
    if not text:
        raise LabelError(f"The name of {of} is empty; expected text such as 'car'.")
    if len(text) > MAX_NAME_LENGTH:
        raise LabelError(
            f"The name of {of}, {text[:30] + '…'!r}, has {len(text)} characters; expected at "
            f"most {MAX_NAME_LENGTH}. Shorten it."
        )
    # Cc, Cs, Zl, Zp: control characters, lone surrogates, line and paragraph separators.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise LabelError(
            f"The name of {of}, {text!r}, holds line breaks or control characters; expected one "
            "line of text."
        )
    return text


def checked_hotkey(hotkey: Any) -> str:
    """A hotkey as it is kept: one character, a letter in lower case; "" for none.

    Raises:
        LabelError: something else.
    """
    if isinstance(hotkey, str):
        key = unicodedata.normalize("NFC", hotkey).lower()
        if not key or (len(key) == 1 and key.isprintable() and not key.isspace()):
            return key
    raise LabelError(
        f"The hotkey of a label is {hotkey!r}; expected one character such as 'c', or '' for none."
    )


@dataclass(frozen=True)
class Attribute:
    """Something that is said of each mask of a label, beside the label.

    Attributes:
        name: text of 1 to 100 characters on one line.
        kind: "text", "number", "choice" or "tag"; see `Kind`.
        choices: what "choice" and "tag" choose from; "choice" needs some, "tag" may have some.

    Raises:
        LabelError: a name, a kind or choices that cannot be used.
    """

    name: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        name = checked_name(self.name, "an attribute")
        object.__setattr__(self, "name", name)
        if self.kind not in get_args(Kind):
            raise LabelError(
                f"The attribute {name!r} is of the kind {self.kind!r}; expected one of "
                f"{', '.join(get_args(Kind))}."
            )
        given: Any = self.choices
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise LabelError(
                f"The choices of the attribute {name!r} are {given!r}; expected a list of texts."
            )
        choices = tuple(checked_name(choice, "a choice") for choice in given)
        if len(set(choices)) < len(choices):
            raise LabelError(f"The attribute {name!r} has a choice twice; expected each once.")
        if self.kind == "choice" and not choices:
            raise LabelError(f"The attribute {name!r} has no choices; expected at least one.")
        if self.kind in ("text", "number") and choices:
            raise LabelError(
                f"The attribute {name!r} is a {self.kind} with choices; expected none. "
                "The kinds 'choice' and 'tag' have choices."
            )
        object.__setattr__(self, "choices", choices)

    def check(self, value: Any) -> Value:
        """A value as it is kept.

        Raises:
            AnnotationError: it is not of this attribute's kind, or none of its choices.
        """
        if self.kind == "text" and isinstance(value, str):
            return checked_value(self.name, value)
        if self.kind == "number" and not isinstance(value, bool | str):
            number = checked_value(self.name, value)
            if isinstance(number, float):
                return number
        if self.kind == "choice" and isinstance(value, str) and value in self.choices:
            return value
        if self.kind == "tag" and not self.choices and isinstance(value, bool):
            return value
        if (
            self.kind == "tag"
            and self.choices
            and not isinstance(value, str | Mapping)
            and isinstance(value, Iterable)
        ):
            chosen = tuple(value)
            if all(choice in self.choices for choice in chosen):
                return tuple(choice for choice in self.choices if choice in chosen)
        raise AnnotationError(
            f"The attribute {self.name!r} is given {_short(value)}; expected {self._expected}."
        )

    @property
    def _expected(self) -> str:
        if self.kind == "text":
            return "text"
        if self.kind == "number":
            return "a finite number"
        some = ", ".join(map(repr, self.choices[:20])) + (", …" if len(self.choices) > 20 else "")
        if self.kind == "choice":
            return f"one of {some}"
        return f"a list of any of {some}" if self.choices else "True or False"

    def to_dict(self) -> dict[str, Any]:
        """The attribute as JSON: `{"name": ..., "kind": ..., "choices": [...]}`."""
        data: dict[str, Any] = {"name": self.name, "kind": self.kind}
        return {**data, "choices": list(self.choices)} if self.choices else data

    @classmethod
    def of(cls, given: Any) -> Attribute:
        """An attribute from itself, from what `to_dict` writes, or from the name of a text.

        Raises:
            LabelError: something else.
        """
        if isinstance(given, Attribute):
            return given
        if isinstance(given, str):
            return cls(given)
        known = {"name", "kind", "choices"}
        if not isinstance(given, Mapping) or "name" not in given or not given.keys() <= known:
            raise LabelError(
                f"An attribute is {_short(given)}; expected 'name', 'kind' and 'choices', such as "
                "{'name': 'state', 'kind': 'choice', 'choices': ['new', 'old']}."
            )
        return cls(given["name"], given.get("kind", "text"), given.get("choices", ()))


class Values(Mapping[str, Value]):
    """Values of attributes by their names; immutable, and equal to a dictionary of the same.

    Args:
        given: a mapping, whose lists become tuples and whose numbers become floats.

    Raises:
        AnnotationError: something that is no mapping, or a value of no kind.
    """

    __slots__ = ("_values",)

    def __init__(self, given: Any = ()) -> None:
        if not isinstance(given, Mapping) and given != ():
            raise AnnotationError(
                f"The attributes of an annotation are {_short(given)}; expected values by name, "
                "such as {'state': 'new'}."
            )
        self._values: dict[str, Value] = {}
        for name, value in dict(given).items():
            try:
                checked = checked_name(name, "an attribute")
            except LabelError as error:
                raise AnnotationError(str(error)) from error
            self._values[checked] = checked_value(checked, value)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)

    def __reduce__(self) -> tuple[type[Values], tuple[dict[str, Value]]]:
        return Values, (self._values,)

    def to_dict(self) -> dict[str, Any]:
        """The values as JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self._values.items()
        }


def checked_value(name: str, value: Any) -> Value:
    """A value that some attribute might have: text, a finite number, a truth, a list of texts.

    Raises:
        AnnotationError: something else.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if _encodes(value):
            return value
    elif isinstance(value, numbers.Real):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    elif isinstance(value, Iterable) and not isinstance(value, Mapping):
        texts = tuple(value)
        if all(isinstance(text, str) for text in texts):
            return texts
    raise AnnotationError(
        f"The attribute {name!r} is given {_short(value)}; expected text of at most "
        f"{MAX_TEXT_LENGTH:,} characters, a finite number, True or False, or a list of texts."
    )


def check_tree(parents: Mapping[str, str], of: str) -> None:
    """Refuse parents that are not there, and circles of them.

    Args:
        parents: the parent's name (or "" for none) by name.
        of: what they are, such as "label".

    Raises:
        LabelError: a parent that is none of the names, or that is below itself.
    """
    for name, parent in parents.items():
        if parent and parent not in parents:
            raise LabelError(
                f"The parent of the {of} {name!r} is {parent!r}, which is none of them. "
                "Add it first, or correct the spelling."
            )
    for name in parents:
        ancestors(name, parents, of)


def ancestors(name: str, parents: Mapping[str, str], of: str) -> list[str]:
    """What stands above a name, the nearest first.

    Raises:
        LabelError: it stands above itself.
    """
    above: list[str] = []
    parent = parents.get(name, "")
    while parent:
        if parent == name or parent in above:
            way = " → ".join(map(repr, [name, *above, parent]))
            raise LabelError(
                f"The parents of the {of} {name!r} go round in a circle: {way}. Expected a tree; "
                "take one of these parents away."
            )
        above.append(parent)
        parent = parents.get(parent, "")
    return above


def _encodes(text: str) -> bool:
    """Whether a text is not too long, and can be written to a file (lone surrogates cannot)."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return len(text) <= MAX_TEXT_LENGTH


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
