"""How a Segmenter shows what is kept, and which keys it answers to."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Mapping
from typing import Any

from traitlets import HasTraits, TraitType

from segwidget.errors import SettingError
from segwidget.widget.binding import SessionWidget

APPEARANCE: Mapping[str, Any] = {"opacity": 0.3, "show": "both", "color_by": "label"}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "show": ("both", "fill", "outline"),
    "color_by": ("label", "object"),
}

# What keys can be given to, as js/src/canvas/keys.ts has them.
_VERBS = """
closeKeys cancelDrawing discard cancelEverything leaveCrosshair deselect clearProposals
leaveRegion crosshair click clickExclude corner where closeOutline dropCorner keep keepProposal
removeLast undo redo mode pick1 pick2 pick3 pick4 previous next previousProposal nextProposal
label1 label2 label3 label4 label5 label6 label7 label8 label9 add subtract intersect selectNext
selectPrevious startFrom front forward backward back remove point box boxes polygon lasso brush
eraser select smaller larger everything zoomIn zoomOut fit region models help
crossLeft crossRight crossUp crossDown leapLeft leapRight leapUp leapDown
panLeft panRight panUp panDown
"""
VERBS = frozenset(re.findall(r"\w+", _VERBS))

_MODIFIERS = frozenset(("ctrl", "cmd", "meta", "alt", "shift"))
_ARROWS = ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown")
_EDITING = ("Enter", "Escape", "Backspace", "Delete", "Insert", "Home", "End", "PageUp", "PageDown")
_NAMED = frozenset((*_ARROWS, *_EDITING, *(f"F{n}" for n in range(1, 13))))
_MAX_KEYS = 8  # for one verb
_SHOWN = 40  # characters of something wrong


def _spelled(chord: Any, verb: str) -> str:
    """A chord that a page understands, such as ``"Ctrl+z"``.

    Raises:
        SettingError: it is none.
    """
    if not isinstance(chord, str):
        raise SettingError(
            f"A key of {verb!r} is given as {type(chord).__name__}; expected text such as 'k', "
            "'Shift+Enter' or 'Ctrl+z'."
        )
    head, _, key = (chord[:-1], "", "+") if chord.endswith("+") else chord.rpartition("+")
    modifiers = [part for part in head.split("+") if part]
    wrong = not {part.lower() for part in modifiers} <= _MODIFIERS
    if wrong or not (key in _NAMED or (len(key) == 1 and key.isprintable() and not key.isspace())):
        raise SettingError(
            f"{chord[:_SHOWN]!r} is no key for {verb!r}; expected one character or a name such as "
            "'Enter' or 'ArrowLeft', after any of 'Ctrl+', 'Alt+' and 'Shift+'. Tab and Space keep "
            "their meaning."
        )
    return "+".join([*(part.capitalize() for part in modifiers), key])


class AppearanceTrait(TraitType[dict[str, Any], Any]):
    """Opacity, what is shown of a mask, and what it is colored by."""

    def make_dynamic_default(self) -> dict[str, Any]:
        """What a widget has before anybody chooses."""
        return dict(APPEARANCE)

    def validate(self, obj: HasTraits | None, value: Any) -> dict[str, Any]:
        """The whole appearance; what is left out stays as it is.

        Raises:
            SettingError: an unknown name, or an impossible value.
        """
        if not isinstance(value, Mapping):
            raise SettingError(
                f"appearance is {type(value).__name__}; expected a dict with any of "
                f"{', '.join(APPEARANCE)}."
            )
        name = self.name or ""
        held = obj is not None and obj.trait_has_value(name)
        chosen = dict(getattr(obj, name) if held else APPEARANCE)
        for name, given in value.items():
            if name == "opacity":
                chosen["opacity"] = _share(given)
            elif name in _CHOICES:
                if given not in _CHOICES[name]:
                    raise SettingError(
                        f"appearance[{name!r}] is {str(given)[:_SHOWN]!r}; expected "
                        f"{' or '.join(map(repr, _CHOICES[name]))}."
                    )
                chosen[name] = given
            else:
                raise SettingError(
                    f"There is no appearance {str(name)[:_SHOWN]!r}; expected "
                    f"{', '.join(APPEARANCE)}."
                )
        return chosen


def _share(value: Any) -> float:
    fits = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not 0 <= value <= 1:
        raise SettingError(
            f"appearance['opacity'] is {str(value)[:_SHOWN]}; expected a number from 0 to 1."
        )
    return float(value)


class KeymapTrait(TraitType[dict[str, list[str]], Any]):
    """Keys that were given to verbs."""

    def make_dynamic_default(self) -> dict[str, list[str]]:
        """No key is another than usual."""
        return {}

    def validate(self, obj: HasTraits | None, value: Any) -> dict[str, list[str]]:
        """The keys by verb, each a list of chords.

        Raises:
            SettingError: no such verb, no such key, or one key for two verbs.
        """
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise SettingError(
                f"keymap is {type(value).__name__}; expected a dict such as {{'keep': ['k']}}."
            )
        keys: dict[str, list[str]] = {}
        given_to: dict[str, str] = {}
        for verb, chords in value.items():
            if verb not in VERBS:
                raise SettingError(
                    f"There is no verb {str(verb)[:_SHOWN]!r} to give keys to; expected some of "
                    f"{', '.join(sorted(VERBS))}."
                )
            listed = [chords] if isinstance(chords, str) else chords
            if not isinstance(listed, Iterable) or len(listed := list(listed)) > _MAX_KEYS:
                raise SettingError(
                    f"The keys of {verb!r} are given as {type(chords).__name__}; expected a list "
                    f"of at most {_MAX_KEYS}, such as ['k', 'Shift+Enter']."
                )
            keys[verb] = [_spelled(chord, verb) for chord in listed]
            for chord in keys[verb]:
                if given_to.setdefault(chord.lower(), verb) != verb:
                    raise SettingError(
                        f"{chord!r} is given to both {given_to[chord.lower()]!r} and {verb!r}; "
                        "expected one verb for each key."
                    )
        return keys


class LookWidget(SessionWidget):
    """A widget whose look and keys can be chosen.

    seg.appearance = {"opacity": 0.5, "show": "outline"}    # what is left out stays
    seg.keymap = {"keep": ["q"], "undo": ["Ctrl+z", "u"]}     # ? in the picture shows all keys
    """

    appearance = AppearanceTrait(
        help="How kept masks are drawn: opacity (0 to 1), show ('both', 'fill', 'outline'), "
        "color_by ('label', 'object')."
    ).tag(sync=True, echo_update=False)

    keymap = KeymapTrait(
        help="Keys that are given to verbs, a dict of lists such as {'keep': ['k']}. A given key "
        "is taken from whatever else had it."
    ).tag(sync=True)
