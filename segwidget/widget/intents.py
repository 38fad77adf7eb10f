"""What a page asks for in words: keep, undo, delete … Their effect comes back through traits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from segwidget.errors import SegwidgetError


class Rows(NamedTuple):
    """Lists of so many numbers, at most so many of them."""

    numbers: int
    most: int


POINTS, BOXES, BOX = Rows(2, 10_000), Rows(4, 1_000), Rows(4, 0)
Kind: TypeAlias = type | Rows

# Intent -> the widget's method for it, and the fields that are its arguments. A field with a
# question mark may be left out, and is None then.
INTENTS: Mapping[str, tuple[str, Mapping[str, Kind]]] = {
    "keep": ("keep_shown", {"request": str, "picked": int, "threshold?": float}),
    "keep_draft": (
        "keep_draft",
        {
            "id": str,
            "prompts": list,
            "picks": list,
            "picked": int,
            "label": str,
            "threshold": float,
            "seconds": float,
        },
    ),
    "clear": ("clear", {}),
    "undo": ("undo", {}),
    "redo": ("redo", {}),
    "delete": ("delete", {"ids": list}),
    "relabel": ("relabel", {"ids": list, "label": str}),
    "show": ("show", {"ids": list, "visible": bool}),
    "set_attributes": ("set_attributes", {"ids": list, "values": dict}),
    "set_parent": ("set_parent", {"ids": list, "parent": str}),
    "add_label": ("add_label", {"name": str}),
    "use_model": ("use_model", {"name": str}),
    "download_model": ("download_model", {"name": str}),
    "cancel_download": ("cancel_download", {}),
    "everything": ("start_everything", {"settings?": dict}),
    "cancel_everything": ("cancel_everything", {}),
    "keep_proposals": ("keep_proposals", {"ids": list, "label?": str}),
    "clear_proposals": ("clear_proposals", {}),
    "paint": ("paint", {"id": str, "points": POINTS, "radius": float, "add": bool}),
    "tidy": ("tidy", {"ids": list, "holes": int, "islands": int}),
    "combine": (
        "combine_shown",
        {"id": str, "how": str, "request": str, "picked": int, "threshold?": float},
    ),
    "reorder": ("reorder", {"ids": list, "to": str}),
    "start_from": ("start_from", {"id": str}),
    "focus_region": ("focus", {"box": BOX}),
    "leave_region": ("leave_region", {}),
    "propose_boxes": ("start_propose_boxes", {"boxes": BOXES}),
    "insight": ("show_insight", {"kind": str}),
    "selected": ("note_selected", {"id": str}),
    "decoder": ("offer_decoder", {}),
    "part": ("send_part", {"key": str, "piece": int}),
    "tile": ("send_tile", {"level": int, "column": int, "row": int}),
    "dismiss": ("dismiss", {"id": str}),
}


class IntentError(SegwidgetError, ValueError):
    """A message that is no intent, or one with impossible values."""


def perform(widget: object, content: Any) -> None:
    """Carry out one intent.

    Args:
        widget: what it is asked of, a Segmenter.
        content: such as ``{"op": "keep", "request": "…", "picked": 0}``.

    Raises:
        IntentError: the message is malformed.
        SegwidgetError: the widget refuses.
    """
    if not isinstance(content, Mapping):
        raise IntentError(f"A message is a {type(content).__name__}; expected one with an 'op'.")
    op = content.get("op")
    if not isinstance(op, str) or op not in INTENTS:
        raise IntentError(f"The intent {str(op)[:40]!r} is unknown; expected {', '.join(INTENTS)}.")
    method, fields = INTENTS[op]
    values: list[Any] = []
    for name, kind in fields.items():
        optional, name = name.endswith("?"), name.rstrip("?")
        value = content.get(name)
        if optional and value is None:
            values.append(None)
            continue
        proper = _is(value, kind)
        if name == "ids" and isinstance(value, list):
            proper = all(isinstance(i, str) for i in value)
        if not proper:
            raise IntentError(f"The intent {op!r} lacks a proper {name!r} ({_called(kind)}).")
        values.append(value)
    getattr(widget, method)(*values)


def _called(kind: Kind) -> str:
    if not isinstance(kind, Rows):
        return kind.__name__
    row = f"{kind.numbers} numbers"
    return f"1 to {kind.most} lists of {row}" if kind.most else row


def _is(value: object, kind: Kind) -> bool:
    """Whether a value from JSON is of a kind; a whole number is a float, a bool is no number."""
    if isinstance(kind, Rows):
        rows = value if kind.most else [value]
        return (
            isinstance(rows, list)
            and 0 < len(rows) <= max(kind.most, 1)
            and all(isinstance(row, list) and len(row) == kind.numbers for row in rows)
            and all(_is(number, float) for row in rows for number in row)
        )
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and abs(value) < 1e9  # which NaN is not
    return isinstance(value, kind)
