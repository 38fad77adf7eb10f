"""YOLO's polygons: `data.yaml` with the names, and `labels/NAME.txt` with one row an object.

A row is a class number and x, y of one ring, in shares of the image's width and height. Islands and
holes are joined by cuts of no width. Neither scores nor colors have a place here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.registry import Format, Imported, Sizes, file_for, make_folder
from segwidget.annotation.polygons import joined, polygons_of, rle_of
from segwidget.errors import FormatError, SegwidgetError, StoreError


def write_yolo(records: Iterable[Annotations], path: Path, *, images: Any = None) -> Path:
    """Write a YOLO folder: see the top of this module.

    Raises:
        StoreError: the place cannot be written.
    """
    del images
    labels = make_folder(path / "labels")
    taken: set[Path] = set()
    numbers: dict[str, int] = {}
    for record in records:
        for label in record.labels:
            numbers.setdefault(label.name, len(numbers))
        scale = [record.image.width, record.image.height]
        rows = []
        for item in record:
            ring = (joined(polygons_of(item.rle)) / scale).ravel()
            # Enough digits to find the corner of each pixel again.
            rows.append(" ".join([str(numbers[item.label]), *(f"{x:.8g}" for x in ring)]))
        target = file_for(labels, record.image.name, ".txt", taken)
        write_atomically(target, "".join(f"{row}\n" for row in rows).encode("ascii"))
    names = "".join(
        f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for name, number in numbers.items()
    )
    text = f"path: .\ntrain: images\nval: images\nnames:\n{names or '  {}'}"
    write_atomically(path / "data.yaml", text.encode("utf-8"))
    return path


def read_yolo(path: Path, *, sizes: Sizes | None = None) -> Imported:
    """Read a YOLO folder of polygons.

    Args:
        path: the folder of `data.yaml` and `labels`.
        sizes: gives an image's (height, width) by its name without a suffix.

    Raises:
        FormatError: no sizes are given, or the names cannot be read.
        StoreError: a file cannot be read.
    """
    if sizes is None:
        raise FormatError(
            "YOLO's files do not say how large the images are. Import them into a project that "
            "has the images, or give sizes=..."
        )
    folder = path / "labels"
    names = _names(_text(path / "data.yaml"))
    read = Imported()
    for file in sorted(folder.rglob("*.txt")):
        name = file.relative_to(folder).with_suffix("").as_posix()
        try:
            height, width = sizes(name)
        except (SegwidgetError, KeyError):
            read.problems.append(f"{file.name!r}: no image is called {name!r}. It was left out.")
            continue
        items = []
        for number, line in enumerate(_text(file).splitlines(), start=1):
            if line.strip():
                try:
                    items.append(_row(line, names, (height, width)))
                except SegwidgetError as error:
                    where = f"{file.name!r}, line {number}"
                    read.problems.append(f"{where}: {error} It was left out.")
        read.records.append(Annotations(items, ImageInfo(name, width, height)))
    return read


def _row(line: str, names: dict[int, str], size: tuple[int, int]) -> Annotation:
    try:
        kind, *numbers = line.split()
        class_, ring = int(kind), np.array(numbers, np.float64).reshape(-1, 2)
    except ValueError:
        raise FormatError("It is no class number with x and y of each corner.") from None
    if len(ring) == 2:
        raise FormatError("It is a box; expected a polygon.")
    if len(ring) < 3 or not (np.abs(ring - 0.5) <= 1).all():
        raise FormatError("Expected three corners or more, in shares of 0 to 1.")
    if class_ not in names:
        raise FormatError(f"data.yaml has no class {class_}.")
    rle = rle_of([[ring * [size[1], size[0]]]], size)
    if rle.area == 0:
        raise FormatError("It holds no pixel of the image.")
    return Annotation.from_rle(rle, label=names[class_], origin="imported")


def _names(text: str) -> dict[int, str]:
    """The classes of `data.yaml`, as a list, in brackets, or by number."""
    block = re.search(r"^names:[ \t]*(.*(?:\n(?:[ \t-].*)?)*)", text, re.MULTILINE)
    body = block[1].strip() if block else ""
    if body.startswith("["):
        found = re.findall(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^,\[\]\s][^,\[\]]*", body)
        return {number: _plain(name) for number, name in enumerate(found)}
    listed = re.findall(r"^[ \t]*-[ \t]*(.+?)[ \t]*$", body, re.MULTILINE)
    if listed:
        return {number: _plain(name) for number, name in enumerate(listed)}
    named = re.findall(r"^[ \t]*(\d+):[ \t]*(.+?)[ \t]*$", body, re.MULTILINE)
    if not named and body != "{}":
        raise FormatError("data.yaml has no 'names' as a list or by number.")
    return {int(number): _plain(name) for number, name in named}


def _plain(name: str) -> str:
    text = name.strip()
    try:
        return str(json.loads(text)) if text.startswith('"') else text.strip("'")
    except ValueError:
        raise FormatError(f"data.yaml has the name {text}, which is no text.") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{str(path)!r} cannot be read: {reason}. Check the folder.") from error


FORMAT = Format("yolo-seg", "YOLO polygons", "folder", ".txt", False, write_yolo, read_yolo)
