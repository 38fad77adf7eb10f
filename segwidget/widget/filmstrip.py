"""The filmstrip: an image list as thumbnails with badges, of which a page holds those in sight."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from segwidget.errors import SegwidgetError
from segwidget.widget.thumbnails import Thumbnails, jpeg

MOST_ASKED = 400  # cells that a page may ask for at once
_HERE = Path(__file__).parent


class Filmstrip(anywidget.AnyWidget):
    """Thumbnails side by side; a click on one opens it.

    Args:
        thumbnails: makes the pictures.
        describe: tells of an image, by its key, its ``title``, ``status`` and ``count`` of masks.
        on_open: called with the key of an image that was clicked.
        on_step: called with 1 or -1 where an arrow key asks for the next image, or the last.
    """

    _esm = traitlets.Unicode().tag(sync=True)

    total = traitlets.Int(0, help="How many images there are.").tag(sync=True)
    current = traitlets.Int(-1, help="Which is open; -1 none of these.").tag(sync=True)
    version = traitlets.Int(0, help="Counts the lists that were shown.").tag(sync=True)

    def __init__(
        self,
        thumbnails: Thumbnails,
        describe: Callable[[str], Mapping[str, Any]],
        on_open: Callable[[str], None],
        on_step: Callable[[int], None],
    ) -> None:
        self._thumbnails, self._describe = thumbnails, describe
        self._on_open, self._on_step = on_open, on_step
        self._guard = threading.RLock()
        self._keys: tuple[str, ...] = ()
        self._index: dict[str, int] = {}
        self._seen = range(0)  # what a page has in sight
        super().__init__()
        self.on_msg(self._on_message)

    @traitlets.default("_esm")
    def _read_esm(self) -> str:
        return (_HERE / "filmstrip.js").read_text("utf-8")

    @property
    def keys_shown(self) -> tuple[str, ...]:
        """The keys of the images, in order."""
        return self._keys

    def show(self, keys: Sequence[str], current: str | None) -> None:
        """Show a list of images, one of which may be open."""
        keys = tuple(keys)
        with self._guard, self.hold_sync():
            if keys != self._keys:
                self._keys = keys
                self._index = {key: index for index, key in enumerate(keys)}
                self._seen = range(0)
                self.total = len(keys)
                self.version += 1
            self.current = -1 if current is None else self._index.get(current, -1)

    def refresh(self, key: str) -> None:
        """Tell pages what is new of an image."""
        with self._guard:
            index = self._index.get(key)
            if index is not None and index in self._seen:
                self._send_cells(range(index, index + 1))

    def save_in_page(self, name: str, data: bytes) -> None:
        """Have the browser save a file, as a download."""
        self.send({"op": "save", "name": name}, buffers=[data])

    def close(self) -> None:
        """End the strip."""
        self._thumbnails.forget(self)
        layout = self.layout
        super().close()
        if layout is not None:
            layout.close()

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Hear a page; what makes no sense, or is of an older list, is let pass."""
        if not isinstance(content, Mapping):
            return
        op = content.get("op")
        if op == "step" and content.get("step") in (1, -1):
            self._on_step(content["step"])
            return
        if content.get("version") != self.version:
            return
        if op == "open":
            index = content.get("index")
            if type(index) is int and 0 <= index < len(self._keys):
                self._on_open(self._keys[index])
        elif op == "window":
            first, last = content.get("first"), content.get("last")
            if type(first) is int and type(last) is int and 0 <= first < last:
                last = min(last, len(self._keys), first + MOST_ASKED)
                self._show_window(range(first, last))

    def _show_window(self, seen: range) -> None:
        with self._guard:
            self._seen = seen
            self._send_cells(seen)
        keys = self._keys[seen.start : seen.stop]
        for key in keys:
            if self._thumbnails.get(key) is not None:
                self._on_thumbnail(key)
        self._thumbnails.want(self, keys, self._on_thumbnail)

    def _send_cells(self, seen: range) -> None:
        cells = [dict(self._describe(self._keys[index])) for index in seen]
        for cell, index in zip(cells, seen, strict=True):
            if isinstance(self._thumbnails.get(self._keys[index]), SegwidgetError):
                cell["status"] = "failed"
        self.send({"op": "cells", "version": self.version, "first": seen.start, "cells": cells})

    def _on_thumbnail(self, key: str) -> None:
        """A thumbnail is there; may be called on its thread."""
        made = self._thumbnails.get(key)
        with self._guard:
            index = self._index.get(key)
            if index is None or index not in self._seen or self.comm is None:
                return
            if isinstance(made, SegwidgetError):
                self._send_cells(range(index, index + 1))
            elif made is not None:
                content = {"op": "thumb", "version": self.version, "index": index}
                self.send(content, buffers=[jpeg(made)])
