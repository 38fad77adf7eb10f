"""Large files of JSON, read row by row: the lists of one object, element after element.

Neither the file nor its parsed whole is ever in memory: only a window of text, in which Python's
own decoder finds the next value. So a file of any size takes as much as its largest row, and that
has a limit, too. Where the file breaks off or is damaged, all rows before that place are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from segwidget.errors import FormatError, SegwidgetError, StoreError

CHUNK = 2**20  # characters that are read at once
MAX_ROW = 2**25  # characters of one row; no mask needs so many
_SPACE = re.compile(r"[ \t\n\r]*")


def rows_in(path: Path) -> Iterator[tuple[str, Any]]:
    """The elements of all lists that the file's object has, in the file's order.

    Yields:
        The list's name in the object, and the element as Python has it.

    Raises:
        StoreError: the file cannot be read.
        FormatError: from here on it is not JSON; the last row that was read is named.
    """
    last, count = "its start", 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for key, row in _walk(_Window(stream)):
                count = count + 1 if last == key else 1
                last = key
                yield key, row
    except SegwidgetError:
        raise
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        where = f"{last}[{count - 1}]" if count else last
        raise FormatError(
            f"{path.name!r} is not JSON after {where}: {reason}. Export it again."
        ) from error


def _walk(window: _Window) -> Iterator[tuple[str, Any]]:
    window.take("{")
    if window.peek() == "}":
        return
    while True:
        key = window.value()
        if not isinstance(key, str):
            raise ValueError(f"the name of a value is a {type(key).__name__}")
        window.take(":")
        if window.peek() != "[":
            window.value()
        else:
            window.take("[")
            going_on = window.peek() != "]"
            if not going_on:
                window.take("]")
            while going_on:
                yield key, window.value()
                going_on = window.take(",]") == ","
        if window.take(",}") == "}":
            return


class _Window:
    """The part of a text that is looked at."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._text, self._at = stream, "", 0
        self._decode = json.JSONDecoder(parse_constant=_no_constant).raw_decode

    def peek(self) -> str:
        """The next character that is no space."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = self._at if found is None else found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(CHUNK):
                raise ValueError("it breaks off")

    def take(self, wanted: str) -> str:
        """Go beyond the next character, which is one of those that are wanted."""
        found = self.peek()
        if found not in wanted:
            raise ValueError(f"there is {found!r} instead of {' or '.join(map(repr, wanted))}")
        self._at += 1
        return found

    def value(self) -> Any:
        """Go beyond the next value, and answer it."""
        self.peek()
        while True:
            problem: ValueError | None = None
            value, end = None, 0
            try:
                value, end = self._decode(self._text, self._at)
            except ValueError as error:  # of a value that goes on beyond the window, too
                problem = error
            if problem is None and end < len(self._text):  # a number at the end might go on
                self._at = end
                return value
            seen = len(self._text) - self._at
            if seen > MAX_ROW:
                raise problem or ValueError(f"a row has more than {MAX_ROW:,} characters")
            # Twice as much each time, for what was decoded in vain is decoded again.
            if not self._more(max(CHUNK, seen)):
                raise problem or ValueError("it breaks off")

    def _more(self, size: int) -> bool:
        new = self._stream.read(size)
        self._text, self._at = self._text[self._at :] + new, 0
        return bool(new)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")  # RFC 8259 has none
