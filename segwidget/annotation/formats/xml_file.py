"""Files of XML from anywhere, read and written.

A document type is refused, since what it declares may grow without bounds ("billion laughs") or
fetch other files; no format here has one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.ontology import Value
from segwidget.errors import FormatError, StoreError

MAX_BYTES = 256 * 2**20
_MAX_DEPTH = 50
# What XML 1.0 cannot say, not even escaped.
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_xml(path: Path) -> ElementTree.Element:
    """The root of a file.

    Raises:
        StoreError: it cannot be read.
        FormatError: too large, too deep, with a document type, or no XML; the line is named.
    """
    name = path.name
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(
                f"{name!r} has {size:,} bytes; at most {MAX_BYTES:,} are read. Split the data set "
                "by image first."
            )
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{name!r} cannot be read: {error.strerror or error}.") from error
    parser, builder = expat.ParserCreate(), ElementTree.TreeBuilder()
    parser.buffer_text = True
    depth = 0

    def refuse(*_: Any) -> None:
        raise FormatError(
            f"{name!r}, line {parser.CurrentLineNumber}: it declares a document type, which is not "
            "read, since entities can grow without bounds. Take the <!DOCTYPE ...> out."
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise FormatError(
                f"{name!r}, line {parser.CurrentLineNumber}: elements lie {depth} deep; expected "
                f"at most {_MAX_DEPTH}."
            )
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{name!r} is not XML: {error}. Export it again.") from error
    return builder.close()


def write_xml(root: ElementTree.Element, path: Path) -> Path:
    """Write a file, whole or not at all; characters that XML cannot hold become "\ufffd".

    Raises:
        StoreError: the place cannot be written.
    """
    for element in root.iter():
        if element.text:
            element.text = _UNSAYABLE.sub("\ufffd", element.text)
        for key, value in element.attrib.items():
            element.set(key, _UNSAYABLE.sub("\ufffd", value))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return write_atomically(path, data + b"\n")


def add(parent: ElementTree.Element, tag: str, text: object = "") -> ElementTree.Element:
    """A new element with a text below another one."""
    child = ElementTree.SubElement(parent, tag)
    child.text = str(text)
    return child


def text_of(element: ElementTree.Element, path: str, where: str) -> str:
    """The text of the element at a path below.

    Raises:
        FormatError: there is none.
    """
    found = element.findtext(path)
    if found is None or not found.strip():
        raise FormatError(f"{where} has no <{path}>.")
    return found.strip()


def text_from(value: Value) -> str:
    """An attribute's value as CVAT writes it: a tag's choices have commas between them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def number(text: str | None, what: str) -> float:
    """A number of a text.

    Raises:
        FormatError: it is none.
    """
    try:
        return float(text or "")
    except ValueError:
        raise FormatError(f"Its {what} is {text!r}; expected a number.") from None


def whole(text: str | None, what: str) -> int:
    """A whole number of a text, also where it is written with a decimal point.

    Raises:
        FormatError: it is none.
    """
    value = number(text, what)
    if not abs(value) < 2**53 or value != int(value):
        raise FormatError(f"Its {what} is {text!r}; expected a whole number.")
    return int(value)
